// troupe cluster drain and join: a node out of the cluster's work, and back.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

#include "cli/answer_view.hpp"
#include "cli/ask.hpp"
#include "cli/command.hpp"
#include "policy/drain.hpp"

namespace troupe::cli {

namespace {

using Steady = std::chrono::steady_clock;
constexpr auto look_every = std::chrono::milliseconds(200);
/// Nodes tell each other how they are five times a second, and replicas follow their work: nothing must be left for a while.
constexpr auto empty_for = std::chrono::milliseconds(1000);
/// The node that answers may hear later than we did that the drain has begun.
constexpr auto known_after = std::chrono::seconds(3);

struct NodeChoice {
  ConnectChoice connect;
  std::string node;
  bool json = false;
  int patience = 15;  ///< seconds; a node that is restarted at once, by hand or by its supervisor, is back before
};

/// Tells how far a drain is, whenever that changes.
class Progress {
 public:
  explicit Progress(bool json) : json_(json), rewrites_(!json && isatty(STDOUT_FILENO) != 0) {}
  ~Progress() {
    if (open_line_) std::cout << std::endl;
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(const policy::NodeView& node, bool done) {
    std::string text = json_ ? json_of(node, done) : words_of(node, done);
    if (text == last_) return;
    if (rewrites_) {
      std::cout << "\r\x1b[K" << text << std::flush;
      open_line_ = true;
    } else {
      std::cout << text << std::endl;
    }
    last_ = std::move(text);
  }

 private:
  static std::string words_of(const policy::NodeView& node, bool done) {
    if (done) return node.id.value + " is empty; stop it, or let it join again: troupe cluster join " + node.id.value;
    const std::string left = "left: " + to_string(policy::left_to_move(node));
    if (node.state == policy::NodeState::draining) return node.id.value + " is being drained; " + left;
    return node.id.value + " is " + std::string(to_string(node.state)) + "; " + left;
  }
  static std::string json_of(const policy::NodeView& node, bool done) {
    Json object{{"node", node.id.value}, {"state", to_string(node.state)}, {"done", done}, {"left", Json::object()}};
    for (const policy::Holding& each : policy::left_to_move(node)) {
      std::string name = each.what;
      std::replace(name.begin(), name.end(), ' ', '_');
      object["left"][name] = each.count;
    }
    return dumped(object);
  }

  bool json_;
  bool rewrites_;  ///< one line, on a terminal
  bool open_line_ = false;
  std::string last_;
};

Result<policy::NodeView> look(const clients::Client& client, const std::string& name) {
  TROUPE_TRY(auto view, client.status());
  for (policy::NodeView& node : view.nodes) {
    if (node.id.value == name) return std::move(node);
  }
  return Error{ErrorCode::not_found, "node " + name + " is no longer known"};
}

/// Until nothing is left; false if it was told to join again.
Result<bool> follow_drain(const clients::Client& client, policy::NodeView node, std::chrono::seconds patience,
                          Progress& progress) {
  const Steady::time_point began = Steady::now();
  Steady::time_point last_held = began;
  Steady::time_point last_there = began;
  bool known = false;
  for (bool first = true;; first = false) {
    known = known || (!first && node.state == policy::NodeState::draining);
    if (node.state == policy::NodeState::serving) {
      if (known || Steady::now() - began > known_after) return false;
      node.state = policy::NodeState::draining;
    }
    const bool empty = node.state == policy::NodeState::draining && policy::left_to_move(node).empty();
    if (!empty) last_held = Steady::now();
    if (node.state != policy::NodeState::gone) last_there = Steady::now();
    if (Steady::now() - last_there >= patience) {
      return Error{ErrorCode::unavailable, "node " + node.id.value + " has been gone for " + std::to_string(patience.count()) +
                                               " s; what it holds moves once it is started again"};
    }
    const bool done = empty && Steady::now() - last_held >= empty_for;
    progress.show(node, done);
    if (done) return true;
    std::this_thread::sleep_for(look_every);
    if (interrupted()) return Error{ErrorCode::cancelled, "interrupted"};
    TROUPE_TRY(node, look(client, node.id.value));
  }
}

Result<int> drain(const NodeChoice& choice) {
  catch_interrupts();
  TROUPE_TRY(const auto client, choice.connect.open());
  TROUPE_TRY(auto node, client.drain(choice.node));
  Result<bool> emptied = false;
  {
    Progress progress(choice.json);
    emptied = follow_drain(client, std::move(node), std::chrono::seconds(choice.patience), progress);
  }
  if (emptied && *emptied) return 0;
  if (emptied) return Error{ErrorCode::cancelled, "node " + choice.node + " was told to join again before it was empty"};
  emptied.error().message +=
      "; the drain goes on: \"troupe cluster status\" shows how far it is, \"troupe cluster join " + choice.node + "\" ends it";
  return emptied.error();
}

Result<int> join(const NodeChoice& choice) {
  catch_interrupts();
  TROUPE_TRY(const auto client, choice.connect.open());
  TROUPE_TRY(const auto node, client.join(choice.node));
  if (choice.json) {
    std::cout << dumped({{"node", node.id.value}, {"state", to_string(node.state)}}) << std::endl;
  } else {
    std::cout << node.id.value << " is " << to_string(node.state) << std::endl;
  }
  return 0;
}

void add_options(CLI::App& command, NodeChoice& choice, const std::string& json) {
  command.add_option("node", choice.node, "The node's name, as troupe cluster status shows it")->required();
  choice.connect.add_to(command);
  command.add_flag("--json", choice.json, json)->group("Output");
}

}  // namespace

void add_cluster_drain(CLI::App& cluster, Action& action) {
  auto leaving = std::make_shared<NodeChoice>();
  CLI::App& out = *cluster.add_subcommand("drain", "Move everything that a node holds to other nodes");
  out.footer(
      "Examples:\n"
      "  troupe cluster drain node-7501\n"
      "  troupe cluster drain node-7501 --json --connect 127.0.0.1:7400\n"
      "The node's conversations go to other nodes, and its running answers go on there; no question fails, no answer changes.\n"
      "It takes no new conversations, also after a restart, until \"troupe cluster join\". The command shows what is left and\n"
      "ends when that is nothing; Ctrl-C leaves the drain going. Refused for the node that grants the leases, for the last "
      "node\n"
      "of a tier, and while another node is being drained.\n"
      "Exit status: 0 the node is empty, 1 it is not or an error, 2 a wrong command line.");
  add_options(out, *leaving, "One JSON object a line, whenever something has changed; the last has \"done\": true");
  out.add_option("--patience", leaving->patience, "Seconds that the node may be gone before this gives up")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  out.callback([leaving, &action] { action = [leaving] { return drain(*leaving); }; });

  auto joining = std::make_shared<NodeChoice>();
  CLI::App& in = *cluster.add_subcommand("join", "Let a node that is being drained, or is empty, take part again");
  in.footer(
      "Examples:\n"
      "  troupe cluster join node-7501\n"
      "It takes new conversations from now on. What has moved away stays where it is.");
  add_options(in, *joining, "One JSON object");
  in.callback([joining, &action] { action = [joining] { return join(*joining); }; });
}

}  // namespace troupe::cli
