// One node of a layout, made of the real parts: a fabric, an engine with its levels below and its shard, a server for its
// experts, and the dispatch that asks others for theirs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/cluster/expert_cluster.hpp"
#include "tests/layouts/shard.hpp"

namespace troupe::tests::layouts {

/// What all nodes of a layout share. Everything here outlives them.
struct NodeWorld {
  EventLoop* loop = nullptr;
  cluster::LocalHub* hub = nullptr;
  const TinyModel* tiny = nullptr;
  bool has_experts = false;
  ShardWorld shards;
  ArrivalOrder* arrivals = nullptr;  ///< plants the defect that results are added in the order in which they come
  /// A node finds that nobody answers for these.
  std::function<void(const policy::ExpertSelection& missing)> on_missing;
  std::function<void(const policy::NodeId& node, const policy::NodeId& lost)> on_lost;
};

class Node {
 public:
  /// `life` tells it from earlier ones of its name.
  Node(const NodeLayout& layout, std::uint64_t life, NodeWorld& world);
  /// At once, as if it were killed; not from anything that a fabric calls.
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// Both can reach each other from now on.
  void meet(Node& other);
  /// Loads experts and answers for them.
  void load_experts(const policy::ExpertSelection& experts);
  /// No longer answers for any.
  void withdraw_experts();
  /// What it answers for.
  policy::ExpertSelection served() const;
  /// What it knows of others.
  void hear_of_holders(cluster::ExpertHolders holders);

  const policy::NodeId& id() const { return id_; }
  const NodeLayout& layout() const { return layout_; }
  cluster::ExpertDispatchCounters dispatched() const;
  std::uint64_t messages_dropped() const { return port_ ? port_->dropped() : 0; }

  bool draining = false;
  std::unique_ptr<engine::Engine> engine;  ///< null if it runs no sequences
  std::shared_ptr<Shard> shard;            ///< of an engine
  std::shared_ptr<storage::BlockStore> below;

 private:
  void open_engine();
  void on_lost(const policy::NodeId& peer, const Error& why);

  NodeLayout layout_;
  policy::NodeId id_;
  NodeWorld& world_;
  std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
  std::unique_ptr<kernels::CpuDevice> device_;
  std::shared_ptr<const model::Model> model_;  ///< of an engine
  std::unique_ptr<cluster::Fabric> fabric_;
  std::unique_ptr<cluster::ExpertServer> server_;  ///< where there are experts
  std::unique_ptr<cluster::ExpertPort> port_;
  std::unique_ptr<cluster::ExpertDispatch> dispatch_;
  std::unique_ptr<WatchedExperts> watched_;
  std::vector<std::shared_ptr<const void>> serving_;
  std::shared_ptr<const cluster::ExpertHolders> holders_ = std::make_shared<cluster::ExpertHolders>();
};

}  // namespace troupe::tests::layouts
