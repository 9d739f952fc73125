// How a KV shard brings blocks here.
#include <algorithm>
#include <utility>

#include "actors/kv_shard_actor.hpp"
#include "engine/block_id.hpp"

namespace troupe::actors {

namespace {

constexpr Duration lease_timeout = std::chrono::milliseconds(500);
/// How long after a fetch began its transfer may last; whatever holds it up longer is broken off within the fabric's grace.
constexpr Duration transfer_ends_after = std::chrono::seconds(2);
static_assert(transfer_ends_after < KvShardState::wait_max, "a transfer that fails in time is answered in time");
/// As long as blocks may be read after they were asked for.
constexpr std::int64_t lease_ms = 4000;
static_assert(transfer_ends_after + cluster::fabric_grace < std::chrono::milliseconds(lease_ms));

double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

caf::result<PrefixFetched> KvShardState::on_fetch(const FetchPrefix& asked) {
  if (asked.replica >= pools_.size() || !pools_[asked.replica].blocks || asked.tokens.empty()) return PrefixFetched{};
  const policy::BlockId root = parts_.replicas[asked.replica]->view().block_root;
  // The last token is computed in any case: only that gives the first logits.
  const auto reusable = std::span(asked.tokens).first(asked.tokens.size() - 1);
  auto planned = plan(asked.replica, engine::chain_of(root, reusable));
  if (!planned) return PrefixFetched{};
  const std::pair which{static_cast<std::size_t>(asked.replica), planned->chain[planned->first]};
  // A promise takes the answer over: it is made only for those who wait.
  if (const auto same = fetching_.find(which); same != fetching_.end()) {
    Fetch& fetch = fetches_.at(same->second);
    if (fetch.waiting.size() >= waiting_max || is_late(fetch)) return PrefixFetched{};
    return fetch.waiting.emplace_back(self_->make_response_promise<PrefixFetched>());
  }
  if (fetches_.size() >= fetches_max) return PrefixFetched{};
  const std::uint64_t number = ++last_number_;
  auto promise = planned->waiting.emplace_back(self_->make_response_promise<PrefixFetched>());
  planned->begun = context_->clock->now();
  fetching_[which] = number;
  const bool from_store = planned->source.value.empty();
  fetches_[number] = *std::move(planned);
  if (from_store) {
    make_room(number);
  } else {
    ask_for_lease(number);
  }
  return promise;
}

std::optional<KvShardState::Fetch> KvShardState::plan(std::size_t pool, std::vector<policy::BlockId> chain) const {
  if (chain.size() > schemas::kv_chain_max) chain.resize(schemas::kv_chain_max);
  const Pool& into = pools_[pool];
  const auto missing_at = std::ranges::find_if_not(chain, [&](const policy::BlockId& id) { return into.here.contains(id); });
  const auto first = static_cast<std::size_t>(missing_at - chain.begin());
  const std::span missing_chain = std::span(chain).subspan(first);
  if (missing_chain.empty()) return std::nullopt;

  const TimePoint now = context_->clock->now();
  std::vector<policy::PrefixSource> sources;
  if (parts_.store) sources.push_back({{}, parts_.store->count(missing_chain), store_fetch_.rate(now)});
  if (into.region) {
    for (const cluster::BlockHolder& holder : context_->block_holders.holders(missing_chain)) {
      const auto neighbour = neighbours_.find(holder.node);
      if (neighbour == neighbours_.end() || !shard_at(holder.node) || !reaches(holder.node)) continue;
      sources.push_back({holder.node, holder.blocks, neighbour->second.fetch.rate(now)});
    }
  }
  const policy::MissingPrefix missing{missing_chain.size(), into.blocks->block_bytes(), engine::kv_block_positions,
                                      into.blocks->prefill_seconds_per_token()};
  const auto chosen = policy::plan_fetch(missing, sources);
  if (!chosen) return std::nullopt;
  Fetch fetch;
  fetch.pool = pool;
  fetch.first = first;
  fetch.source = sources[chosen->source].node;
  chain.resize(first + chosen->blocks);
  fetch.chain = std::move(chain);
  return fetch;
}

void KvShardState::ask_for_lease(std::uint64_t number) {
  const Fetch& fetch = fetches_.at(number);
  const KvShardActor shard = shard_at(fetch.source);
  if (!shard) return end_fetch(number, 0);
  schemas::KvLease ask{context_->self, parts_.replicas[fetch.pool]->view().model, {}, lease_ms};
  ask.chain.assign(fetch.chain.begin() + static_cast<std::ptrdiff_t>(fetch.first), fetch.chain.end());
  self_->request(shard, lease_timeout, std::move(ask))
      .then(
          [this, number](schemas::KvLeased& leased) {
            Fetch& leasing = fetches_.at(number);
            leasing.leased = std::move(leased);
            const std::size_t blocks = leasing.leased->blocks.size();
            if (blocks == 0 || leasing.leased->block_bytes != pools_[leasing.pool].blocks->block_bytes()) {
              // It has evicted them since it said that they are there.
              doubt(leasing);
              return end_fetch(number, 0);
            }
            leasing.chain.resize(std::min(leasing.chain.size(), leasing.first + blocks));
            make_room(number);
          },
          [this, number](const caf::error& error) {
            // Else everybody whose prompt begins so would wait for it as long.
            if (error == caf::sec::request_timeout) doubt(fetches_.at(number));
            end_fetch(number, 0);
          });
}

void KvShardState::make_room(std::uint64_t number) {
  const Fetch& fetch = fetches_.at(number);
  auto made = resume(self_, std::function<void(std::shared_ptr<IncomingBlocks>)>(
                                [this, number](const std::shared_ptr<IncomingBlocks>& room) { on_room(number, room); }));
  IncomingBlocks::make(pools_[fetch.pool].blocks, fetch.chain, std::move(made));
}

void KvShardState::on_room(std::uint64_t number, const std::shared_ptr<IncomingBlocks>& room) {
  const Fetch& fetch = fetches_.at(number);
  // More may be here by now; if it is less, what was asked for does not follow it.
  if (room->incoming().empty() || room->present() < fetch.first) return end_fetch(number, 0);
  if (fetch.source.value.empty()) return read_store(number, room);
  // It may have taken the engine so long that no time is left; or the node dies.
  if (context_->clock->now() >= fetch.begun + transfer_ends_after || !context_->fabric) return end_fetch(number, 0);
  get(number, room);
}

void KvShardState::read_store(std::uint64_t number, const std::shared_ptr<IncomingBlocks>& room) {
  auto targets = room->targets();
  std::vector<policy::BlockId> chain;
  for (std::size_t place = 0; place < targets.size(); ++place) chain.push_back(room->incoming()[place].id);
  auto read = resume(self_, std::function<void(Checksums)>(
                                [this, number, room](Checksums checksums) { finish(number, room, std::move(checksums)); }));
  // Whatever becomes of this actor: the room and its memory stay until the store is done with them.
  parts_.store->read(std::move(chain), std::move(targets),
                     [read, room, in_use = parts_.memory_in_use](Checksums checksums) { read(std::move(checksums)); });
}

void KvShardState::get(std::uint64_t number, const std::shared_ptr<IncomingBlocks>& room) {
  Fetch& fetch = fetches_.at(number);
  const Pool& pool = pools_[fetch.pool];
  const std::size_t skipped = room->present() - fetch.first;
  const std::size_t block_bytes = pool.blocks->block_bytes();
  std::vector<cluster::Piece> pieces;
  Checksums checksums;
  for (std::size_t place = 0; place < room->incoming().size(); ++place) {
    const schemas::KvLeasedBlock& block = fetch.leased->blocks[skipped + place];
    const cluster::Piece piece{block.offset, room->offset(place), block_bytes};
    checksums.push_back(block.checksum);
    if (!pieces.empty() && pieces.back().remote_offset + pieces.back().bytes == piece.remote_offset &&
        pieces.back().local_offset + pieces.back().bytes == piece.local_offset) {
      pieces.back().bytes += piece.bytes;
    } else {
      pieces.push_back(piece);
    }
  }
  auto got = resume(self_, std::function<void(Result<void>)>(
                               [this, number, room, checksums = std::move(checksums)](const Result<void>& arrived) mutable {
                                 if (!arrived) {
                                   context_->log(LogLevel::info, "KV blocks did not come", {{"why", arrived.error().message}});
                                   doubt(fetches_.at(number));
                                   return end_fetch(number, 0);
                                 }
                                 finish(number, room, std::move(checksums));
                               }));
  fetch.transfer =
      context_->fabric->get(fetch.source, {fetch.leased->region_key, fetch.leased->region_bytes}, pool.region,
                            std::move(pieces), fetch.begun + transfer_ends_after,
                            [got, room, in_use = parts_.memory_in_use](Result<void> arrived) { got(std::move(arrived)); });
}

void KvShardState::finish(std::uint64_t number, const std::shared_ptr<IncomingBlocks>& room, Checksums checksums) {
  fetches_.at(number).transfer.reset();
  const std::size_t bytes = checksums.size() * pools_[fetches_.at(number).pool].blocks->block_bytes();
  std::vector<policy::BlockId> came;
  for (std::size_t place = 0; place < checksums.size(); ++place) came.push_back(room->incoming()[place].id);
  auto finished =
      resume(self_, std::function<void(engine::BlocksImported)>(
                        [this, number, bytes, present = room->present(), came = std::move(came)](
                            const engine::BlocksImported& imported) { on_finished(number, bytes, present, imported, came); }));
  room->finish(std::move(checksums), std::move(finished));
}

void KvShardState::on_finished(std::uint64_t number, std::size_t bytes, std::size_t present,
                               const engine::BlocksImported& imported, const std::vector<policy::BlockId>& came) {
  const Fetch& fetch = fetches_.at(number);
  const std::size_t right = came.size() - imported.wrong;
  const TimePoint now = context_->clock->now();
  const double took = seconds(now - fetch.begun);
  const bool from_store = fetch.source.value.empty();
  auto& traffic = context_->block_traffic;
  if (imported.wrong > 0) {
    traffic.wrong_blocks += imported.wrong;
    context_->log(LogLevel::warning, "KV blocks were wrong, and are computed",
                  {{"from", from_store ? "the store" : fetch.source.value}, {"blocks", std::to_string(imported.wrong)}});
    // Which of them is not said: none of them is asked for there again.
    if (from_store) {
      parts_.store->drop_wrong(came);
    } else {
      context_->block_holders.remove(fetch.source, came);
    }
  }
  if (from_store) {
    traffic.restored_blocks += right;
    if (bytes > 0) store_fetch_.record(bytes, took, now);
  } else {
    traffic.fetched_blocks += right;
    traffic.fetched_bytes += bytes;
    const auto neighbour = neighbours_.find(fetch.source);
    if (neighbour != neighbours_.end()) neighbour->second.fetch.record(bytes, took, now);
  }
  end_fetch(number, imported.usable - std::min(imported.usable, present));
}

void KvShardState::doubt(const Fetch& fetch) {
  context_->block_holders.remove(fetch.source, std::span(fetch.chain).subspan(fetch.first));
}

void KvShardState::end_fetch(std::uint64_t number, std::size_t blocks) {
  const auto found = fetches_.find(number);
  Fetch& fetch = found->second;
  if (fetch.leased) {
    if (const KvShardActor shard = shard_at(fetch.source)) {
      self_->send(shard, schemas::KvRelease{context_->self, fetch.leased->lease});
    }
  }
  fetching_.erase({fetch.pool, fetch.chain[fetch.first]});
  answer(fetch, blocks);
  fetches_.erase(found);
}

void KvShardState::answer(Fetch& fetch, std::size_t blocks) {
  for (Promise& promise : fetch.waiting) promise.deliver(PrefixFetched{blocks});
  fetch.waiting.clear();
}

bool KvShardState::is_late(const Fetch& fetch) const { return context_->clock->now() - fetch.begun >= wait_max; }

}  // namespace troupe::actors
