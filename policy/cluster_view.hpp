// What a node knows of the cluster, as plain values: who is there, in what state, and which models they run.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/name.hpp"
#include "policy/block.hpp"
#include "policy/contract.hpp"
#include "policy/expert_selection.hpp"
#include "policy/portfolio.hpp"

namespace troupe::policy {

using ClusterId = Name128<struct ClusterTag>;
/// The name that an operator gave; unique in a cluster.
using NodeId = Id<struct NodeTag, std::string>;

enum class NodeState : std::uint8_t { joining, serving, draining, gone };
std::string_view to_string(NodeState state);

/// One loaded model that can run sequences.
struct ReplicaView {
  std::uint32_t index = 0;  ///< within its node
  Tier tier = Tier::mini;
  std::string model_name;
  ModelClass model;
  std::uint64_t parameters = 0;
  std::uint64_t active_parameters = 0;  ///< that take part in a token
  std::int32_t context_max = 0;         ///< tokens of prompt and answer
  std::int32_t running = 0;
  std::int32_t waiting = 0;
  std::int32_t blocks_total = 0;
  std::int32_t blocks_free = 0;  ///< neither used nor cached
  std::int32_t blocks_cached = 0;
  std::uint64_t generated_tokens = 0;  ///< since it started
  std::uint64_t prompt_tokens = 0;
  std::uint64_t reused_tokens = 0;  ///< of the prompts
  BlockId block_root;               ///< where its blocks' names begin (engine/block_id.hpp); empty: its blocks do not move
  std::string fault;                ///< that it was given on purpose (policy/fault.hpp); empty: none
  friend bool operator==(const ReplicaView&, const ReplicaView&) = default;
};

/// What became of KV blocks that were not computed where they were used, since the node started.
struct BlockTraffic {
  std::uint64_t fetched_blocks = 0;   ///< from other nodes
  std::uint64_t fetched_bytes = 0;    ///< the same
  std::uint64_t restored_blocks = 0;  ///< from host memory or the disk
  std::uint64_t wrong_blocks = 0;     ///< came, did not verify, and were computed again
  std::uint64_t lent_blocks = 0;      ///< to other nodes
  std::uint64_t host_bytes = 0;       ///< of evicted blocks, in host memory now
  std::uint64_t disk_bytes = 0;       ///< the same on the disk
  BlockTraffic& operator+=(const BlockTraffic& other);
  friend bool operator==(const BlockTraffic&, const BlockTraffic&) = default;
};

/// A way to move bulk bytes to and from a node, for others that have a fabric of the same transport.
struct TransportView {
  std::string name;     ///< "nccl", "ucx", "local"
  std::string address;  ///< opaque bytes, for the fabric at the other end
  std::string scope;    ///< it reaches those with the same; empty: everybody
  friend bool operator==(const TransportView&, const TransportView&) = default;
};

/// Another node that a node has found at the end of a transport: the best of those that reach it.
struct LinkView {
  NodeId node;
  std::string transport;
  friend bool operator==(const LinkView&, const LinkView&) = default;
};

/// What a node holds of one model's experts, and could hold: it has the model on its disk.
struct ExpertsView {
  std::string model_name;
  ModelClass model;
  ExpertSelection experts;         ///< it answers for these
  std::int64_t experts_total = 0;  ///< of the model
  std::uint64_t expert_bytes = 0;  ///< that one takes where it is loaded
  std::int64_t load = 0;           ///< works that wait or are computed
  std::uint64_t placement = 0;     ///< digest of the placement that it was started with: equal where nodes agree
  friend bool operator==(const ExpertsView&, const ExpertsView&) = default;
};

struct NodeView {
  NodeId id;
  std::uint64_t incarnation = 0;  ///< grows each time that the node starts: when that was, in seconds since 1970, or more
  NodeState state = NodeState::joining;
  std::string cluster_address;  ///< "host:port" where other nodes connect
  std::string client_address;   ///< "host:port" where clients connect
  bool leases = false;          ///< it grants the leases
  std::string version;
  std::int32_t conversations = 0;  ///< awake here
  std::int32_t turns = 0;          ///< running here
  std::string corpus_version;      ///< empty: no corpus
  std::int32_t corpus_sections = 0;
  std::vector<ReplicaView> replicas;
  std::int32_t conversations_stored = 0;  ///< whose records are here, awake or asleep
  std::vector<TransportView> transports;  ///< that it offers
  std::vector<LinkView> links;            ///< ascending by node
  std::vector<ExpertsView> experts;       ///< by model
  std::uint64_t expert_bytes_free = 0;    ///< for more of them
  std::int64_t experts_alone = 0;         ///< not held elsewhere, as far as it knows; drained: not handed over
  BlockTraffic blocks;
  PerStage<StageCounts> contracts{};  ///< of the turns of conversations at home here, since the node started
  /// Leaves out what is about bulk bytes and experts: most of a view's bytes.
  void forget_data_plane();
  friend bool operator==(const NodeView&, const NodeView&) = default;
};

struct ClusterView {
  ClusterId id;
  NodeId self;
  std::vector<NodeView> nodes;  ///< ascending by id
};

}  // namespace troupe::policy
