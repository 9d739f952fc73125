// troupe cluster status: what the nodes are doing.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>

#include "cli/answer_view.hpp"
#include "cli/ask.hpp"
#include "cli/command.hpp"
#include "policy/drain.hpp"
#include "policy/expert_duty.hpp"
#include "policy/transport.hpp"

namespace troupe::cli {

namespace {

struct StatusOptions {
  ConnectChoice connect;
  bool json = false;
};

std::string hex_of(std::uint64_t number) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

Json json_of(const policy::ExpertsView& experts) {
  return {{"model", experts.model_name},           {"fingerprint", experts.model.fingerprint},
          {"held", experts.experts.count()},       {"total", experts.experts_total},
          {"experts", to_string(experts.experts)}, {"works", experts.load},
          {"placement", hex_of(experts.placement)}};
}

Json json_of(const policy::ReplicaView& replica) {
  return {{"index", replica.index},
          {"tier", to_string(replica.tier)},
          {"model", replica.model_name},
          {"fingerprint", replica.model.fingerprint},
          {"numeric_class", replica.model.numeric_class},
          {"parameters", replica.parameters},
          {"active_parameters", replica.active_parameters},
          {"context_max", replica.context_max},
          {"running", replica.running},
          {"waiting", replica.waiting},
          {"blocks_total", replica.blocks_total},
          {"blocks_free", replica.blocks_free},
          {"blocks_cached", replica.blocks_cached},
          {"generated_tokens", replica.generated_tokens},
          {"prompt_tokens", replica.prompt_tokens},
          {"reused_tokens", replica.reused_tokens},
          {"fault", replica.fault}};
}

/// What belongs to each pair of nodes is added by whoever has both.
Json json_of(const policy::NodeView& node) {
  Json object{{"node", node.id.value},
              {"incarnation", node.incarnation},
              {"state", to_string(node.state)},
              {"cluster_address", node.cluster_address},
              {"client_address", node.client_address},
              {"leases", node.leases},
              {"version", node.version},
              {"conversations", node.conversations},
              {"conversations_stored", node.conversations_stored},
              {"turns", node.turns},
              {"corpus_version", node.corpus_version},
              {"corpus_sections", node.corpus_sections}};
  object["replicas"] = Json::array();
  for (const policy::ReplicaView& replica : node.replicas) object["replicas"].push_back(json_of(replica));
  object["experts"] = Json::array();
  for (const policy::ExpertsView& experts : node.experts) object["experts"].push_back(json_of(experts));
  object["experts_alone"] = node.experts_alone;
  object["expert_bytes_free"] = node.expert_bytes_free;
  const policy::BlockTraffic& blocks = node.blocks;
  object["kv_blocks"] = {{"fetched", blocks.fetched_blocks},   {"fetched_bytes", blocks.fetched_bytes},
                         {"restored", blocks.restored_blocks}, {"wrong", blocks.wrong_blocks},
                         {"lent", blocks.lent_blocks},         {"host_bytes", blocks.host_bytes},
                         {"disk_bytes", blocks.disk_bytes}};
  for (const policy::Stage stage : policy::stages) {
    const policy::StageCounts& counts = node.contracts[policy::place_of(stage)];
    Json& entry = object["contracts"][std::string(to_string(stage))];
    entry["held"] = counts.held;
    for (const policy::Trouble trouble : policy::troubles) entry[std::string(to_string(trouble))] = counts.of(trouble);
  }
  return object;
}

/// By what bulk bytes go to each of the others that are there; "none" where two have not found each other.
std::vector<std::pair<std::string, std::string>> joined(const policy::NodeView& node, const policy::ClusterView& cluster) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const policy::NodeView& other : cluster.nodes) {
    if (other.id == node.id || other.state == policy::NodeState::gone || node.state == policy::NodeState::gone) continue;
    const std::string transport = policy::joined_by(node, other);
    all.emplace_back(other.id.value, transport.empty() ? "none" : transport);
  }
  return all;
}

void print_blocks(const policy::BlockTraffic& blocks) {
  if (blocks == policy::BlockTraffic{}) return;
  const auto count = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf(
      "  KV blocks: %llu from other nodes (%.1f MB), %llu to them, %llu from below the pools (%.1f MB in memory, %.1f on disk)",
      count(blocks.fetched_blocks), static_cast<double>(blocks.fetched_bytes) / 1e6, count(blocks.lent_blocks),
      count(blocks.restored_blocks), static_cast<double>(blocks.host_bytes) / 1e6,
      static_cast<double>(blocks.disk_bytes) / 1e6);
  if (blocks.wrong_blocks > 0) std::printf("; %llu were wrong, and computed again", count(blocks.wrong_blocks));
  std::printf("\n");
}

/// How often stages kept their contracts, of those that were broken: "contracts: intent 20 held, 2 late".
void print_contracts(const policy::PerStage<policy::StageCounts>& contracts) {
  std::string text;
  for (const policy::Stage stage : policy::stages) {
    const policy::StageCounts& counts = contracts[policy::place_of(stage)];
    if (counts.held + counts.broken() == 0) continue;
    text += (text.empty() ? " " : "; ") + std::string(to_string(stage)) + " " + std::to_string(counts.held) + " held";
    for (const policy::Trouble trouble : policy::troubles) {
      if (counts.of(trouble) > 0) text += ", " + std::to_string(counts.of(trouble)) + " " + std::string(to_string(trouble));
    }
  }
  if (!text.empty()) std::printf("  contracts:%s\n", text.c_str());
}

/// Its numbers are from before, and would be taken for those of now.
void print_gone(const policy::NodeView& node) {
  std::printf("  - conversations, - awake, - turns running\n");
  for (const policy::ReplicaView& replica : node.replicas) {
    std::printf("  %-7s %s: -\n", std::string(to_string(replica.tier)).c_str(), replica.model_name.c_str());
  }
}

/// Nodes on which the replica's tier is another model, or computed otherwise: an answer depends on which of them is asked.
std::string who_has_another_model(const policy::ReplicaView& replica, const policy::ClusterView& cluster) {
  std::string names;
  for (const policy::NodeView& node : cluster.nodes) {
    const auto differs = [&](const policy::ReplicaView& other) {
      return other.tier == replica.tier && other.model != replica.model;
    };
    if (node.state == policy::NodeState::gone || std::ranges::none_of(node.replicas, differs)) continue;
    names += (names.empty() ? "" : ", ") + node.id.value;
  }
  return names;
}

void print_node(const policy::NodeView& node, const policy::ClusterView& cluster) {
  const bool self = node.id == cluster.self;
  std::printf("%s%s  %s, clients %s, nodes %s, version %s%s\n", node.id.value.c_str(), self ? " (answers)" : "",
              std::string(to_string(node.state)).c_str(), node.client_address.c_str(), node.cluster_address.c_str(),
              node.version.c_str(), node.leases ? ", grants the leases" : "");
  if (node.state == policy::NodeState::gone) return print_gone(node);
  std::printf("  %d conversations, %d awake, %d turns running", node.conversations_stored, node.conversations, node.turns);
  if (!node.corpus_version.empty())
    std::printf(", %d sections of corpus %.12s", node.corpus_sections, node.corpus_version.c_str());
  std::printf("\n");
  if (const auto others = joined(node, cluster); !others.empty()) {
    std::printf("  bulk bytes:");
    for (const auto& [other, transport] : others) {
      std::printf("%s %s to %s", other == others.front().first ? "" : ",", transport.c_str(), other.c_str());
    }
    std::printf("\n");
  }
  for (const policy::ExpertsView& experts : node.experts) {
    std::printf("  experts of %s: %lld of %lld", experts.model_name.c_str(), static_cast<long long>(experts.experts.count()),
                static_cast<long long>(experts.experts_total));
    if (!experts.experts.empty()) std::printf(" (%s)", to_string(experts.experts).c_str());
    const auto others = policy::placed_otherwise(cluster.nodes, node.id, experts.model);
    for (const policy::NodeId& other : others) {
      std::printf("%s %s", &other == &others.front() ? "; another placement than that of" : ",", other.value.c_str());
    }
    std::printf("\n");
  }
  print_contracts(node.contracts);
  print_blocks(node.blocks);
  if (node.state == policy::NodeState::draining)
    std::printf("  being drained; left: %s\n", to_string(policy::left_to_move(node)).c_str());
  for (const policy::ReplicaView& replica : node.replicas) {
    const double reused = replica.prompt_tokens == 0
                              ? 0.0
                              : 100.0 * static_cast<double>(replica.reused_tokens) / static_cast<double>(replica.prompt_tokens);
    std::printf(
        "  %-7s %s: %d running, %d waiting; %d of %d KV blocks free, %d cached; %llu tokens generated, %.0f %% of %llu "
        "prompt tokens reused\n",
        std::string(to_string(replica.tier)).c_str(), replica.model_name.c_str(), replica.running, replica.waiting,
        replica.blocks_free, replica.blocks_total, replica.blocks_cached,
        static_cast<unsigned long long>(replica.generated_tokens), reused,
        static_cast<unsigned long long>(replica.prompt_tokens));
    if (const std::string others = who_has_another_model(replica, cluster); !others.empty()) {
      std::printf("          another model than that of %s: answers depend on who is asked\n", others.c_str());
    }
    if (!replica.fault.empty()) {
      std::printf("          FAULT: %s is broken on purpose (--fault %s=%s)\n", std::string(to_string(replica.tier)).c_str(),
                  std::string(to_string(replica.tier)).c_str(), replica.fault.c_str());
    }
  }
}

Result<int> status(const StatusOptions& options) {
  catch_interrupts();
  TROUPE_TRY(const auto client, options.connect.open());
  TROUPE_TRY(const auto view, client.status());
  if (options.json) {
    Json object{{"cluster", to_string(view.id)}, {"self", view.self.value}};
    object["nodes"] = Json::array();
    for (const policy::NodeView& node : view.nodes) {
      Json each = json_of(node);
      each["transports"] = Json::object();
      for (const auto& [other, transport] : joined(node, view)) each["transports"][other] = transport;
      object["nodes"].push_back(std::move(each));
    }
    std::cout << dumped(object) << std::endl;
    return 0;
  }
  std::printf("cluster %s, %zu node%s\n", to_string(view.id).c_str(), view.nodes.size(), view.nodes.size() == 1 ? "" : "s");
  for (const policy::NodeView& node : view.nodes) print_node(node, view);
  return 0;
}

}  // namespace

void add_cluster(CLI::App& app, Action& action) {
  CLI::App& cluster = *app.add_subcommand("cluster", "Look at the nodes of a cluster, take them out of its work and back");
  cluster.require_subcommand(1);
  auto options = std::make_shared<StatusOptions>();
  CLI::App& command = *cluster.add_subcommand("status", "Which nodes there are, their states, and what their models do");
  command.footer(
      "Examples:\n"
      "  troupe cluster status\n"
      "  troupe cluster status --json --connect 127.0.0.1:7401\n"
      "It is the view of the node that answers: another one may know of a change a moment earlier or later. Of a node that is\n"
      "gone, --json has the numbers that it told last.");
  options->connect.add_to(command);
  command.add_flag("--json", options->json, "One JSON object")->group("Output");
  command.callback([options, &action] { action = [options] { return status(*options); }; });
  add_cluster_drain(cluster, action);
}

}  // namespace troupe::cli
