#include "policy/drain.hpp"

#include <algorithm>
#include <tuple>

#include "policy/expert_duty.hpp"

namespace troupe::policy {

namespace {

const NodeView* find(std::span<const NodeView> nodes, const NodeId& id) {
  const auto node = std::find_if(nodes.begin(), nodes.end(), [&](const NodeView& each) { return each.id == id; });
  return node == nodes.end() ? nullptr : &*node;
}

bool has_tier(const NodeView& node, Tier tier) {
  return std::any_of(node.replicas.begin(), node.replicas.end(), [&](const auto& replica) { return replica.tier == tier; });
}

Error refused(const NodeId& node, const std::string& why) {
  return {ErrorCode::unavailable, "node " + node.value + " cannot be drained now: " + why};
}

}  // namespace

std::vector<Holding> left_to_move(const NodeView& node) {
  std::int64_t sequences = 0;
  for (const ReplicaView& replica : node.replicas) sequences += replica.running + replica.waiting;
  std::vector<Holding> left{
      {"conversations", node.conversations_stored}, {"running sequences", sequences}, {"experts", node.experts_alone}};
  std::erase_if(left, [](const Holding& each) { return each.count == 0; });
  return left;
}

std::string to_string(const std::vector<Holding>& left) {
  if (left.empty()) return "nothing";
  std::string text;
  for (const Holding& each : left) text += (text.empty() ? "" : ", ") + std::to_string(each.count) + " " + each.what;
  return text;
}

Result<void> check_drain(std::span<const NodeView> nodes, const NodeId& node) {
  const NodeView* chosen = find(nodes, node);
  if (chosen == nullptr) {
    std::string names;
    for (const NodeView& each : nodes) names += (names.empty() ? "" : ", ") + each.id.value;
    return Error{ErrorCode::not_found, "there is no node " + node.value + " in the cluster; there are " + names};
  }
  if (chosen->state == NodeState::draining) return {};
  if (chosen->state != NodeState::serving) {
    return Error{ErrorCode::unavailable, "node " + node.value + " is " + std::string(to_string(chosen->state)) +
                                             ", and what it holds can be moved only while it serves"};
  }
  if (chosen->leases) {
    return Error{ErrorCode::unsupported, "node " + node.value +
                                             " grants the leases, which no other node can; it cannot be drained, only "
                                             "stopped and started again"};
  }
  std::vector<const NodeView*> others;
  for (const NodeView& each : nodes) {
    if (each.id == node) continue;
    if (each.state == NodeState::serving) others.push_back(&each);
    if (const auto left = left_to_move(each); each.state == NodeState::draining && !left.empty()) {
      return refused(node, "node " + each.id.value + " is being drained and still holds " + to_string(left) +
                               "; wait until it is empty, or let it join again");
    }
  }
  if (others.empty()) return refused(node, "no other node is serving; start one");
  for (const Tier tier : tiers) {
    const bool elsewhere = std::any_of(others.begin(), others.end(), [&](const auto* each) { return has_tier(*each, tier); });
    if (!has_tier(*chosen, tier) || elsewhere) continue;
    return refused(node, "no other serving node has tier " + std::string(to_string(tier)) + "; start one that has");
  }
  std::map<NodeId, std::size_t> promised;  // bytes of a node's room, for other models' experts
  for (const ExpertsView& held : chosen->experts) {
    const ExpertSelection alone = only_here(nodes, node, held.model);
    if (alone.empty()) continue;
    auto rescuers = rescuers_of(nodes, node, held.model);
    std::erase_if(rescuers, [&](const ExpertRescuer& each) { return each.node == node; });
    for (ExpertRescuer& each : rescuers) each.bytes_free -= std::min(each.bytes_free, promised[each.node]);
    const ExpertRescue moved = rescue(alone, held.expert_bytes, std::move(rescuers));
    for (const auto& [to, experts] : moved.loads) promised[to] += static_cast<std::size_t>(experts.count()) * held.expert_bytes;
    if (moved.left.empty()) continue;
    return refused(node, "no other serving node that it reaches has model " + held.model_name +
                             " and room for its experts of " + to_string(moved.left) + "; start one that has");
  }
  return {};
}

std::optional<NodeId> choose_home(std::span<const NodeView> nodes, const NodeId& from,
                                  const std::map<NodeId, std::int32_t>& given) {
  const NodeView* source = find(nodes, from);
  if (source == nullptr) return std::nullopt;
  const NodeView* best = nullptr;
  std::tuple<bool, std::int64_t, std::int64_t> best_cost;
  for (const NodeView& node : nodes) {
    if (node.id == from || node.state != NodeState::serving) continue;
    const auto missing =
        std::count_if(tiers.begin(), tiers.end(), [&](Tier tier) { return has_tier(*source, tier) && !has_tier(node, tier); });
    const auto more = given.find(node.id);
    const std::int64_t conversations =
        std::int64_t{node.conversations_stored} + (more == given.end() ? std::int32_t{0} : more->second);
    const std::tuple cost{node.corpus_version != source->corpus_version, std::int64_t{missing}, conversations};
    if (best != nullptr && cost >= best_cost) continue;
    best = &node;
    best_cost = cost;
  }
  if (best == nullptr) return std::nullopt;
  return best->id;
}

}  // namespace troupe::policy
