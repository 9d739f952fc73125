// What a node has to do about experts, as it sees the cluster: whom its engines ask, which experts nobody else has, who could
// load more, and what it may give up.
#pragma once

#include <span>
#include <vector>

#include "policy/cluster_view.hpp"
#include "policy/expert_placement.hpp"

namespace troupe::policy {

/// Who answers for experts of a model: `self`, if it does, and those that bytes reach from there. Ascending by name.
std::vector<ExpertHolder> holders_of(std::span<const NodeView> nodes, const NodeId& self, const ModelClass& model);

/// Of what `self` holds, the experts that no other node holds that is to stay: none that is gone or being drained.
ExpertSelection only_here(std::span<const NodeView> nodes, const NodeId& self, const ModelClass& model);

/// Who could load experts of a model: the serving nodes that have it on their disk and that bytes reach from `self`, itself
/// included if it serves.
std::vector<ExpertRescuer> rescuers_of(std::span<const NodeView> nodes, const NodeId& self, const ModelClass& model);

/// The others that have been given another placement of the model than `self`, ascending by name; those that are gone left out.
std::vector<NodeId> placed_otherwise(std::span<const NodeView> nodes, const NodeId& self, const ModelClass& model);

/// Whether all of these are held where the placement wants them, by other serving nodes that this one reaches: then a node that
/// loaded them in an emergency may give them up. Since the placement is the same everywhere, two such nodes never rely on each
/// other.
bool are_at_home(std::span<const NodeView> nodes, const NodeId& self, const ModelClass& model, const ExpertSelection& experts,
                 const ExpertPlacement& placement);

}  // namespace troupe::policy
