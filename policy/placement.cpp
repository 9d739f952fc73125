#include "policy/placement.hpp"

#include <algorithm>
#include <tuple>

namespace troupe::policy {

namespace {

template <class Fits>
std::vector<ReplicaPlace> places_where(std::span<const NodeView> nodes, const Fits& fits) {
  for (const NodeState state : {NodeState::serving, NodeState::draining}) {
    std::vector<ReplicaPlace> places;
    for (const NodeView& node : nodes) {
      if (node.state != state) continue;
      for (const ReplicaView& replica : node.replicas) {
        if (fits(replica)) places.push_back({node.id, replica.index});
      }
    }
    if (!places.empty()) return places;
  }
  return {};
}

const ReplicaView* find(std::span<const NodeView> nodes, const ReplicaPlace& place) {
  for (const NodeView& node : nodes) {
    if (node.id != place.node) continue;
    for (const ReplicaView& replica : node.replicas) {
      if (replica.index == place.index) return &replica;
    }
  }
  return nullptr;
}

}  // namespace

std::vector<ReplicaPlace> places_of(std::span<const NodeView> nodes, Tier tier) {
  return places_where(nodes, [&](const ReplicaView& replica) { return replica.tier == tier; });
}

std::vector<ReplicaPlace> places_of(std::span<const NodeView> nodes, const ModelClass& model) {
  return places_where(nodes, [&](const ReplicaView& replica) { return replica.model == model; });
}

std::optional<ReplicaPlace> choose_place(std::span<const NodeView> nodes, std::span<const ReplicaPlace> places,
                                         const std::optional<ReplicaPlace>& before, const NodeId& self) {
  std::optional<ReplicaPlace> best;
  std::tuple<std::int32_t, bool, std::int32_t, bool> best_cost;
  for (const ReplicaPlace& place : places) {
    const ReplicaView* replica = find(nodes, place);
    if (replica == nullptr) continue;
    const std::tuple cost{replica->waiting, !(before && place == *before), replica->running, place.node != self};
    if (!best || cost < best_cost) {
      best = place;
      best_cost = cost;
    }
  }
  return best;
}

std::vector<Tier> served_tiers(std::span<const NodeView> nodes) {
  std::vector<Tier> served;
  for (const Tier tier : tiers) {
    if (!places_of(nodes, tier).empty()) served.push_back(tier);
  }
  return served;
}

}  // namespace troupe::policy
