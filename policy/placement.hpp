// On which replica an attempt runs. It never changes the answer, only when it comes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "policy/cluster_view.hpp"

namespace troupe::policy {

/// A replica somewhere in the cluster.
struct ReplicaPlace {
  NodeId node;
  std::uint32_t index = 0;
  friend bool operator==(const ReplicaPlace&, const ReplicaPlace&) = default;
  friend auto operator<=>(const ReplicaPlace&, const ReplicaPlace&) = default;
};

/// Replicas of a tier on nodes that serve; of a draining node only if no other has the tier.
std::vector<ReplicaPlace> places_of(std::span<const NodeView> nodes, Tier tier);
/// The same for a model's class, whatever tier it plays.
std::vector<ReplicaPlace> places_of(std::span<const NodeView> nodes, const ModelClass& model);

/// How much of a prompt needs no computing where.
struct ExpectedReuse {
  std::int32_t prompt_tokens = 0;  ///< 0: the prompt is not known yet
  std::map<NodeId, std::int32_t> held_tokens;
};

/// The place where the sequence costs the fewest tokens of work before its answer is there: the prompts of those that wait, the
/// own prompt but for what is held there, and a row of each step for those that run. Without a known prompt, the place with the
/// shortest queue. Among equals the one that `before` names (its cache may hold the conversation's prefix), then the one that
/// runs the fewest sequences, then one on this node, then the first. None if there are no places.
std::optional<ReplicaPlace> choose_place(std::span<const NodeView> nodes, std::span<const ReplicaPlace> places,
                                         const std::optional<ReplicaPlace>& before, const NodeId& self,
                                         const ExpectedReuse& reuse = {});

/// The tiers that some serving node has, ascending.
std::vector<Tier> served_tiers(std::span<const NodeView> nodes);

}  // namespace troupe::policy
