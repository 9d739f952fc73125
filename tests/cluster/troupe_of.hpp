// A few nodes on loopback as one cluster, and what a test asks of it.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "clients/cpp/client.hpp"
#include "policy/turn.hpp"
#include "tests/cluster/node_process.hpp"

namespace troupe::tests {

class TroupeOf {
 public:
  /// The first node grants the leases; the others join it. `join` of the setups is filled in. Nothing runs before `start`.
  TroupeOf(std::string troupe, const std::filesystem::path& folder, std::vector<NodeSetup> setups);

  /// All nodes, until each sees all of them serve.
  Result<void> start();
  Result<void> wait_until_serving();

  NodeProcess& node(std::size_t index) { return *nodes_[index]; }
  std::size_t size() const { return nodes_.size(); }
  /// Of all nodes, beginning with one of them.
  std::vector<std::string> addresses(std::size_t first = 0) const;
  /// Of that node first; it serves.
  clients::Client client(std::size_t first = 0) const;
  /// A node of this name, as another one sees it; an empty view if that does not know it.
  policy::NodeView view_of(const std::string& name, std::size_t seen_by = 0) const;

 private:
  std::string troupe_;
  std::filesystem::path folder_;
  std::vector<NodeSetup> setups_;
  std::vector<std::unique_ptr<NodeProcess>> nodes_;
};

/// Whether it holds within half a minute.
bool soon(const std::function<bool()>& holds);

/// What one reader saw of a turn.
struct Heard {
  std::vector<policy::TurnEvent> events;

  /// The shown tokens.
  policy::TokenIds ids() const;
  /// Each event once, in ascending order, from `accepted` to the end.
  bool is_whole() const;
};

/// Follows a turn, writing down its events.
clients::OnEvent into(Heard& heard);

/// Everything that placement must not change of a committed turn: each attempt's tier, prompt, token ids and log-probabilities,
/// and the answer with its citations. Empty if the turn is not committed.
std::string bits_of(const policy::Turn& turn);

}  // namespace troupe::tests
