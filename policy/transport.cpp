#include "policy/transport.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace troupe::policy {

namespace {

constexpr std::array<std::string_view, 3> best_first = {"nccl", "ucx", "local"};

auto rank_of(const std::string& name) {
  return std::pair(std::find(best_first.begin(), best_first.end(), name), std::string_view(name));
}

std::string link_to(const NodeView& from, const NodeId& node) {
  const auto link = std::find_if(from.links.begin(), from.links.end(), [&](const LinkView& each) { return each.node == node; });
  return link == from.links.end() ? std::string() : link->transport;
}

}  // namespace

bool is_better_transport(const std::string& one, const std::string& other) { return rank_of(one) < rank_of(other); }

std::vector<std::string> common_transports(const NodeView& one, const NodeView& other) {
  std::vector<std::string> common;
  for (const TransportView& mine : one.transports) {
    const bool both = std::any_of(other.transports.begin(), other.transports.end(), [&](const TransportView& theirs) {
      return theirs.name == mine.name && theirs.scope == mine.scope;
    });
    if (both && std::find(common.begin(), common.end(), mine.name) == common.end()) common.push_back(mine.name);
  }
  std::sort(common.begin(), common.end(), is_better_transport);
  return common;
}

std::string common_transport(const NodeView& one, const NodeView& other) {
  const auto common = common_transports(one, other);
  return common.empty() ? std::string() : common.front();
}

std::string joined_by(const NodeView& one, const NodeView& other) {
  if (one.state == NodeState::gone || other.state == NodeState::gone) return {};
  std::string there = link_to(one, other.id);
  return there == link_to(other, one.id) ? there : std::string();
}

}  // namespace troupe::policy
