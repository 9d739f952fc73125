#include "actors/kv_shard_actor.hpp"

#include <algorithm>
#include <utility>

namespace troupe::actors {

namespace {

constexpr Duration tick_every = std::chrono::milliseconds(100);
/// Messages may be lost when a connection is: then the picture mends itself after a while.
constexpr Duration tell_all_every = std::chrono::seconds(30);
/// What a node has said is forgotten when it has not been part of the cluster for so long.
constexpr Duration absence_max = std::chrono::seconds(5);
constexpr std::int64_t lease_ms_max = 10'000;

bool alive(const Peer& peer) { return peer.view.state != policy::NodeState::gone && peer.handles.kv; }

}  // namespace

KvShardActorImpl kv_shard_of(const NodeContext& context) {
  const auto cluster = context.cluster.load();
  const Peer* self = cluster->find(context.self);
  if (self == nullptr || !self->handles.kv) return {};
  return caf::actor_cast<KvShardActorImpl>(self->handles.kv);
}

KvShardActorImpl::behavior_type KvShardState::start(NodeContextPtr context, KvShardParts parts) {
  context_ = std::move(context);
  parts_ = std::move(parts);
  install_defaults(self_);
  for (const auto& replica : parts_.replicas) {
    Pool& pool = pools_.emplace_back();
    pool.blocks = replica->blocks();
    if (!pool.blocks) continue;
    if (parts_.store) {
      pool.blocks->post([store = parts_.store](engine::KvCache& cache) { cache.keep_evicted(store); });
    }
    if (!context_->fabric) continue;
    if (!pool.blocks->host_readable()) {
      context_->log(
          LogLevel::info, "KV blocks in a device's own memory are neither lent nor fetched, only kept below",
          {{"replica", std::to_string(replica->view().index)}, {"numeric_class", replica->view().model.numeric_class}});
      continue;
    }
    auto region = context_->fabric->expose(pool.blocks->memory(), parts_.memory_in_use);
    if (region) {
      pool.region = *std::move(region);
    } else {
      context_->log(LogLevel::warning, "KV blocks cannot be reached by other nodes", {{"why", region.error().message}});
    }
  }
  // An actor that was here before has taken changes that this one has not seen.
  for (Pool& pool : pools_) {
    if (pool.blocks) pool.blocks->post([](engine::KvCache& cache) { cache.tell_all_again(); });
  }
  tick();
  return {
      [this](const schemas::KvHoldings& holdings) { on_holdings(holdings); },
      [this](const schemas::KvLease& asked) { return on_lease(asked); },
      [this](const schemas::KvRelease& release) {
        const auto lease = leases_.find(release.lease);
        if (lease != leases_.end() && lease->second.node == release.node) end_lease(lease);
      },
      [this](const FetchPrefix& asked) { return on_fetch(asked); },
      [](const Continuation& next) { next.run(); },
  };
}

KvShardState::~KvShardState() {
  for (auto& [number, fetch] : fetches_) {
    // A node that dies loses its fabric first, and all transfers with it.
    if (fetch.transfer && context_->fabric) context_->fabric->cancel(*fetch.transfer);
    answer(fetch, 0);
  }
}

KvShardActor KvShardState::shard_at(const policy::NodeId& node) const {
  const auto cluster = context_->cluster.load();
  const Peer* peer = cluster->find(node);
  return peer != nullptr && alive(*peer) ? peer->handles.kv : KvShardActor{};
}

bool KvShardState::reaches(const policy::NodeId& node) const {
  return context_->links && context_->links->fabric_to(node) == context_->fabric;
}

// What is where.

void KvShardState::tick() {
  const TimePoint now = context_->clock->now();
  for (auto lease = leases_.begin(); lease != leases_.end();) {
    const auto next = std::next(lease);
    if (now >= lease->second.until) end_lease(lease);
    lease = next;
  }
  for (auto& [number, fetch] : fetches_) {
    if (is_late(fetch)) answer(fetch, 0);
  }
  for (std::size_t pool = 0; pool < pools_.size(); ++pool) look(pool);
  tell_neighbours();
  for (auto neighbour = neighbours_.begin(); neighbour != neighbours_.end();) {
    if (shard_at(neighbour->first)) {
      neighbour->second.heard = now;
    } else {
      neighbour->second.told = KvShardActor();  // what it is sent from now on is lost
    }
    if (now - neighbour->second.heard < absence_max) {
      ++neighbour;
      continue;
    }
    context_->block_holders.forget(neighbour->first);
    neighbour = neighbours_.erase(neighbour);
  }
  if (parts_.store) {
    const storage::BlockStoreCounters counters = parts_.store->counters();
    context_->block_traffic.host_bytes = counters.host_bytes;
    context_->block_traffic.disk_bytes = counters.disk_bytes;
  }
  after(self_, tick_every, [this] { tick(); });
}

void KvShardState::look(std::size_t pool) {
  const auto& blocks = pools_[pool].blocks;
  if (!blocks || std::exchange(pools_[pool].asked, true)) return;
  auto told = resume(self_, std::function<void(engine::BlockChanges)>(
                                [this, pool](const engine::BlockChanges& changes) { on_changes(pool, changes); }));
  blocks->post([told](engine::KvCache& cache) { told(cache.take_changes()); });
}

void KvShardState::on_changes(std::size_t pool, const engine::BlockChanges& changes) {
  pools_[pool].asked = false;
  auto& here = pools_[pool].here;
  if (changes.all) here.clear();
  here.insert(changes.come.begin(), changes.come.end());
  std::vector<policy::BlockId> gone;
  for (const policy::BlockId& id : changes.gone) {
    here.erase(id);
    const bool elsewhere = std::ranges::any_of(pools_, [&](const Pool& each) { return each.here.contains(id); });
    if (!elsewhere) gone.push_back(id);
  }
  if (changes.all) {
    context_->block_holders.forget(context_->self);
    for (const Pool& each : pools_) {
      context_->block_holders.add(context_->self, std::vector(each.here.begin(), each.here.end()));
    }
    tell_all_at_ = {};
    return;
  }
  if (changes.come.empty() && gone.empty()) return;
  context_->block_holders.add(context_->self, changes.come);
  context_->block_holders.remove(context_->self, gone);
  if (!pools_[pool].region) return;  // nobody could fetch them
  for (const auto& [node, neighbour] : neighbours_) tell(neighbour.told, false, changes.come, gone);
}

void KvShardState::tell_neighbours() {
  if (!context_->fabric) return;
  const TimePoint now = context_->clock->now();
  const bool all_again = now >= tell_all_at_;
  if (all_again) tell_all_at_ = now + tell_all_every;
  std::vector<policy::BlockId> here;
  const auto cluster = context_->cluster.load();
  for (const Peer& peer : cluster->peers) {
    if (peer.view.id == context_->self || !alive(peer)) continue;
    if (neighbours_.size() >= nodes_max && !neighbours_.contains(peer.view.id)) continue;
    Neighbour& neighbour = neighbours_[peer.view.id];
    if (neighbour.told == peer.handles.kv && !all_again) continue;
    neighbour.told = peer.handles.kv;
    if (here.empty()) {
      for (const Pool& pool : pools_) {
        if (pool.region) here.insert(here.end(), pool.here.begin(), pool.here.end());
      }
    }
    tell(neighbour.told, true, here, {});
  }
}

void KvShardState::tell(const KvShardActor& neighbour, bool all, const std::vector<policy::BlockId>& come,
                        const std::vector<policy::BlockId>& gone) {
  if (!neighbour) return;
  std::size_t place = 0;
  do {
    schemas::KvHoldings holdings{context_->self, all && place == 0, {}, {}};
    const auto part_of = [place](const std::vector<policy::BlockId>& ids) {
      const std::size_t begin = std::min(place, ids.size());
      const std::size_t end = std::min(place + schemas::kv_holdings_max, ids.size());
      return std::vector(ids.begin() + static_cast<std::ptrdiff_t>(begin), ids.begin() + static_cast<std::ptrdiff_t>(end));
    };
    holdings.come = part_of(come);
    holdings.gone = part_of(gone);
    self_->send(neighbour, std::move(holdings));
    place += schemas::kv_holdings_max;
  } while (place < std::max(come.size(), gone.size()));
}

void KvShardState::on_holdings(const schemas::KvHoldings& holdings) {
  if (holdings.node == context_->self || holdings.node.value.empty()) return;
  if (!neighbours_.contains(holdings.node)) {
    if (neighbours_.size() >= nodes_max) return;
    neighbours_[holdings.node].heard = context_->clock->now();
  }
  if (holdings.all) context_->block_holders.forget(holdings.node);
  context_->block_holders.remove(holdings.node, holdings.gone);
  context_->block_holders.add(holdings.node, holdings.come);
}

// Lending.

std::optional<std::size_t> KvShardState::lender_of(const schemas::KvLease& asked) const {
  std::optional<std::size_t> lender;
  std::size_t most = 0;
  for (std::size_t place = 0; place < pools_.size(); ++place) {
    if (!pools_[place].region || parts_.replicas[place]->view().model != asked.model) continue;
    const auto& here = pools_[place].here;
    const auto missing = std::ranges::find_if_not(asked.chain, [&](const policy::BlockId& id) { return here.contains(id); });
    const auto held = static_cast<std::size_t>(missing - asked.chain.begin());
    if (lender && held <= most) continue;
    lender = place;
    most = held;
  }
  return lender;
}

caf::result<schemas::KvLeased> KvShardState::on_lease(const schemas::KvLease& asked) {
  const std::optional<std::size_t> lender = lender_of(asked);
  if (!lender) {
    return to_caf({ErrorCode::not_found, "node " + context_->self.value + " lends no KV blocks of model " +
                                             asked.model.fingerprint + " (" + asked.model.numeric_class + ")"});
  }
  const std::size_t place = *lender;
  Pool& pool = pools_[place];
  const std::size_t lendable = pool.blocks->memory().size() / pool.blocks->block_bytes() / lent_share;
  const std::size_t most = std::min(asked.chain.size(), lendable - std::min(lendable, pool.lent));
  if (leases_.size() + leasing_ >= leases_max || (most == 0 && !asked.chain.empty())) {
    return to_caf({ErrorCode::overloaded, "node " + context_->self.value + " has lent as many KV blocks as it may"});
  }
  pool.lent += most;
  ++leasing_;
  auto promise = self_->make_response_promise<schemas::KvLeased>();
  const Duration valid = std::chrono::milliseconds(std::clamp<std::int64_t>(asked.valid_ms, 1, lease_ms_max));
  auto pinned = resume(
      self_, std::function<void(std::shared_ptr<PinnedBlocks>)>(
                 [this, place, most, promise, valid, node = asked.node](const std::shared_ptr<PinnedBlocks>& held) mutable {
                   Pool& from = pools_[place];
                   --leasing_;
                   from.lent -= most - held->pinned().size();
                   context_->block_traffic.lent_blocks += held->pinned().size();
                   const std::uint64_t number = ++last_number_;
                   const cluster::RemoteRegion remote = from.region->remote();
                   schemas::KvLeased leased{number, remote.key, remote.bytes, from.blocks->block_bytes(), {}};
                   for (const engine::PinnedBlock& block : held->pinned()) {
                     leased.blocks.push_back({static_cast<std::uint64_t>(block.index) * leased.block_bytes, block.checksum});
                   }
                   leases_[number] = {place, node, held, context_->clock->now() + valid};
                   promise.deliver(std::move(leased));
                 }));
  auto first = asked.chain;
  first.resize(most);
  PinnedBlocks::pin(pool.blocks, std::move(first), std::move(pinned));
  return promise;
}

void KvShardState::end_lease(std::map<std::uint64_t, Lease>::iterator lease) {
  pools_[lease->second.pool].lent -= lease->second.blocks->pinned().size();
  leases_.erase(lease);
}

KvShardActorImpl::behavior_type kv_shard_actor(KvShardActorImpl::stateful_pointer<KvShardState> self, NodeContextPtr context,
                                               KvShardParts parts) {
  return self->state.start(std::move(context), std::move(parts));
}

}  // namespace troupe::actors
