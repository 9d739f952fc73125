// What all actors of a node share: who the node is, the outside world behind interfaces, and the latest picture of the cluster.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "actors/messages.hpp"
#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "base/log.hpp"
#include "cluster/block_directory.hpp"
#include "cluster/fabric_links.hpp"
#include "policy/cluster_view.hpp"
#include "policy/failed_places.hpp"
#include "policy/routing.hpp"
#include "policy/shadow.hpp"
#include "storage/journal.hpp"

namespace troupe::actors {

/// Handles of a node's actors. Those of other nodes come from the directory alone; empty while there is no connection.
struct PeerHandles {
  NodeActor node;
  HomeActor home;
  ReaderActor reader;
  LeaseActor lease;                  ///< only of the node that grants leases
  std::vector<EngineActor> engines;  ///< by replica index
  KvShardActor kv;
};

struct Peer {
  policy::NodeView view;
  PeerHandles handles;
};

/// A picture of the cluster at one moment.
struct Cluster {
  policy::ClusterId id;
  policy::NodeId self;
  std::vector<Peer> peers;  ///< ascending by node, this one included
  /// When a node was last known to serve a tier; where none was, when this node began to look.
  policy::PerTier<TimePoint> served{};

  const Peer* find(const policy::NodeId& node) const;
  /// The peer that grants leases, if it is known.
  const Peer* lease_holder() const;
};

/// Where one actor puts a value that does not change any more, and everybody on the node finds the latest. Who has found one
/// keeps it as long as he likes.
template <class Value>
class Cell {
 public:
  explicit Cell(std::shared_ptr<const Value> first = nullptr) : value_(std::move(first)) {}
  std::shared_ptr<const Value> load() const {
    const std::scoped_lock lock(mutex_);
    return value_;
  }
  void store(std::shared_ptr<const Value> value) {
    const std::scoped_lock lock(mutex_);
    value_.swap(value);  // the one before goes when the lock is open again
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Value> value_;
};

/// Until when this node may act as a home. Only the node actor moves it, and only forwards.
class LeaseSession {
 public:
  void extend(TimePoint until) { until_.store(until.time_since_epoch().count()); }
  bool valid(TimePoint now) const { return now.time_since_epoch().count() < until_.load(); }

 private:
  std::atomic<Duration::rep> until_{0};
};

/// What the KV shard counts (policy::BlockTraffic).
struct BlockTrafficCounters {
  std::atomic<std::uint64_t> fetched_blocks{0};
  std::atomic<std::uint64_t> fetched_bytes{0};
  std::atomic<std::uint64_t> restored_blocks{0};
  std::atomic<std::uint64_t> wrong_blocks{0};
  std::atomic<std::uint64_t> lent_blocks{0};
  std::atomic<std::uint64_t> host_bytes{0};
  std::atomic<std::uint64_t> disk_bytes{0};
  policy::BlockTraffic load() const {
    return {fetched_blocks, fetched_bytes, restored_blocks, wrong_blocks, lent_blocks, host_bytes, disk_bytes};
  }
};

/// What became of the stages of turns at home here, for operators. Any thread.
class StageCounters {
 public:
  void count(const policy::StageEntry& entry) {
    const std::scoped_lock lock(mutex_);
    ++counts_[policy::place_of(entry.stage)].of(entry.trouble);
  }
  policy::PerStage<policy::StageCounts> load() const {
    const std::scoped_lock lock(mutex_);
    return counts_;
  }

 private:
  mutable std::mutex mutex_;
  policy::PerStage<policy::StageCounts> counts_{};
};

/// Replicas that failed what this node asked of them. Any thread.
class PlaceTrouble {
 public:
  void failed(const policy::ReplicaPlace& place, TimePoint now) {
    const std::scoped_lock lock(mutex_);
    places_.failed(place, now);
  }
  void answered(const policy::ReplicaPlace& place) {
    const std::scoped_lock lock(mutex_);
    places_.answered(place);
  }
  std::vector<policy::ReplicaPlace> without_failed(std::vector<policy::ReplicaPlace> places, TimePoint now) const {
    const std::scoped_lock lock(mutex_);
    return places_.without(std::move(places), now);
  }

 private:
  mutable std::mutex mutex_;
  policy::FailedPlaces places_;
};

class NodeExperts;
struct IndexedCorpus;

/// Lives as long as any actor of the node.
struct NodeContext {
  policy::NodeId self;
  std::uint64_t incarnation = 0;
  std::shared_ptr<const Clock> clock;
  std::shared_ptr<const WallClock> wall;
  std::shared_ptr<Entropy> entropy;
  std::shared_ptr<storage::Journal> journal;
  std::shared_ptr<const policy::RoutingPolicy> routing;
  std::vector<policy::ShadowArm> shadows;  ///< what `routing` says is answered once more; never changes
  Log log;
  std::shared_ptr<cluster::Fabric> fabric;      ///< for host memory; null: this node moves no bulk bytes
  std::shared_ptr<cluster::FabricLinks> links;  ///< whom it reaches; null as the fabric is. The directory has it follow
  std::shared_ptr<NodeExperts> experts;         ///< null: this node has no placement of experts
  Cell<Cluster> cluster{std::make_shared<const Cluster>()};
  Cell<IndexedCorpus> corpus;  ///< null: none. Set before the node starts; then the corpus actor changes it (corpus_actor.hpp)
  LeaseSession session;
  std::atomic<bool> draining{false};           ///< no new turns: the node is about to end
  std::atomic<bool> leaving{false};            ///< an operator drains the node: what is at home here goes elsewhere
  std::atomic<std::int32_t> conversations{0};  ///< awake here
  std::atomic<std::int32_t> turns{0};          ///< accepted here and not ended
  std::atomic<std::int32_t> stored{0};         ///< conversations whose records are here, as they were counted last
  cluster::BlockDirectory block_holders;       ///< which nodes hold which KV blocks, this one included
  BlockTrafficCounters block_traffic;
  StageCounters contracts;
  PlaceTrouble place_trouble;
  std::atomic<std::int64_t> experts_alone{0};  ///< that are loaded on no other node that stays
};
using NodeContextPtr = std::shared_ptr<NodeContext>;

}  // namespace troupe::actors
