// Where a model's experts are: which nodes shall hold which, who computes a step's experts, and who takes over the experts of a
// node that is gone. Pure functions of what is known.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "policy/cluster_view.hpp"
#include "policy/expert_selection.hpp"

namespace troupe::policy {

/// For each expert the nodes that hold it, in order of preference: the first computes it where it can.
struct ExpertPlacement {
  std::map<ExpertId, std::vector<NodeId>> holders;
  /// What one node holds.
  ExpertSelection of(const NodeId& node) const;
  /// The nodes that hold at least one of these, ascending.
  std::vector<NodeId> homes_of(const ExpertSelection& experts) const;
  friend bool operator==(const ExpertPlacement&, const ExpertPlacement&) = default;
};

/// A node with room for experts.
struct ExpertRoom {
  NodeId node;
  std::size_t bytes = 0;
};

/// `not_found` for a node that is not among `nodes`; `out_of_range` for an expert that the shape does not have;
/// `invalid_argument` for one without a home, or with the same home twice; `too_large` for a node with too little room.
Result<void> validate(const ExpertPlacement& placement, const ExpertShape& shape, std::span<const ExpertRoom> nodes);

/// A placement of every expert on `replicas` nodes each. A function of its arguments alone. Where there is room, nodes get
/// equal shares, a full node less and the others more; each node's share of every layer is about the same, so that a step
/// keeps all nodes busy, and so is the number of experts of which it comes first.
/// `too_large` with the numbers if the nodes have too little room; `invalid_argument` for nodes named twice.
Result<ExpertPlacement> place_experts(const ExpertShape& shape, std::vector<ExpertRoom> nodes, std::int32_t replicas);

/// A node that answers for experts now.
struct ExpertHolder {
  NodeId node;
  ExpertSelection experts;
  std::int64_t load = 0;  ///< any measure that grows with what it has to do
  friend bool operator==(const ExpertHolder&, const ExpertHolder&) = default;
};

/// Of a wanted expert: a place in the list of holders, or one of these.
inline constexpr std::int32_t expert_is_here = -1;
inline constexpr std::int32_t expert_is_missing = -2;

/// Who computes the wanted experts (ascending, each once) of one layer: what is here stays here; the others go to few nodes,
/// chosen one after the other: whoever has most of what is left, of those the least loaded, of those the first.
/// Returns a place for each wanted expert.
std::vector<std::int32_t> choose_holders(std::int32_t layer, std::span<const std::int32_t> wanted, const ExpertSelection& here,
                                         std::span<const ExpertHolder> holders);

/// A node that could load experts.
struct ExpertRescuer {
  NodeId node;
  std::size_t bytes_free = 0;
  bool has_model = false;  ///< on its disk
};
struct ExpertRescue {
  std::map<NodeId, ExpertSelection> loads;
  ExpertSelection left;  ///< for these nobody has room
  friend bool operator==(const ExpertRescue&, const ExpertRescue&) = default;
};
/// Who shall load which of the missing experts: each goes to the node with most room left, of those the first by name.
ExpertRescue rescue(const ExpertSelection& missing, std::size_t expert_bytes, std::vector<ExpertRescuer> nodes);

}  // namespace troupe::policy
