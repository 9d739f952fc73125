#include "tests/layouts/shard.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"

namespace troupe::tests::layouts {

namespace {

using std::chrono::milliseconds;

constexpr int rounds_max = 3;  // of looking for more: what is below may continue what a peer has, and the other way round
constexpr Duration answer_max = milliseconds(20);
constexpr Duration transfer_max = milliseconds(40);
constexpr Duration loan_max = milliseconds(100);
constexpr policy::FetchRate below_rate{.fixed_seconds = 0.0001, .bytes_per_second = 1e9};
constexpr policy::FetchRate peer_rate{.fixed_seconds = 0.0002, .bytes_per_second = 5e8};

}  // namespace

/// The beginning of a prompt that somebody waits for.
struct Shard::Wanted {
  Chain chain;
  std::size_t here = 0;  ///< blocks, when it was last looked
  int rounds = 0;
  bool answered = false;  ///< the peer that was asked has, or it took too long
  std::function<void()> done;
};

Shard::Shard(policy::NodeId self, engine::KvCache& cache, cluster::Fabric& fabric, storage::BlockStore& below,
             ShardWorld& world)
    : self_(std::move(self)), cache_(cache), fabric_(fabric), below_(below), world_(world) {
  // Nobody but this node's own transfers holds the region longer than the shard, and these end before the cache does.
  region_ = fabric.expose({cache.data(), cache.bytes()}, nullptr).value();
}

void Shard::obtain(const std::vector<engine::TokenId>& tokens, const std::string& salt, std::function<void()> done) {
  const auto wanted = std::make_shared<Wanted>();
  // The last token is computed in any case.
  wanted->chain = engine::chain_of(cache_.scope(salt), std::span(tokens).first(tokens.size() - 1));
  wanted->done = std::move(done);
  look(wanted);
}

void Shard::look(const WantedPtr& wanted) {
  const auto missing_from =
      std::ranges::find_if(wanted->chain, [&](const policy::BlockId& id) { return !cache_.pool().find(id); });
  wanted->here = static_cast<std::size_t>(missing_from - wanted->chain.begin());
  const std::span missing(missing_from, wanted->chain.end());
  std::vector<policy::PrefixSource> sources;
  for (const cluster::BlockHolder& holder : directory_.holders(missing))
    sources.push_back({holder.node, holder.blocks, peer_rate});
  if (const std::size_t below = below_.count(missing)) sources.push_back({{}, below, below_rate});
  const auto plan = policy::plan_fetch(
      {missing.size(), cache_.layout().block_bytes(), engine::kv_block_positions, world_.seconds_per_token}, sources);
  if (!plan || wanted->rounds++ == rounds_max) {
    world_.schedule(Duration::zero(), [weak = weak_from_this(), wanted] {
      if (!weak.expired()) wanted->done();
    });
  } else if (sources[plan->source].node.value.empty()) {
    read_below(wanted, plan->blocks);
  } else {
    ask(wanted, sources[plan->source].node, plan->blocks);
  }
}

void Shard::read_below(const WantedPtr& wanted, std::size_t blocks) {
  const auto import = cache_.begin_import(std::span(wanted->chain).first(wanted->here + blocks));
  Chain ids;
  std::vector<std::span<std::byte>> targets;
  for (const auto& [id, index] : import.incoming) {
    ids.push_back(id);
    targets.emplace_back(cache_.block(index), cache_.layout().block_bytes());
  }
  below_.read(ids, targets, [weak = weak_from_this(), wanted, import](std::vector<std::uint64_t> checksums) {
    const auto self = weak.lock();
    if (!self) return;
    self->take(import, std::move(checksums), self->world_.counters.read, true);
    self->look(wanted);
  });
}

void Shard::ask(const WantedPtr& wanted, const policy::NodeId& peer, std::size_t blocks) {
  wanted->answered = false;
  const std::span asked = std::span(wanted->chain).subspan(wanted->here, blocks);
  const std::size_t from = wanted->here;
  world_.tell(peer, [wanted, peer, from, chain = Chain(asked.begin(), asked.end()), self = self_](Shard& owner) {
    const Loan loan = owner.lend(self, chain);
    owner.world_.tell(self, [wanted, peer, from, loan](Shard& asker) { asker.get(wanted, peer, from, loan); });
  });
  world_.schedule(answer_max, [weak = weak_from_this(), wanted, round = wanted->rounds] {
    const auto self = weak.lock();
    if (!self || wanted->rounds != round || std::exchange(wanted->answered, true)) return;
    ++self->world_.counters.failed;
    wanted->rounds = rounds_max;
    self->look(wanted);
  });
}

Shard::Loan Shard::lend(const policy::NodeId& to, const Chain& chain) {
  Loan loan{++loans_given_, cache_.pin(chain), region_->remote()};
  auto& [borrower, held] = loans_[loan.number];
  borrower = to;
  for (const engine::PinnedBlock& block : loan.blocks) held.push_back(block.index);
  const bool lets_go = world_.random->chance(world_.troubles.let_go);
  world_.schedule(lets_go ? Duration::zero() : loan_max, [weak = weak_from_this(), number = loan.number] {
    if (const auto self = weak.lock()) self->let_go(number);
  });
  for (engine::PinnedBlock& block : loan.blocks) {
    if (world_.random->chance(world_.troubles.misplaced))
      block.index = static_cast<engine::BlockIndex>(world_.random->below(static_cast<std::uint64_t>(cache_.pool().blocks())));
  }
  return loan;
}

void Shard::let_go(std::uint64_t loan) {
  const auto found = loans_.find(loan);
  if (found == loans_.end()) return;
  cache_.unpin(found->second.second);
  loans_.erase(found);
}

void Shard::get(const WantedPtr& wanted, const policy::NodeId& peer, std::size_t from, const Loan& loan) {
  const auto give_back = [this, peer, number = loan.number] {
    world_.tell(peer, [number](Shard& owner) { owner.let_go(number); });
  };
  if (std::exchange(wanted->answered, true)) return give_back();
  const auto import = cache_.begin_import(std::span(wanted->chain).first(from + loan.blocks.size()));
  // What was here when the peer was asked may be gone since.
  if (import.present.size() < from || import.incoming.empty()) {
    cache_.abandon_import(import);
    give_back();
    wanted->rounds = rounds_max;
    return look(wanted);
  }
  // Block by block, or layer by layer, so that what is torn lacks whole blocks, or some of each.
  const std::uint64_t block = cache_.layout().block_bytes();
  const std::uint64_t parts = world_.random->chance(0.5F) ? static_cast<std::uint64_t>(cache_.layout().layers) : 1;
  std::vector<cluster::Piece> pieces;
  std::vector<std::uint64_t> checksums;
  for (std::uint64_t part = 0; part < parts; ++part) {
    const std::uint64_t bytes = block / parts;
    for (std::size_t i = 0; i < import.incoming.size(); ++i) {
      const engine::PinnedBlock& theirs = loan.blocks[import.present.size() - from + i];
      pieces.push_back({static_cast<std::uint64_t>(theirs.index) * block + part * bytes,
                        static_cast<std::uint64_t>(import.incoming[i].index) * block + part * bytes, bytes});
      if (part == 0) checksums.push_back(theirs.checksum);
    }
  }
  fabric_.get(peer, loan.region, region_, std::move(pieces), world_.clock->now() + transfer_max,
              [weak = weak_from_this(), wanted, import, checksums, give_back](const Result<void>& result) {
                const auto self = weak.lock();
                if (!self) return;
                if (result) {
                  self->take(import, checksums, self->world_.counters.fetched, false);
                } else {
                  self->cache_.abandon_import(import);
                  ++self->world_.counters.failed;
                  wanted->rounds = rounds_max;
                }
                give_back();
                self->look(wanted);
              });
}

void Shard::take(engine::BlockImport import, std::vector<std::uint64_t> checksums, std::uint64_t& taken, bool from_below) {
  const auto came = static_cast<std::ptrdiff_t>(checksums.size());
  const engine::BlockImport rest{{}, {import.incoming.begin() + came, import.incoming.end()}};
  import.incoming.erase(import.incoming.begin() + came, import.incoming.end());
  if (!world_.verifies) {
    for (std::size_t i = 0; i < checksums.size(); ++i) {
      const auto& [id, index] = import.incoming[i];
      checksums[i] = engine::block_checksum(id, {cache_.block(index), cache_.layout().block_bytes()});
    }
  }
  const auto imported = cache_.finish_import(import, checksums);
  cache_.abandon_import(rest);
  taken += import.incoming.size() - imported.wrong;
  world_.counters.refused += imported.wrong;
  if (imported.wrong == 0 || !from_below) return;
  Chain wrong;
  for (const auto& [id, index] : import.incoming) {
    if (!cache_.pool().find(id)) wrong.push_back(id);
  }
  below_.drop_wrong(wrong);
}

void Shard::publish(const std::vector<policy::NodeId>& peers) {
  const auto changes = cache_.take_changes();
  if (!changes.all && changes.come.empty() && changes.gone.empty()) return;
  for (const policy::NodeId& peer : peers) {
    world_.tell(peer, [self = self_, changes](Shard& there) {
      if (changes.all) there.directory_.forget(self);
      there.directory_.add(self, changes.come);
      there.directory_.remove(self, changes.gone);
    });
  }
}

void Shard::peer_lost(const policy::NodeId& peer) {
  directory_.forget(peer);
  std::vector<std::uint64_t> lent;
  for (const auto& [number, loan] : loans_) {
    if (loan.first == peer) lent.push_back(number);
  }
  for (const std::uint64_t number : lent) let_go(number);
}

}  // namespace troupe::tests::layouts
