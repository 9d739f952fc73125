#include "tests/layouts/blocks.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "base/check.hpp"
#include "storage/block_store.hpp"
#include "storage/rocks_block_disk.hpp"
#include "tests/layouts/block_places.hpp"
#include "tests/support/block_transfer.hpp"
#include "tests/support/memory_block_disk.hpp"

namespace troupe::tests::layouts {

namespace {

using policy::BlockId;
using Floats = std::vector<float>;

constexpr std::size_t complaints_max = 20;
constexpr std::size_t disk_bytes = std::size_t{32} << 20;
constexpr auto transfer_max = std::chrono::seconds(1);
const std::string tenant = "a tenant";
const std::string other_tenant = "another tenant";

Floats copy_of(std::span<const float> payload) { return {payload.begin(), payload.end()}; }
bool same(std::span<const float> one, std::span<const float> other) {
  return one.size() == other.size() && std::memcmp(one.data(), other.data(), one.size_bytes()) == 0;
}
void flip_some_bits(Random& random, std::span<float> payload) {
  auto* const bytes = reinterpret_cast<unsigned char*>(payload.data());
  for (std::int64_t bits = random.between(1, 3); bits > 0; --bits)
    bytes[random.below(payload.size_bytes())] ^= static_cast<unsigned char>(1U << random.below(8));
}

/// A block as it lies somewhere: what it should be is known to whoever asks.
struct Kept {
  std::uint64_t checksum = 0;
  Floats payload;
};

}  // namespace

class WrongBlocks::Asker {
 public:
  Asker(Prompts& prompts, std::uint64_t seed, std::filesystem::path folder, bool verifies)
      : random_(seed, 3),
        folder_(std::move(folder)),
        verifies_(verifies),
        hub_({.schedule = loop_.schedule(), .clock = &loop_.clock(), .faults = [this](const cluster::LocalOperation&) {
                cluster::LocalFault fault;
                fault.torn_after = torn_after_;
                return fault;
              }}) {
    for (std::size_t model = 0; model < prompts.models(); ++model)
      models_.push_back(std::make_unique<BlockPlaces>(prompts, model, loop_, hub_));
  }

  void ask() {
    ++summary_.asks;
    at_ = models_[random_.below(models_.size())].get();
    spec_ = at_->specs[random_.below(at_->specs.size())];
    at_->asker.cache().clear();
    learn_the_truth();
    if (random_.chance(0.5F)) {
      ask_what_is_kept();
    } else {
      ask_a_peer();
    }
    // What was refused is computed, and what was taken is computed with.
    ++summary_.answers;
    if (at_->asker.answer(spec(), salt_) == at_->universe.reference(spec_).tokens) return;
    ++summary_.differing;
    complain("the answer differs");
  }

  BlocksSummary summary_;

 private:
  const bits::Spec& spec() const { return at_->universe.spec(spec_); }
  const bits::Spec& another_spec() { return at_->universe.spec(at_->specs[random_.below(at_->specs.size())]); }

  void learn_the_truth() {
    // Names that nothing has had before, so that each is kept anew.
    salt_ = tenant + " " + std::to_string(summary_.asks);
    at_->owner.have_blocks_of(spec(), tenant);
    const PinnedPrefix computed(at_->owner.cache(), spec().prompt, tenant);
    const auto& expected = at_->universe.reference(spec_).block_checksums;
    truth_.clear();
    for (std::size_t i = 0; i < computed.blocks().size(); ++i) {
      truth_.push_back(copy_of(computed.payload(i)));
      TROUPE_CHECK(engine::block_checksum({}, truth_.back()) == expected[i], "an owner computes what anybody computes");
    }
  }

  // At rest.

  void ask_what_is_kept() {
    chain_ = engine::chain_of(at_->asker.cache().scope(salt_), spec().prompt);
    chain_.resize(truth_.size());
    const bool on_disk = random_.chance(0.6F);
    const bool in_rocks = on_disk && summary_.asks % rocks_share == 0;
    const auto open = [&] {
      storage::BlockStoreLimits limits;
      if (on_disk) limits = {.host_bytes = 0, .disk_bytes = disk_bytes};
      std::unique_ptr<storage::BlockDisk> disk;
      if (in_rocks) {
        disk = storage::RocksBlockDisk::open(folder_ / "rocks", disk_bytes).value();
      } else if (on_disk) {
        disk = std::make_unique<MemoryBlockDisk>();
      }
      return std::make_unique<storage::BlockStore>(limits, std::move(disk), [](const auto& work) { work(); });
    };
    auto store = open();
    kinds_.clear();
    for (std::size_t i = 0; i < chain_.size(); ++i) {
      const Kept kept = keep(i);
      kinds_.back() += in_rocks ? " in RocksDB" : (on_disk ? " on a disk" : " in memory");
      store->keep(chain_[i], kept.checksum, kept.payload);
    }
    if (in_rocks) {  // closed in between, so that they are read from files
      store.reset();
      store = open();
    }
    engine::KvCache& cache = at_->asker.cache();
    for (int rounds = 0; rounds < 3; ++rounds) {  // what one of another length hides is found when that is gone
      const auto import = cache.begin_import(std::span(chain_).first(store->count(chain_)));
      std::vector<BlockId> ids;
      std::vector<std::span<float>> targets;
      for (const auto& [id, index] : import.incoming) {
        ids.push_back(id);
        targets.emplace_back(cache.block(index), cache.layout().block_elements());
      }
      std::vector<std::uint64_t> came;
      store->read(ids, targets, [&](std::vector<std::uint64_t> checksums) { came = std::move(checksums); });
      store->drop_wrong(take(import, came));
      if (came.size() == ids.size()) break;
    }
  }

  /// A block as somebody has left it where it is kept.
  Kept keep(std::size_t i) {
    const BlockId& id = chain_[i];
    Kept kept{engine::block_checksum(id, truth_[i]), truth_[i]};
    switch (random_.below(8)) {
      case 0:
      case 1:
        kinds_.emplace_back("flipped");
        flip_some_bits(random_, kept.payload);
        break;
      case 2: {
        kinds_.emplace_back("torn");
        const Floats& below = truth_[random_.below(truth_.size())];
        const std::size_t whole = random_.below(kept.payload.size());
        std::copy(below.begin() + static_cast<std::ptrdiff_t>(whole), below.end(),
                  kept.payload.begin() + static_cast<std::ptrdiff_t>(whole));
        break;
      }
      case 3: {
        kinds_.emplace_back("stale");
        const std::size_t other = random_.below(truth_.size());
        kept.payload = truth_[other];
        if (random_.chance(0.5F)) kept.checksum = engine::block_checksum(chain_[other], kept.payload);
        break;
      }
      case 4: {
        kinds_.emplace_back("foreign");
        at_->foreign.have_blocks_of(spec(), salt_);
        const PinnedPrefix theirs(at_->foreign.cache(), spec().prompt, salt_);
        kept = {theirs.blocks()[i].checksum, copy_of(theirs.payload(i))};
        break;
      }
      case 5: {
        kinds_.emplace_back("of another tenant");
        const auto theirs = engine::chain_of(at_->asker.cache().scope(other_tenant), spec().prompt);
        kept.checksum = engine::block_checksum(theirs[i], kept.payload);
        break;
      }
      case 6:
        kinds_.emplace_back("of another length");
        kept.payload.resize(random_.below(kept.payload.size()) + 1);
        break;
      default: kinds_.emplace_back("right");
    }
    return kept;
  }

  // On their way.

  void ask_a_peer() {
    salt_ = tenant;
    chain_ = engine::chain_of(at_->asker.cache().scope(salt_), spec().prompt);
    torn_after_.reset();
    BlockPlace* peer = &at_->owner;
    std::string theirs = tenant;  // whose blocks the peer takes for those that were asked for
    const std::string kind = kinds_on_the_way[random_.below(std::size(kinds_on_the_way))];
    if (kind == "foreign") peer = &at_->foreign;
    if (kind == "stale") peer = &at_->forgetful;
    if (kind == "of another tenant") theirs = other_tenant;
    auto pinned = peer->cache().pin(peer->have_blocks_of(spec(), theirs));
    std::vector<engine::BlockIndex> held;
    for (const auto& block : pinned) held.push_back(block.index);
    kinds_.assign(pinned.size(), kind + " on its way");

    const auto import = at_->asker.cache().begin_import(std::span(chain_).first(pinned.size()));
    const std::size_t bytes = at_->asker.cache().layout().block_bytes();
    std::vector<cluster::Piece> pieces;
    std::vector<std::uint64_t> checksums;
    for (std::size_t i = 0; i < pinned.size(); ++i) {
      const auto& from = kind == "misplaced" ? pinned[random_.below(pinned.size())] : pinned[i];
      pieces.push_back({static_cast<std::uint64_t>(from.index) * bytes,
                        static_cast<std::uint64_t>(import.incoming[i].index) * bytes, bytes});
      checksums.push_back(pinned[i].checksum);
    }
    std::optional<Result<void>> result;
    if (kind == "torn") torn_after_ = random_.below(bytes * pinned.size());
    at_->asker.fabric().get(peer->id(), peer->region()->remote(), at_->asker.region(), pieces,
                            loop_.clock().now() + transfer_max, [&](const Result<void>& ended) { result = ended; });
    std::vector<std::pair<std::span<float>, Floats>> before;
    for (std::size_t i = 0; i < held.size() && kind == "flipped"; ++i) {
      if (random_.chance(0.3F)) continue;
      // While the transfer is under way, in the memory that it reads.
      const std::span memory(peer->cache().block(held[i]), bytes / sizeof(float));
      before.emplace_back(memory, copy_of(memory));
      flip_some_bits(random_, memory);
    }
    if (kind == "stale") {  // its owner lets go of it, and uses it for something else
      peer->cache().unpin(held);
      peer->cache().clear();
      peer->answer(another_spec(), tenant);
    }
    while (!result) TROUPE_CHECK(loop_.run_next(), "a transfer ends");
    for (const auto& [memory, contents] : before) std::ranges::copy(contents, memory.begin());
    if (kind != "stale") peer->cache().unpin(held);
    TROUPE_CHECK(result->has_value(), "what comes wrong comes without an error");
    take(import, checksums);
  }

  /// Has the cache judge what has come, and judges the cache. Returns what it refused.
  std::vector<BlockId> take(engine::BlockImport import, std::vector<std::uint64_t> checksums) {
    engine::KvCache& cache = at_->asker.cache();
    const auto came = static_cast<std::ptrdiff_t>(checksums.size());
    const engine::BlockImport rest{{}, {import.incoming.begin() + came, import.incoming.end()}};
    import.incoming.erase(import.incoming.begin() + came, import.incoming.end());
    summary_.missing += rest.incoming.empty() ? 0 : 1;  // those behind it will be asked for again
    const std::size_t first = import.present.size();
    std::vector<bool> right;
    for (std::size_t i = 0; i < import.incoming.size(); ++i) {
      const auto& [id, index] = import.incoming[i];
      right.push_back(same(contents(index), truth_[first + i]) &&
                      checksums[i] == engine::block_checksum(id, truth_[first + i]));
      if (!verifies_) checksums[i] = engine::block_checksum(id, contents(index));
    }
    const auto imported = cache.finish_import(import, checksums);
    cache.abandon_import(rest);
    std::vector<BlockId> refused;
    for (std::size_t i = 0; i < import.incoming.size(); ++i) {
      const auto found = cache.pool().find(import.incoming[i].id);
      if (!found) refused.push_back(import.incoming[i].id);
      judge(kinds_[first + i], right[i], found.has_value());
    }
    if (imported.wrong != refused.size()) complain("the cache counts " + std::to_string(imported.wrong) + " wrong blocks");
    return refused;
  }

  void judge(const std::string& kind, bool right, bool taken) {
    if (right) {
      ++summary_.right;
      if (taken) return;
      ++summary_.refused_right;
      return complain("a right block is refused (" + kind + ")");
    }
    ++summary_.blocks;
    ++summary_.kinds[kind];
    if (!taken) {
      ++summary_.refused;
      return;
    }
    ++summary_.served_wrong;
    complain("a wrong block is served (" + kind + ")");
  }

  std::span<const float> contents(engine::BlockIndex index) {
    return {at_->asker.cache().block(index), at_->asker.cache().layout().block_elements()};
  }

  void complain(const std::string& what) {
    if (summary_.complaints.size() == complaints_max) return;
    summary_.complaints.push_back("ask " + std::to_string(summary_.asks) + ", model " + std::string(at_->universe.name()) +
                                  ", prompt " + std::to_string(spec_) + ": " + what);
  }

  static constexpr std::uint64_t rocks_share = 8;
  static constexpr const char* kinds_on_the_way[] = {"flipped", "torn", "stale", "foreign", "of another tenant", "misplaced"};

  Random random_;
  std::filesystem::path folder_;
  bool verifies_;
  EventLoop loop_;
  std::optional<std::uint64_t> torn_after_;
  cluster::LocalHub hub_;
  std::vector<std::unique_ptr<BlockPlaces>> models_;

  // Of the chain that is asked for.
  BlockPlaces* at_ = nullptr;
  std::size_t spec_ = 0;
  std::string salt_;
  std::vector<BlockId> chain_;
  std::vector<Floats> truth_;
  std::vector<std::string> kinds_;
};

WrongBlocks::WrongBlocks(Prompts& prompts, std::uint64_t seed, std::filesystem::path folder, bool verifies)
    : asker_(std::make_unique<Asker>(prompts, seed, std::move(folder), verifies)) {}
WrongBlocks::~WrongBlocks() = default;

void WrongBlocks::ask() { asker_->ask(); }
const BlocksSummary& WrongBlocks::summary() const { return asker_->summary_; }

}  // namespace troupe::tests::layouts
