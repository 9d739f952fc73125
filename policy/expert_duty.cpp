#include "policy/expert_duty.hpp"

#include <algorithm>
#include <utility>

namespace troupe::policy {

namespace {

const NodeView* find(std::span<const NodeView> nodes, const NodeId& id) {
  const auto node = std::find_if(nodes.begin(), nodes.end(), [&](const NodeView& each) { return each.id == id; });
  return node == nodes.end() ? nullptr : &*node;
}

const ExpertsView* experts_of(const NodeView& node, const ModelClass& model) {
  const auto view =
      std::find_if(node.experts.begin(), node.experts.end(), [&](const ExpertsView& each) { return each.model == model; });
  return view == node.experts.end() ? nullptr : &*view;
}

/// Whether bytes go from `from` (null: nobody) to a node, which may be itself.
bool reaches(const NodeView* from, const NodeView& to) {
  if (from == nullptr || to.id == from->id) return from != nullptr;
  if (to.state == NodeState::gone) return false;
  return std::any_of(from->links.begin(), from->links.end(), [&](const LinkView& link) { return link.node == to.id; });
}

}  // namespace

std::vector<ExpertHolder> holders_of(std::span<const NodeView> nodes, const NodeId& self, const ModelClass& model) {
  const NodeView* const own = find(nodes, self);
  std::vector<ExpertHolder> holders;
  for (const NodeView& node : nodes) {
    const ExpertsView* const view = experts_of(node, model);
    if (view == nullptr || view->experts.empty() || !reaches(own, node)) continue;
    holders.push_back({node.id, view->experts, view->load});
  }
  std::ranges::sort(holders, {}, &ExpertHolder::node);
  return holders;
}

ExpertSelection only_here(std::span<const NodeView> nodes, const NodeId& self, const ModelClass& model) {
  const NodeView* const own = find(nodes, self);
  const ExpertsView* const held = own == nullptr ? nullptr : experts_of(*own, model);
  if (held == nullptr) return {};
  ExpertSelection alone = held->experts;
  for (const NodeView& node : nodes) {
    if (node.id == self || node.state == NodeState::gone || node.state == NodeState::draining) continue;
    if (const ExpertsView* const there = experts_of(node, model)) alone = alone - there->experts;
  }
  return alone;
}

std::vector<ExpertRescuer> rescuers_of(std::span<const NodeView> nodes, const NodeId& self, const ModelClass& model) {
  const NodeView* const own = find(nodes, self);
  std::vector<ExpertRescuer> rescuers;
  for (const NodeView& node : nodes) {
    if (node.state != NodeState::serving || experts_of(node, model) == nullptr || !reaches(own, node)) continue;
    rescuers.push_back({node.id, node.expert_bytes_free, true});
  }
  return rescuers;
}

std::vector<NodeId> placed_otherwise(std::span<const NodeView> nodes, const NodeId& self, const ModelClass& model) {
  const NodeView* const own = find(nodes, self);
  const ExpertsView* const mine = own == nullptr ? nullptr : experts_of(*own, model);
  std::vector<NodeId> others;
  for (const NodeView& node : nodes) {
    if (mine == nullptr || node.id == self || node.state == NodeState::gone) continue;
    const ExpertsView* const theirs = experts_of(node, model);
    if (theirs != nullptr && theirs->placement != mine->placement) others.push_back(node.id);
  }
  std::ranges::sort(others);
  return others;
}

bool are_at_home(std::span<const NodeView> nodes, const NodeId& self, const ModelClass& model, const ExpertSelection& experts,
                 const ExpertPlacement& placement) {
  const NodeView* const own = find(nodes, self);
  ExpertSelection left = experts;
  for (const NodeView& node : nodes) {
    if (node.id == self || node.state != NodeState::serving || !reaches(own, node)) continue;
    if (const ExpertsView* const there = experts_of(node, model)) left = left - (there->experts & placement.of(node.id));
  }
  return left.empty();
}

}  // namespace troupe::policy
