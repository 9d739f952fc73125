#include "tests/layouts/blocks.hpp"

#include <algorithm>
#include <cstddef>
#include <future>
#include <optional>
#include <span>
#include <utility>

#include "base/check.hpp"
#include "cluster/ucx_fabric.hpp"
#include "storage/block_store.hpp"
#include "storage/rocks_block_disk.hpp"
#include "tests/layouts/block_damage.hpp"
#include "tests/support/memory_block_disk.hpp"

namespace troupe::tests::layouts {

namespace {

using policy::BlockId;

constexpr std::size_t complaints_max = 20;
constexpr std::size_t disk_bytes = std::size_t{32} << 20;
constexpr auto transfer_max = std::chrono::seconds(20);
const std::string tenant = "a tenant";
const std::string other_tenant = "another tenant";

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
      models_.push_back(std::make_unique<BlockPlaces>(prompts, model, loop_.clock(),
                                                      [this](const policy::NodeId& name) { return hub_.join(name); }));
    over_ucx_ = std::make_unique<BlockPlaces>(prompts, prompts.models() - 1, loop_.clock(),
                                              [](const policy::NodeId& name) { return cluster::open_ucx_fabric(name); });
  }

  void ask() {
    ++summary_.asks;
    at_ = random_.chance(ucx_share) ? over_ucx_.get() : models_[random_.below(models_.size())].get();
    at_->asker.cache().clear();
    // Names that nothing has had before where they are kept, so that each is kept anew.
    const bool kept = at_ != over_ucx_.get() && random_.chance(0.5F);
    chain_ = at_->draw_chain(random_, kept ? tenant + " " + std::to_string(summary_.asks) : tenant);
    if (kept) {
      ask_what_is_kept();
    } else {
      ask_a_peer();
    }
    // What was refused is computed, and what was taken is computed with.
    ++summary_.answers;
    if (at_->asker.answer(spec(), chain_.salt) == at_->universe.reference(chain_.spec).tokens) return;
    ++summary_.differing;
    complain("the answer differs");
  }

  BlocksSummary summary_;

 private:
  const bits::Spec& spec() const { return at_->universe.spec(chain_.spec); }
  const bits::Spec& another_spec() { return at_->universe.spec(at_->specs[random_.below(at_->specs.size())]); }

  // At rest.

  void ask_what_is_kept() {
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
    for (std::size_t i = 0; i < chain_.ids.size(); ++i) {
      const KeptBlock kept = keep_somehow(*at_, chain_, i, random_);
      kinds_.push_back(std::string(kept.kind) + (in_rocks ? " in RocksDB" : (on_disk ? " on a disk" : " in memory")));
      store->keep(chain_.ids[i], kept.checksum, kept.payload);
    }
    if (in_rocks) {  // closed in between, so that they are read from files
      store.reset();
      store = open();
    }
    engine::KvCache& cache = at_->asker.cache();
    for (int rounds = 0; rounds < 3; ++rounds) {  // what one of another length hides is found when that is gone
      const auto import = cache.begin_import(std::span(chain_.ids).first(store->count(chain_.ids)));
      std::vector<BlockId> ids;
      std::vector<std::span<std::byte>> targets;
      for (const auto& [id, index] : import.incoming) {
        ids.push_back(id);
        targets.emplace_back(cache.block(index), cache.layout().block_bytes());
      }
      std::vector<std::uint64_t> came;
      store->read(ids, targets, [&](std::vector<std::uint64_t> checksums) { came = std::move(checksums); });
      store->drop_wrong(take(import, came));
      if (came.size() == ids.size()) break;
    }
  }

  // On their way.

  void ask_a_peer() {
    torn_after_.reset();
    BlockPlace* peer = &at_->owner;
    std::string theirs = tenant;  // whose blocks the peer takes for those that were asked for
    // The first of them only the in-process fabric can be told to do.
    const bool over_ucx = at_ == over_ucx_.get();
    const std::size_t first = over_ucx ? 1 : 0;
    const std::string kind = kinds_on_the_way[first + random_.below(std::size(kinds_on_the_way) - first)];
    if (kind == "foreign") peer = &at_->foreign;
    if (kind == "stale") peer = &at_->forgetful;
    if (kind == "of another tenant") theirs = other_tenant;
    auto pinned = peer->cache().pin(peer->have_blocks_of(spec(), theirs));
    std::vector<engine::BlockIndex> held;
    for (const auto& block : pinned) held.push_back(block.index);
    kinds_.assign(pinned.size(), kind + (over_ucx ? " over UCX" : " on its way"));

    const auto import = at_->asker.cache().begin_import(std::span(chain_.ids).first(pinned.size()));
    const std::size_t bytes = at_->asker.cache().layout().block_bytes();
    std::vector<cluster::Piece> pieces;
    std::vector<std::uint64_t> checksums;
    for (std::size_t i = 0; i < pinned.size(); ++i) {
      const auto& from = kind == "misplaced" ? pinned[random_.below(pinned.size())] : pinned[i];
      pieces.push_back({static_cast<std::uint64_t>(from.index) * bytes,
                        static_cast<std::uint64_t>(import.incoming[i].index) * bytes, bytes});
      checksums.push_back(pinned[i].checksum);
    }
    std::vector<std::pair<std::span<std::byte>, Bytes>> before;
    const auto spoil = [&] {
      for (std::size_t i = 0; i < held.size() && kind == "flipped"; ++i) {
        if (random_.chance(0.3F)) continue;
        const std::span memory(peer->cache().block(held[i]), bytes);
        before.emplace_back(memory, Bytes(memory.begin(), memory.end()));
        flip_some_bits(random_, memory);
      }
      if (kind != "stale") return;
      // Its owner lets go of it, and uses it for something else.
      peer->cache().unpin(held);
      peer->cache().clear();
      peer->answer(another_spec(), tenant);
    };
    // Over UCX nobody knows when bytes move: some are right then.
    const bool at_once = over_ucx && random_.chance(0.5F);
    if (at_once) spoil();
    if (kind == "torn") torn_after_ = random_.below(bytes * pinned.size());
    const auto ended = std::make_shared<std::promise<Result<void>>>();
    at_->asker.fabric().get(peer->id(), peer->region()->remote(), at_->asker.region(), pieces, deadline(over_ucx),
                            [ended](const Result<void>& result) { ended->set_value(result); });
    if (!at_once) spoil();
    const Result<void> result = wait(ended->get_future(), over_ucx);
    for (const auto& [memory, contents] : before) std::ranges::copy(contents, memory.begin());
    if (kind != "stale") peer->cache().unpin(held);
    TROUPE_CHECK(result.has_value(), "what comes wrong comes without an error");
    take(import, checksums);
  }

  TimePoint deadline(bool over_ucx) const { return (over_ucx ? SystemClock().now() : loop_.clock().now()) + transfer_max; }
  Result<void> wait(std::future<Result<void>> end, bool over_ucx) {
    while (!over_ucx && end.wait_for(Duration::zero()) != std::future_status::ready)
      TROUPE_CHECK(loop_.run_next(), "a transfer ends");
    return end.get();
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
      right.push_back(std::ranges::equal(contents(index), chain_.truth[first + i]) &&
                      checksums[i] == engine::block_checksum(id, chain_.truth[first + i]));
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

  std::span<const std::byte> contents(engine::BlockIndex index) {
    return {at_->asker.cache().block(index), at_->asker.cache().layout().block_bytes()};
  }

  void complain(const std::string& what) {
    if (summary_.complaints.size() == complaints_max) return;
    summary_.complaints.push_back("ask " + std::to_string(summary_.asks) + ", model " + std::string(at_->universe.name()) +
                                  ", prompt " + std::to_string(chain_.spec) + ": " + what);
  }

  static constexpr std::uint64_t rocks_share = 8;
  static constexpr float ucx_share = 0.1F;
  static constexpr const char* kinds_on_the_way[] = {"torn", "flipped", "stale", "foreign", "of another tenant", "misplaced"};

  Random random_;
  std::filesystem::path folder_;
  bool verifies_;
  EventLoop loop_;
  std::optional<std::uint64_t> torn_after_;
  cluster::LocalHub hub_;
  std::vector<std::unique_ptr<BlockPlaces>> models_;
  std::unique_ptr<BlockPlaces> over_ucx_;

  // Of the chain that is asked for.
  BlockPlaces* at_ = nullptr;
  BlockChain chain_;
  std::vector<std::string> kinds_;
};

WrongBlocks::WrongBlocks(Prompts& prompts, std::uint64_t seed, std::filesystem::path folder, bool verifies)
    : asker_(std::make_unique<Asker>(prompts, seed, std::move(folder), verifies)) {}
WrongBlocks::~WrongBlocks() = default;

void WrongBlocks::ask() { asker_->ask(); }
const BlocksSummary& WrongBlocks::summary() const { return asker_->summary_; }

}  // namespace troupe::tests::layouts
