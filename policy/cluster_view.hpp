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
  friend bool operator==(const BlockTraffic&, const BlockTraffic&) = default;
};

struct NodeView {
  NodeId id;
  std::uint64_t incarnation = 0;  ///< grows each time that the node starts
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
  BlockTraffic blocks;
  friend bool operator==(const NodeView&, const NodeView&) = default;
};

struct ClusterView {
  ClusterId id;
  NodeId self;
  std::vector<NodeView> nodes;  ///< ascending by id
};

}  // namespace troupe::policy
