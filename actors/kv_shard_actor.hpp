// The KV blocks of a node beyond its own pools: knows which other nodes hold what, tells them what is here, lends blocks to
// them, and, when a sequence begins, brings the part of its prompt here that is cheaper to bring than to compute
// (policy/kv_fetch.hpp): from another node over the fabric, straight into the pool, or from the levels below it. What comes is
// verified before it gets a name (engine::KvCache::finish_import).
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <unordered_set>
#include <vector>

#include "actors/context.hpp"
#include "actors/moving_blocks.hpp"
#include "actors/replica.hpp"
#include "cluster/fabric.hpp"
#include "policy/kv_fetch.hpp"
#include "storage/block_store.hpp"

namespace troupe::actors {

/// Asks for the blocks of what a sequence is about to read. Never leaves the node.
struct FetchPrefix {
  std::uint32_t replica = 0;
  policy::TokenIds tokens;
};
/// Whatever was worth bringing is here.
struct PrefixFetched {
  std::size_t blocks = 0;  ///< that were brought
};

using KvShardActorImpl = KvShardActor::extend<on<FetchPrefix>::gives<PrefixFetched>, takes<Continuation>>;
/// The shard of the own node; empty if there is none.
KvShardActorImpl kv_shard_of(const NodeContext& context);

struct KvShardParts {
  std::vector<std::shared_ptr<Replica>> replicas;
  std::shared_ptr<storage::BlockStore> store;  ///< below the pools; null: what is evicted is gone
  /// Held by whatever may touch the replicas' memory: once nobody else holds it, they may go.
  std::shared_ptr<const void> memory_in_use;
};

class KvShardState {
 public:
  explicit KvShardState(KvShardActorImpl::pointer self) : self_(self) {}
  ~KvShardState();
  static inline const char* name = "kv_shard";

  static constexpr std::size_t fetches_max = 64;  ///< under way; one more is not brought
  static constexpr std::size_t leases_max = 1024;
  static constexpr std::size_t lent_share = 4;     ///< at most one of so many blocks of a pool is lent
  static constexpr std::size_t nodes_max = 1024;   ///< whose holdings are known
  static constexpr std::size_t waiting_max = 256;  ///< for one fetch
  /// Whoever waits for a fetch is answered then, whatever becomes of it. An engine waits a little longer.
  static constexpr Duration wait_max = std::chrono::milliseconds(2500);

  KvShardActorImpl::behavior_type start(NodeContextPtr context, KvShardParts parts);

 private:
  struct Pool {
    std::shared_ptr<ReplicaBlocks> blocks;  ///< null: they do not move
    cluster::RegionPtr region;              ///< null: not over a fabric
    std::unordered_set<policy::BlockId> here;
    std::size_t lent = 0;  ///< or about to be
    bool asked = false;    ///< what has changed
  };
  struct Lease {
    std::size_t pool = 0;
    policy::NodeId node;
    std::shared_ptr<PinnedBlocks> blocks;
    TimePoint until{};
  };
  using Promise = caf::typed_response_promise<PrefixFetched>;
  struct Fetch {
    std::size_t pool = 0;
    std::vector<policy::BlockId> chain;  ///< from the sequence's first block to the last one that shall come
    std::size_t first = 0;               ///< its first block that was not here
    policy::NodeId source;               ///< empty: the store
    std::vector<Promise> waiting;
    TimePoint begun{};
    std::optional<schemas::KvLeased> leased;
    std::optional<cluster::TransferId> transfer;
  };
  /// What is known of another node.
  struct Neighbour {
    KvShardActor told;  ///< has heard of all that is here
    TimePoint heard{};
    policy::MeasuredFetch fetch;
  };
  using Checksums = std::vector<std::uint64_t>;

  // What is where.
  void tick();
  void look(std::size_t pool);
  void on_changes(std::size_t pool, const engine::BlockChanges& changes);
  void tell_neighbours();
  void tell(const KvShardActor& neighbour, bool all, const std::vector<policy::BlockId>& come,
            const std::vector<policy::BlockId>& gone);
  void on_holdings(const schemas::KvHoldings& holdings);

  // Lending.
  /// The pool of the model that holds the longest beginning of what is asked for.
  std::optional<std::size_t> lender_of(const schemas::KvLease& asked) const;
  caf::result<schemas::KvLeased> on_lease(const schemas::KvLease& asked);
  void end_lease(std::map<std::uint64_t, Lease>::iterator lease);

  // Bringing.
  caf::result<PrefixFetched> on_fetch(const FetchPrefix& asked);
  std::optional<Fetch> plan(std::size_t pool, std::vector<policy::BlockId> chain) const;
  void ask_for_lease(std::uint64_t number);
  void make_room(std::uint64_t number);
  void on_room(std::uint64_t number, const std::shared_ptr<IncomingBlocks>& room);
  void read_store(std::uint64_t number, const std::shared_ptr<IncomingBlocks>& room);
  void get(std::uint64_t number, const std::shared_ptr<IncomingBlocks>& room);
  void finish(std::uint64_t number, const std::shared_ptr<IncomingBlocks>& room, Checksums checksums);
  void on_finished(std::uint64_t number, std::size_t bytes, std::size_t present, const engine::BlocksImported& imported,
                   const std::vector<policy::BlockId>& came);
  /// Its source is not asked for these blocks again before it says anew that it has them.
  void doubt(const Fetch& fetch);
  /// Answers all who wait.
  void end_fetch(std::uint64_t number, std::size_t blocks);
  static void answer(Fetch& fetch, std::size_t blocks);
  /// Nobody waits for it any longer.
  bool is_late(const Fetch& fetch) const;
  KvShardActor shard_at(const policy::NodeId& node) const;
  /// Whether the fabric that the pools are exposed on leads there.
  bool reaches(const policy::NodeId& node) const;

  KvShardActorImpl::pointer self_;
  NodeContextPtr context_;
  KvShardParts parts_;
  std::vector<Pool> pools_;  ///< by replica
  std::map<policy::NodeId, Neighbour> neighbours_;
  std::map<std::uint64_t, Lease> leases_;
  std::map<std::uint64_t, Fetch> fetches_;
  std::map<std::pair<std::size_t, policy::BlockId>, std::uint64_t> fetching_;  ///< by pool and first missing block
  std::uint64_t last_number_ = 0;
  std::size_t leasing_ = 0;  ///< leases whose blocks have yet to be pinned
  policy::MeasuredFetch store_fetch_;
  TimePoint tell_all_at_{};
};

KvShardActorImpl::behavior_type kv_shard_actor(KvShardActorImpl::stateful_pointer<KvShardState> self, NodeContextPtr context,
                                               KvShardParts parts);

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FetchPrefix)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::PrefixFetched)
