// Which nodes hold which KV blocks, as far as one node has been told. Soft state: what is missing or wrong here costs a
// computation or a question in vain, never an answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "policy/block.hpp"
#include "policy/cluster_view.hpp"

namespace troupe::cluster {

using policy::BlockId;
using policy::NodeId;

struct BlockHolder {
  NodeId node;
  std::size_t blocks = 0;  ///< of a chain, from the one that was asked about on
  friend bool operator==(const BlockHolder&, const BlockHolder&) = default;
};

/// May be used from any thread.
class BlockDirectory {
 public:
  /// Of one node; what it holds beyond that is not remembered.
  static constexpr std::size_t blocks_max = std::size_t{1} << 20;

  void add(const NodeId& node, std::span<const BlockId> blocks);
  void remove(const NodeId& node, std::span<const BlockId> blocks);
  void forget(const NodeId& node);

  /// Nodes that hold at least the first block of `chain`, the longest beginnings first, then by name.
  std::vector<BlockHolder> holders(std::span<const BlockId> chain) const;
  std::size_t blocks_of(const NodeId& node) const;

 private:
  using Nodes = std::vector<NodeId>;  ///< few; ascending
  mutable std::mutex mutex_;
  std::unordered_map<BlockId, Nodes> holders_;
  std::map<NodeId, std::size_t> counts_;
};

}  // namespace troupe::cluster
