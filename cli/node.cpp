// troupe node: one process of the cluster.
#include <algorithm>
#include <csignal>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "actors/delay_thread.hpp"
#include "actors/faulty_replica.hpp"
#include "actors/node.hpp"
#include "cli/command.hpp"
#include "cli/data_folder.hpp"
#include "cli/own_replica.hpp"
#include "cli/placement.hpp"
#include "cli/remote_models.hpp"
#include "cli/shadow_policies.hpp"
#include "gateway/rpc_server.hpp"
#include "model/file.hpp"
#include "policy/fault.hpp"
#include "schemas/routing_file.hpp"
#include "storage/data_folder.hpp"
#include "storage/markdown.hpp"

namespace troupe::cli {

namespace {

using Json = nlohmann::ordered_json;
using Steady = std::chrono::steady_clock;

/// How long a node that is told to end waits for turns that run; they are taken up again at its next start in any case.
constexpr auto end_patience = std::chrono::seconds(10);
constexpr auto waiting_again_after = std::chrono::seconds(5);

volatile std::sig_atomic_t signals = 0;

struct NodeCommand {
  std::string name;
  std::string data;
  std::vector<std::string> listen = {"127.0.0.1:7400"};
  std::string cluster = "127.0.0.1:7500";
  std::vector<std::string> join;
  std::vector<std::string> tiers = {"mini", "medium", "heavy"};
  std::string corpus;
  std::string policy;
  std::string fabric = "all";
  std::string endpoints;
  std::string placement;
  std::vector<std::string> faults;
  std::int64_t expert_mebibytes = 1024;
  std::int64_t kv_host_mebibytes = 256;
  std::int64_t kv_disk_mebibytes = 0;
  std::string log = "info";
  bool json = false;
  DeviceChoice device;
  EngineChoice engine;
};

using Replicas = std::vector<std::shared_ptr<actors::Replica>>;

/// What replicas compute on, for people: "cpu, avx2, 2 threads".
using Devices = std::set<std::string>;

struct TierBinding {
  policy::Tier tier = policy::Tier::mini;
  std::string model;
};

Result<std::vector<TierBinding>> bindings_of(const NodeCommand& command) {
  std::vector<TierBinding> bindings;
  if (command.tiers == std::vector<std::string>{"none"}) return bindings;
  for (const std::string& text : command.tiers) {
    const std::size_t equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const auto tier = policy::tier_of(name);
    if (!tier) {
      return Error{ErrorCode::invalid_argument,
                   "--tier is \"" + text +
                       "\", expected mini, medium or heavy, or one of them with a model: heavy=FOLDER, "
                       "heavy=remote:ENDPOINT; each has a --tier of its own, and \"none\" stands alone"};
    }
    if (std::ranges::find(bindings, *tier, &TierBinding::tier) != bindings.end()) {
      return Error{ErrorCode::invalid_argument,
                   "--tier is given twice for " + name + "; a node runs a tier once, another node can run it too"};
    }
    bindings.push_back({*tier, equals == std::string::npos ? name : text.substr(equals + 1)});
  }
  return bindings;
}

Result<std::vector<policy::TierFault>> faults_of(const NodeCommand& command, const std::vector<TierBinding>& bindings) {
  std::vector<policy::TierFault> faults;
  for (const std::string& text : command.faults) {
    TROUPE_TRY(const auto fault, policy::fault_of(text));
    const auto bound = [&](const TierBinding& binding) { return binding.tier == fault.tier; };
    const auto given = [&](const policy::TierFault& other) { return other.tier == fault.tier; };
    if (std::ranges::none_of(bindings, bound)) {
      return Error{ErrorCode::invalid_argument, "--fault " + text + ": this node runs no " +
                                                    std::string(to_string(fault.tier)) +
                                                    "; give the fault to the node that does"};
    }
    if (std::ranges::any_of(faults, given)) {
      return Error{ErrorCode::invalid_argument,
                   "--fault is given twice for " + std::string(to_string(fault.tier)) + "; a tier has one fault"};
    }
    faults.push_back(fault);
  }
  return faults;
}

/// Breaks the replicas that are to have a fault.
void give_faults(Replicas& replicas, const std::vector<policy::TierFault>& faults, const Log& log) {
  if (faults.empty()) return;
  const auto thread = std::make_shared<actors::DelayThread>();
  const auto clock = std::make_shared<SystemClock>();
  for (auto& replica : replicas) {
    const auto fault = std::ranges::find(faults, replica->view().tier, &policy::TierFault::tier);
    if (fault == faults.end()) continue;
    log(LogLevel::warning, "a model is broken on purpose",
        {{"tier", std::string(to_string(fault->tier))}, {"fault", to_string(fault->fault)}});
    replica = std::make_shared<actors::FaultyReplica>(
        replica, fault->fault, clock,
        [thread](Duration after, std::function<void()> work) { thread->add(after, std::move(work)); });
  }
}

std::filesystem::path data_folder(const NodeCommand& command) {
  return command.data.empty() ? default_data_folder(command.name) : std::filesystem::path(command.data);
}

Result<std::vector<storage::Section>> bundled_handbook() {
  TROUPE_TRY(const auto mini, find_model("mini"));  // it stands beside the bundled models
  return storage::read_markdown(mini.parent_path() / "handbook");
}

Result<void> choose_corpus(const NodeCommand& command, actors::NodeOptions& options) {
  if (command.corpus.empty()) {
    // Something to ask about at the first start; a machine without the bundled models does without.
    if (auto handbook = bundled_handbook()) options.first_corpus = *std::move(handbook);
    return {};
  }
  options.corpus.emplace();
  if (command.corpus == "none") return {};
  TROUPE_TRY(*options.corpus, command.corpus == "handbook" ? bundled_handbook() : storage::read_markdown(command.corpus));
  return {};
}

/// Says what a node waits for, when that changes and every few seconds.
std::function<void(const std::string&)> tell_waiting() {
  return [last = std::string(), said = Steady::time_point()](const std::string& why) mutable {
    if (why == last && Steady::now() - said < waiting_again_after) return;
    std::cerr << "waiting for the cluster: " << why << '\n';
    last = why;
    said = Steady::now();
  };
}

LogLevel level_of(const std::string& name) {
  if (name == "debug") return LogLevel::debug;
  if (name == "info") return LogLevel::info;
  return name == "warning" ? LogLevel::warning : LogLevel::error;
}

/// Of the routing policy's, those that nobody has yet when the first node of a cluster starts.
std::vector<policy::Tier> tiers_without_a_node(const NodeCommand& command, std::vector<policy::Tier> portfolio,
                                               const Replicas& replicas) {
  if (!command.join.empty()) return {};
  std::erase_if(portfolio, [&](policy::Tier tier) {
    return std::ranges::any_of(replicas, [&](const auto& replica) { return replica->view().tier == tier; });
  });
  return portfolio;
}

void print_start(const NodeCommand& command, const actors::Node& node, const gateway::Gateway& gateway,
                 const Replicas& replicas, const Devices& devices, const std::vector<actors::ExpertModel>& placed,
                 const policy::RoutingPolicy& routing) {
  const auto& shadows = routing.shadow;
  const auto missing = tiers_without_a_node(command, routing.portfolio, replicas);
  const auto held = [&](const actors::ExpertModel& model) { return model.placement.of({command.name}).count(); };
  if (command.json) {
    Json object{{"event", "started"},
                {"node", command.name},
                {"clients", gateway.addresses()},
                {"cluster", node.cluster_address()},
                {"data", data_folder(command).string()}};
    for (const auto& replica : replicas) {
      const policy::ReplicaView view = replica->view();
      object["tiers"].push_back(to_string(view.tier));
      if (!view.fault.empty()) object["faults"][std::string(to_string(view.tier))] = view.fault;
    }
    object["devices"] = devices;
    for (const auto& model : placed) object["experts"][model.name] = {{"placed", held(model)}, {"total", model.shape.count()}};
    for (const auto& shadow : shadows) object["shadows"][shadow.name] = policy::sentence_of(shadow);
    for (const policy::Tier tier : missing) object["tiers_missing"].push_back(to_string(tier));
    std::cout << object.dump() << std::endl;
    return;
  }
  std::cout << "node " << command.name << '\n';
  for (const std::string& address : gateway.addresses()) {
    std::cout << "  clients  " << address << "   (this machine only: there are no credentials yet)\n";
  }
  std::cout << "  nodes    " << node.cluster_address();
  for (const std::string& seed : command.join) std::cout << ", joining " << seed;
  std::cout << '\n';
  for (const auto& replica : replicas) {
    const policy::ReplicaView view = replica->view();
    std::cout << "  " << to_string(view.tier) << std::string(9 - to_string(view.tier).size(), ' ') << view.model_name << ", "
              << view.context_max << " tokens of context, ";
    if (view.model.remote()) {
      std::cout << view.model.fingerprint << '\n';
    } else {
      std::cout << view.blocks_total << " KV blocks, " << view.model.numeric_class << '\n';
    }
    const std::int32_t readable = routing.prompt_tokens[policy::place_of(view.tier)];
    if (readable < view.context_max) continue;
    std::cout << "           by the routing policy it reads " << readable
              << " tokens (prompt_tokens): of passages and turns only as "
              << "many as fit are read, and longer questions are refused (--context, --kv-memory)\n";
  }
  for (const policy::Tier tier : missing) {
    std::cout << "  " << to_string(tier) << std::string(9 - to_string(tier).size(), ' ')
              << "no node serves it yet: what the routing policy asks of it waits at first (troupe node --tier "
              << to_string(tier) << " --join " << node.cluster_address() << "; or leave it out of the policy's tiers)\n";
  }
  for (const auto& replica : replicas) {
    const policy::ReplicaView view = replica->view();
    if (view.fault.empty()) continue;
    std::cout << "  FAULT    " << to_string(view.tier) << " is broken on purpose (--fault " << to_string(view.tier) << "="
              << view.fault << "): for drills, never where answers count\n";
  }
  for (const std::string& device : devices) std::cout << "  device   " << device << '\n';
  std::cout << "  data     " << data_folder(command).string() << '\n';
  for (const auto& model : placed) {
    std::cout << "  experts  " << model.name << ": " << held(model) << " of " << model.shape.count() << " are placed here"
              << (held(model) == 0 ? "; the placement does not name this node (--name)" : "") << '\n';
  }
  for (const auto& shadow : shadows) {
    std::cout << "  shadow   " << shadow.name << ": " << policy::sentence_of(shadow) << '\n';
  }
  if (node.corpus_sections() > 0) std::cout << "  corpus   " << node.corpus_sections() << " sections\n";
  std::cout << "Ask it:  troupe ask --connect " << gateway.addresses().front() << " \"...\"    or:  troupe chat --connect "
            << gateway.addresses().front() << std::endl;
}

Result<Replicas> load_replicas(const NodeCommand& command, const std::vector<TierBinding>& bindings,
                               const std::shared_ptr<actors::NodeExperts>& experts, Devices& devices) {
  Replicas replicas;
  TROUPE_TRY(auto remote_models, RemoteModels::read(command.endpoints));
  auto to_load = static_cast<std::size_t>(
      std::ranges::count_if(bindings, [](const TierBinding& binding) { return !RemoteModels::name_in(binding.model); }));
  for (const TierBinding& binding : bindings) {
    const auto index = static_cast<std::uint32_t>(replicas.size());
    if (const auto name = RemoteModels::name_in(binding.model)) {
      TROUPE_TRY(auto remote, remote_models.replica(*name, index, binding.tier, Log::to_stderr(level_of(command.log))));
      replicas.push_back(std::move(remote));
      continue;
    }
    TROUPE_TRY(auto own,
               load_own_replica(binding.model, binding.tier, index, to_load--, command.device, command.engine, experts));
    devices.insert(own.device);
    replicas.push_back(std::move(own.replica));
  }
  return replicas;
}

/// What a node is started with, all but its replicas and doors.
Result<actors::NodeOptions> options_of(const NodeCommand& command) {
  actors::NodeOptions options;
  options.name = command.name;
  options.data = data_folder(command);
  options.cluster_address = command.cluster;
  options.join = command.join;
  options.fabric = command.fabric;
  options.kv_host_bytes = static_cast<std::size_t>(command.kv_host_mebibytes) << 20;
  options.kv_disk_bytes = static_cast<std::size_t>(command.kv_disk_mebibytes) << 20;
  options.version = TROUPE_VERSION;
  options.routing = policy::default_policy();
  options.log = Log::to_stderr(level_of(command.log));
  options.waiting = tell_waiting();
  if (!command.policy.empty()) {
    TROUPE_TRY(const auto text, model::read_file(command.policy, schemas::routing_file_bytes_max));
    TROUPE_TRY(options.routing, schemas::parse_routing(text, command.policy));
    TROUPE_TRY(options.shadows, read_shadow_arms(options.routing, command.policy));
  }
  TROUPE_TRY_DO(choose_corpus(command, options));
  if (!command.placement.empty()) {
    TROUPE_TRY(options.expert_models, read_expert_models(command.placement));
    options.expert_bytes_max = static_cast<std::size_t>(command.expert_mebibytes) << 20;
    options.open_device = [device = command.device]() -> Result<std::unique_ptr<kernels::Device>> {
      TROUPE_TRY(auto opened, device.open_cpu());
      return std::unique_ptr<kernels::Device>(std::move(opened));
    };
  }
  return options;
}

Result<int> run_node(NodeCommand command) {
  TROUPE_TRY(const auto bindings, bindings_of(command));
  TROUPE_TRY(const auto faults, faults_of(command, bindings));
  if (!command.placement.empty()) {
    // Experts of other nodes' models are computed by CPU kernels, and a model's bits are of one class.
    if (command.device.device == "cuda") {
      return Error{ErrorCode::unsupported,
                   "--placement spreads a model's experts over CPUs, and --device cuda asks for a GPU; leave one of them out"};
    }
    command.device.device = "cpu";
  }
  if (command.name.empty()) command.name = "node-" + command.cluster.substr(command.cluster.rfind(':') + 1);
  TROUPE_TRY_DO(storage::check_node_name(command.name));
  if (command.data.empty() && (command.name.find('/') != std::string::npos || command.name.starts_with('.'))) {
    return Error{
        ErrorCode::invalid_argument,
        "--name is \"" + command.name + "\", which is no folder's name; choose another, or say with --data which it is"};
  }
  TROUPE_TRY(auto options, options_of(command));
  const std::vector<actors::ExpertModel> placed = options.expert_models;
  const policy::RoutingPolicy routing = options.routing;
  Replicas replicas;
  Devices devices;
  options.make_replicas = [&](const std::shared_ptr<actors::NodeExperts>& experts) -> Result<Replicas> {
    TROUPE_TRY(replicas, load_replicas(command, bindings, experts, devices));
    give_faults(replicas, faults, Log::to_stderr(level_of(command.log)));
    return replicas;
  };

  // The doors for clients first: their address is part of what other nodes are told.
  std::vector<gateway::Listener> listeners;
  for (const std::string& address : command.listen) {
    TROUPE_TRY(auto listener, gateway::Listener::open(address));
    listeners.push_back(std::move(listener));
  }
  options.client_address = listeners.front().address();
  TROUPE_TRY(const auto node, actors::Node::start(std::move(options)));
  const auto gateway = gateway::Gateway::open(node->front(), std::move(listeners));
  print_start(command, *node, *gateway, replicas, devices, placed, routing);

  std::signal(SIGINT, [](int) { signals = signals + 1; });
  std::signal(SIGTERM, [](int) { signals = signals + 1; });
  std::optional<Steady::time_point> ending;
  gateway->run([&] {
    if (signals == 0) return false;
    if (!ending) {
      ending = Steady::now();
      node->drain();
      if (node->turns() > 0) std::cerr << "waiting for " << node->turns() << " turns to end; once more to stop at once\n";
    }
    return signals > 1 || node->turns() == 0 || Steady::now() - *ending > end_patience;
  });
  return 0;
}

void add_memory_options(CLI::App& command, NodeCommand& options) {
  command
      .add_option("--expert-memory", options.expert_mebibytes, "Room for experts, in MiB; also for those of nodes that fail")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 30))
      ->capture_default_str();
  command
      .add_option("--kv-host-memory", options.kv_host_mebibytes,
                  "Host memory for KV blocks that the models' pools have no more room for, in MiB; 0: none")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 30))
      ->capture_default_str();
  command
      .add_option("--kv-disk", options.kv_disk_mebibytes,
                  "The same on the disk, in MiB, in the data folder; what is there is kept over restarts; 0: none")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 30))
      ->capture_default_str();
}

}  // namespace

void add_node(CLI::App& app, Action& action) {
  auto options = std::make_shared<NodeCommand>();
  CLI::App& command = *app.add_subcommand("node", "Run a node of the cluster: models, conversations, and a door for clients");
  command.footer(
      "Examples:\n"
      "  troupe node                                            one node with all three bundled models and the bundled "
      "handbook\n"
      "  troupe node --tier mini                                the first of several nodes, with one model\n"
      "  troupe node --cluster 127.0.0.1:7501 --listen 127.0.0.1:7401 --join 127.0.0.1:7500 --tier medium --tier heavy\n"
      "  troupe node --corpus docs/ --policy policy.toml        answers from your own Markdown, routed by your own rules\n"
      "  troupe node --tier mini --tier medium --tier heavy=remote:hosted --endpoints endpoints.toml    heavy is hosted "
      "elsewhere\n"
      "  troupe node --fault mini=stuck                         a drill: what becomes of questions if mini never answers\n"
      "  troupe node --tier none --placement placement.toml --join 127.0.0.1:7500   holds experts for other nodes' models\n"
      "The first node of a cluster (without --join) decides where conversations are at home. A node that is stopped, or "
      "killed,\n"
      "takes up its unfinished turns at its next start; their answers are the same to the last bit. SIGTERM or Ctrl-C: it "
      "takes\n"
      "no new turns, and ends when those that it has have ended, or after 10 s; once more: at once.\n"
      "All doors are open to this machine only, until there are credentials. docs/operations.md: running it.");
  command.add_option("--name", options->name, "Name in the cluster; the same at every start (default: node-PORT of --cluster)");
  command.add_option("--data", options->data, "Folder of everything durable (default: ~/.local/share/troupe/NAME)");
  command.add_option("--listen", options->listen, "Where clients connect; may be repeated")->capture_default_str();
  command.add_option("--cluster", options->cluster, "Where other nodes connect")->capture_default_str();
  command.add_option("--join", options->join, "Where another node of the cluster listens (its --cluster); may be repeated");
  command
      .add_option(
          "--tier", options->tiers,
          "A tier that this node runs, with its model: mini, medium, heavy, TIER=FOLDER, or TIER=remote:ENDPOINT; may be "
          "repeated; \"none\": no model")
      ->capture_default_str();
  command.add_option(
      "--corpus", options->corpus,
      "A folder of Markdown to answer from, \"handbook\" for the bundled one, or \"none\"; it is kept in the data folder, and "
      "replaces what was added there (default: what is there; at the first start, the handbook)");
  command.add_option("--policy", options->policy, "Routing policy, TOML (deploy/policy.toml is the default, explained)")
      ->check(CLI::ExistingFile);
  command
      .add_option("--endpoints", options->endpoints,
                  "Models that others host, for TIER=remote:NAME, TOML (deploy/endpoints.toml is an example, explained)")
      ->check(CLI::ExistingFile);
  command
      .add_option("--placement", options->placement,
                  "Which node holds which experts of which models, TOML (deploy/placement.toml is an example, explained); the "
                  "same on all nodes that run or hold them")
      ->check(CLI::ExistingFile);
  add_memory_options(command, *options);
  command
      .add_option(
          "--fabric-transports", options->fabric,
          "What bulk bytes (KV blocks, rows for experts) travel by between nodes, as in UCX_TLS: all, tcp, rc,tcp, ...; "
          "\"none\": they don't, and what needs them is computed again")
      ->capture_default_str();
  command.add_option(
      "--fault", options->faults,
      "For drills: breaks a tier on purpose, to see that contracts hold (docs/contracts.md). TIER=slow:MS: each piece of an\n"
      "answer comes MS milliseconds after the one before; TIER=stuck: begins and never says anything; TIER=rubbish: what it "
      "says\n"
      "has no form, and it is sure of it; TIER=dead: fails at once. With ,after:N its first N requests go well. May be "
      "repeated");
  command.add_option("--log", options->log, "What is logged: debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  command.add_flag("--json", options->json, "One JSON object when it has started");
  options->device.add_to(command);
  options->engine.add_to(command);
  command.callback([options, &action] { action = [options] { return run_node(*options); }; });
}

}  // namespace troupe::cli
