#include "tests/cluster/troupe_of.hpp"

#include <algorithm>
#include <bit>
#include <chrono>
#include <sstream>
#include <thread>
#include <utility>
#include <variant>

#include "base/check.hpp"

namespace troupe::tests {

namespace {

using namespace std::chrono_literals;

bool sees_all_serve(const std::string& address, std::size_t nodes) {
  clients::ClientOptions options;
  options.patience = 2s;
  const auto client = clients::Client::connect({address}, options);
  if (!client) return false;
  const auto view = client->status();
  return view && view->nodes.size() == nodes &&
         std::all_of(view->nodes.begin(), view->nodes.end(),
                     [](const policy::NodeView& node) { return node.state == policy::NodeState::serving; });
}

}  // namespace

TroupeOf::TroupeOf(std::string troupe, const std::filesystem::path& folder, std::vector<NodeSetup> setups)
    : troupe_(std::move(troupe)), folder_(folder), setups_(std::move(setups)) {}

Result<void> TroupeOf::start() {
  nodes_.clear();
  for (NodeSetup setup : setups_) {
    if (!nodes_.empty()) setup.join = nodes_.front()->cluster();
    nodes_.push_back(std::make_unique<NodeProcess>(troupe_, folder_, std::move(setup)));
    TROUPE_TRY_DO(nodes_.back()->start());
  }
  return wait_until_serving();
}

Result<void> TroupeOf::wait_until_serving() {
  const auto until = std::chrono::steady_clock::now() + 60s;
  for (const auto& node : nodes_) {
    while (!sees_all_serve(node->clients(), nodes_.size())) {
      if (std::chrono::steady_clock::now() > until)
        return Error{ErrorCode::unavailable,
                     "node " + node->name() + " does not see all nodes serve; its log:\n" + node->log()};
      std::this_thread::sleep_for(20ms);
    }
  }
  return {};
}

std::vector<std::string> TroupeOf::addresses(std::size_t first) const {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < nodes_.size(); ++i) all.push_back(nodes_[(first + i) % nodes_.size()]->clients());
  return all;
}

clients::Client TroupeOf::client(std::size_t first) const {
  auto made = clients::Client::connect(addresses(first));
  TROUPE_CHECK(made.has_value(), "a node that serves lets a client in");
  return std::move(*made);
}

policy::NodeView TroupeOf::view_of(const std::string& name, std::size_t seen_by) const {
  const auto view = client(seen_by).status();
  TROUPE_CHECK(view.has_value(), "a node tells of its cluster");
  for (const policy::NodeView& node : view->nodes) {
    if (node.id.value == name) return node;
  }
  return {};
}

bool soon(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  for (; std::chrono::steady_clock::now() < until; std::this_thread::sleep_for(std::chrono::milliseconds(20))) {
    if (holds()) return true;
  }
  return false;
}

policy::TokenIds Heard::ids() const {
  policy::TokenIds ids;
  for (const policy::TurnEvent& event : events) {
    if (const auto* tokens = std::get_if<policy::TokensEvent>(&event.what))
      ids.insert(ids.end(), tokens->ids.begin(), tokens->ids.end());
  }
  return ids;
}

bool Heard::is_whole() const {
  const bool ascends = std::adjacent_find(events.begin(), events.end(), [](const auto& before, const auto& after) {
                         return before.number >= after.number;
                       }) == events.end();
  return ascends && !events.empty() && events.front().number == 0 && events.back().last();
}

clients::OnEvent into(Heard& heard) {
  return [&heard](const policy::TurnEvent& event) { heard.events.push_back(event); };
}

std::string bits_of(const policy::Turn& turn) {
  std::ostringstream bits;
  if (!turn.outcome || !turn.outcome->committed) return {};
  for (const policy::Attempt& attempt : turn.attempts) {
    bits << to_string(attempt.plan.tier) << " of";
    for (const std::int32_t id : attempt.plan.prompt) bits << ' ' << id;
    bits << " gives" << std::hex;
    for (const policy::Emission& emission : attempt.result ? attempt.result->emissions : std::vector<policy::Emission>{}) {
      for (const std::int32_t id : emission.ids) bits << ' ' << id;
      for (const float probability : emission.log_probabilities) bits << ' ' << std::bit_cast<std::uint32_t>(probability);
    }
    bits << std::dec << '\n';
  }
  bits << turn.outcome->answer << '\n';
  for (const policy::Passage& passage : turn.outcome->citations) bits << passage.section << ' ';
  return bits.str();
}

}  // namespace troupe::tests
