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

/// For how many steps a sequence that runs already shares the batch with a new one.
constexpr std::int64_t answer_tokens_typical = 64;

std::int64_t tokens_until_answered(const ReplicaView& replica, const NodeId& node, const ExpectedReuse& reuse) {
  if (reuse.prompt_tokens == 0) return replica.waiting;
  const auto held = reuse.held_tokens.find(node);
  const std::int64_t reused = held == reuse.held_tokens.end() ? 0 : std::min(held->second, reuse.prompt_tokens);
  return static_cast<std::int64_t>(replica.waiting) * reuse.prompt_tokens + reuse.prompt_tokens - reused +
         replica.running * answer_tokens_typical;
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
                                         const std::optional<ReplicaPlace>& before, const NodeId& self,
                                         const ExpectedReuse& reuse) {
  std::optional<ReplicaPlace> best;
  std::tuple<std::int64_t, bool, std::int32_t, bool> best_cost;
  for (const ReplicaPlace& place : places) {
    const ReplicaView* replica = find(nodes, place);
    if (replica == nullptr) continue;
    const std::tuple cost{tokens_until_answered(*replica, place.node, reuse), !(before && place == *before), replica->running,
                          place.node != self};
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
