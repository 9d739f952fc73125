#include "tests/cluster/chaos.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "policy/drain.hpp"
#include "policy/routing.hpp"
#include "schemas/placement_file.hpp"
#include "schemas/routing_file.hpp"

namespace troupe::tests {

namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

constexpr std::uint64_t streams_max = 4;  // of a burst
constexpr std::uint64_t turns_max = 3;    // of a conversation
constexpr auto drain_patience = 60s;
constexpr std::int64_t turn_deadline_ms = 600'000;

const std::vector<std::string> small_talk{"Hello",
                                          "I have case 92153 open.",
                                          "What is my case number?",
                                          "My site is Porto.",
                                          "Thank you, that helps.",
                                          "And where is that written?"};

std::vector<std::string> handbook_questions() {
  std::vector<std::string> questions;
  std::ifstream file(TROUPE_SOURCE_DIR "/portfolio/handbook/questions.jsonl");
  for (std::string line; std::getline(file, line);)
    questions.push_back(nlohmann::json::parse(line).at("question").get<std::string>());
  return questions;
}

std::vector<NodeSetup> usual_setups(std::size_t nodes) {
  if (nodes == 1) return {{"", {"mini", "medium", "heavy"}}};
  if (nodes == 2) return {{"", {"mini"}}, {"", {"medium", "heavy"}}};
  return {{"", {"mini"}}, {"", {"medium", "heavy"}}, {"", {"medium", "heavy"}}};
}

/// Of three nodes, each of the last two runs heavy with half of its experts; the first holds some of either half, too, so that
/// of those of a node that is killed some answer elsewhere, and others have to be loaded there.
std::vector<policy::ExpertEntry> usual_placement(std::size_t nodes) {
  if (nodes < 3) return {};
  return {{"heavy", {"2"}, {}, {{0, 3}}, {}}, {"heavy", {"3"}, {}, {{4, 7}}, {}}, {"heavy", {"1"}, {}, {{2, 5}}, {}}};
}

/// What `troupe node` is told to compute on; several share one GPU, so that each takes little of its memory.
std::vector<std::string> on_device(const std::string& device) {
  if (device == "cpu") return {"--device", device};
  return {"--device", device, "--kv-memory", "512"};
}

std::vector<NodeSetup> named(std::vector<NodeSetup> setups, const std::string& prefix) {
  for (std::size_t i = 0; i < setups.size(); ++i) setups[i].name = prefix + std::to_string(i + 1);
  return setups;
}

/// Under a policy by which no stage is late, however long nodes are away: then nothing of an answer depends on time.
std::vector<NodeSetup> patient(std::vector<NodeSetup> setups, const std::filesystem::path& folder) {
  policy::RoutingPolicy policy = policy::default_policy();
  for (policy::Contract& contract : policy.contracts) contract.deadline_ms = turn_deadline_ms;
  const std::filesystem::path file = folder / "policy.toml";
  std::ofstream(file) << schemas::to_toml(policy);
  for (NodeSetup& setup : setups) setup.options.insert(setup.options.end(), {"--policy", file.string()});
  return setups;
}

double milliseconds(Steady::duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

}  // namespace

double ChaosSummary::gap_ms(double quantile) const {
  if (gaps_ms.empty()) return 0;
  std::vector<double> sorted = gaps_ms;
  std::sort(sorted.begin(), sorted.end());
  return sorted[static_cast<std::size_t>(quantile * static_cast<double>(sorted.size() - 1))];
}

Chaos::Chaos(std::filesystem::path folder, ChaosOptions options)
    : folder_(std::move(folder)), options_(std::move(options)), random_(options_.seed), questions_(handbook_questions()) {}
Chaos::~Chaos() = default;

ChaosCluster Chaos::usual_cluster(std::uint64_t number) {
  const std::size_t fixed = options_.only_drains ? 3 : options_.nodes;
  const std::size_t nodes = fixed != 0 ? fixed : 1 + (static_cast<std::size_t>(number) + 1) % 3;
  return {"seed " + std::to_string(options_.seed) + ", " + std::to_string(nodes) + " nodes",
          {},
          0,
          usual_setups(nodes),
          options_.device == "cpu" ? usual_placement(nodes) : std::vector<policy::ExpertEntry>{}};
}

Result<void> Chaos::start_cluster(std::uint64_t number) {
  asked_ = options_.clusters ? options_.clusters(number) : usual_cluster(number);
  if (options_.clusters) random_.seed(asked_.seed);
  const std::string prefix = "cluster" + std::to_string(number) + "-";
  asked_.setups = patient(named(std::move(asked_.setups), prefix), folder_);
  if (!asked_.placement.empty()) {
    for (policy::ExpertEntry& entry : asked_.placement) entry.node.value.insert(0, prefix);
    const std::filesystem::path file = folder_ / (prefix + "placement.toml");
    std::ofstream(file) << schemas::to_toml(asked_.placement);
    for (NodeSetup& setup : asked_.setups) setup.options.insert(setup.options.end(), {"--placement", file.string()});
  }
  const auto device = on_device(options_.device);
  for (NodeSetup& setup : asked_.setups) setup.options.insert(setup.options.end(), device.begin(), device.end());
  cluster_ = std::make_unique<TroupeOf>(TROUPE_BINARY, folder_, asked_.setups);
  return cluster_->start();
}

std::vector<std::size_t> Chaos::drainable() const {
  std::vector<std::size_t> nodes;
  for (std::size_t i = 1; i < asked_.setups.size(); ++i) {
    const auto others_have = [&](const std::string& tier) {
      for (std::size_t other = 0; other < asked_.setups.size(); ++other) {
        if (other != i && std::ranges::find(asked_.setups[other].tiers, tier) != asked_.setups[other].tiers.end()) return true;
      }
      return tier == "none";
    };
    if (std::ranges::all_of(asked_.setups[i].tiers, others_have)) nodes.push_back(i);
  }
  return nodes;
}

Script Chaos::draw_script() {
  Script script;
  const std::uint64_t turns = 1 + draw(turns_max);
  for (std::uint64_t i = 0; i < turns; ++i) {
    policy::Ask ask;
    ask.question = draw(3) == 0 ? small_talk[draw(small_talk.size())] : questions_[draw(questions_.size())];
    ask.seed = random_();
    ask.deadline_ms = turn_deadline_ms;
    if (draw(3) != 0) {
      ask.assurance = policy::Assurance::draft;
      // The bundled models are so sure of themselves that only great heat makes an answer depend on its draws.
      if (draw(2) == 0) {
        ask.sampling.temperature = draw(3) == 0 ? 1.2F : 8.0F;
        ask.sampling.top_k = static_cast<std::int32_t>(draw(2) * 40);
        ask.sampling.top_p = draw(2) == 0 ? 1.0F : 0.95F;
      }
    }
    if (draw(2) == 0) ask.tier = static_cast<policy::Tier>(draw(3));
    ask.tokens_max = draw(4) == 0 ? 8 : 256;
    ask.keep_if_unread = draw(2) == 0;
    ask.idempotency_key = "chaos-" + std::to_string(random_());
    script.asks.push_back(std::move(ask));
  }
  return script;
}

Chaos::Disturbance Chaos::draw_disturbance() {
  Disturbance disturbance;
  const auto drainable_nodes = drainable();
  if (!drainable_nodes.empty() && (options_.only_drains || draw(3) == 0)) {
    disturbance.drained = drainable_nodes[draw(drainable_nodes.size())];
    disturbance.after_tokens = 1 + draw(60);
    disturbance.delay_ms = static_cast<int>(20 + draw(600));
    if (options_.only_drains || draw(2) == 0) return disturbance;
  }
  const std::uint64_t kind = draw(10);
  if (kind < 2) return disturbance;  // only a burst
  if (kind == 9) {
    for (std::size_t i = 0; i < cluster_->size(); ++i) disturbance.victims.push_back(i);
  } else {
    disturbance.victims.push_back(draw(cluster_->size()));
  }
  disturbance.after_tokens = 1 + draw(60);
  disturbance.delay_ms = static_cast<int>(20 + draw(600));
  disturbance.down_ms = static_cast<int>(draw(2) * draw(1500));
  return disturbance;
}

Result<void> Chaos::expect(Script& script) {
  const Told told = converse(undisturbed_->addresses(), script, {});
  for (const Told::Turn& turn : told.turns) {
    if (!turn.problem.empty()) return Error{ErrorCode::unavailable, "the undisturbed node does not answer: " + turn.problem};
    script.expected.push_back(turn.bits);
  }
  return {};
}

Result<void> Chaos::run_one(std::uint64_t number) {
  std::vector<Script> scripts(1 + draw(streams_max));
  for (Script& script : scripts) {
    script = draw_script();
    TROUPE_TRY_DO(expect(script));
  }
  if (draw(8) == 0) {  // a cold cache
    for (std::size_t i = 0; i < cluster_->size(); ++i) TROUPE_TRY_DO(cluster_->node(i).start());
    TROUPE_TRY_DO(cluster_->wait_until_serving());
  }
  const Disturbance disturbance = draw_disturbance();
  std::vector<std::size_t> firsts;
  for (std::size_t i = 0; i < scripts.size(); ++i) firsts.push_back(draw(cluster_->size()));

  std::atomic<std::uint64_t> tokens{0};
  std::atomic<std::size_t> done{0};
  std::vector<Told> told(scripts.size());
  std::vector<std::thread> readers;
  for (std::size_t i = 0; i < scripts.size(); ++i) {
    readers.emplace_back([&, i, addresses = cluster_->addresses(firsts[i])] {
      told[i] = converse(addresses, scripts[i], [&] { ++tokens; });
      ++done;
    });
  }
  const auto began = Steady::now();
  while (done < scripts.size() && tokens < disturbance.after_tokens && Steady::now() - began < disturbance.delay_ms * 1ms)
    std::this_thread::sleep_for(1ms);
  const auto killed = Steady::now();
  const auto disturbed = disturb(disturbance);
  for (std::thread& reader : readers) reader.join();
  TROUPE_TRY_DO(disturbed);
  TROUPE_TRY_DO(cluster_->wait_until_serving());
  for (std::size_t i = 0; i < scripts.size(); ++i) {
    judge(number, scripts[i], told[i]);
    if (!disturbance.victims.empty() || disturbance.drained) note_gaps(told[i], killed);
  }
  return {};
}

Result<void> Chaos::disturb(const Disturbance& disturbance) {
  return disturbance.drained ? drain_and_join(disturbance) : kill_and_start(disturbance);
}

Result<void> Chaos::drain_and_join(const Disturbance& disturbance) {
  const std::string name = cluster_->node(*disturbance.drained).name();
  const auto operate = [&](auto work) -> Result<policy::NodeView> {
    const auto until = Steady::now() + drain_patience;
    for (;;) {
      clients::ClientOptions options;
      options.patience = 2s;
      const auto client = clients::Client::connect(cluster_->addresses(draw(cluster_->size())), options);
      auto view = client ? work(*client) : Result<policy::NodeView>(client.error());
      if (view || Steady::now() > until) return view;
      std::this_thread::sleep_for(50ms);  // a node that was killed is not back yet
    }
  };
  const auto look = [&](const clients::Client& client) -> Result<policy::NodeView> {
    TROUPE_TRY(const auto view, client.status());
    for (const policy::NodeView& node : view.nodes) {
      if (node.id.value == name) return node;
    }
    return Error{ErrorCode::unavailable, "node " + name + " is not known"};
  };
  TROUPE_TRY_DO(operate([&](const clients::Client& client) { return client.drain(name); }));
  if (!disturbance.victims.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(draw(200)));
  TROUPE_TRY_DO(kill_and_start(disturbance));
  auto last_held = Steady::now();
  for (const auto until = Steady::now() + drain_patience; Steady::now() - last_held < 1s;) {
    TROUPE_TRY(const auto view, operate(look));
    const auto left = policy::left_to_move(view);
    if (view.state != policy::NodeState::draining || !left.empty()) last_held = Steady::now();
    if (Steady::now() > until) {
      return Error{ErrorCode::unavailable, "node " + name + " does not become empty; it is " +
                                               std::string(to_string(view.state)) + " and still holds " + to_string(left)};
    }
    std::this_thread::sleep_for(20ms);
  }
  TROUPE_TRY_DO(operate([&](const clients::Client& client) { return client.join(name); }));
  ++summary_.drains;
  return {};
}

Result<void> Chaos::kill_and_start(const Disturbance& disturbance) {
  if (disturbance.victims.empty()) return {};
  for (const std::size_t victim : disturbance.victims) cluster_->node(victim).kill();
  summary_.kills += disturbance.victims.size();
  std::this_thread::sleep_for(disturbance.down_ms * 1ms);
  for (const std::size_t victim : disturbance.victims) TROUPE_TRY_DO(cluster_->node(victim).start());
  return {};
}

void Chaos::note_gaps(const Told& told, Steady::time_point killed) {
  for (const Told::Turn& turn : told.turns) {
    if (turn.times.empty() || turn.times.front() >= killed || turn.times.back() <= killed) continue;
    double gap = 0;
    for (std::size_t i = 1; i < turn.times.size(); ++i) gap = std::max(gap, milliseconds(turn.times[i] - turn.times[i - 1]));
    summary_.gaps_ms.push_back(gap);
  }
}

void Chaos::judge(std::uint64_t number, const Script& script, const Told& told) {
  ++summary_.streams;
  for (std::size_t i = 0; i < script.asks.size(); ++i) {
    const Told::Turn& turn = told.turns[i];
    ++summary_.turns;
    const std::string name = "turn " + std::to_string(i + 1) + ", \"" + script.asks[i].question + "\"";
    if (!turn.problem.empty()) {
      ++summary_.lost;
      ++summary_.failed_requests;
      complain(number, name + " is lost: " + turn.problem);
      return;  // what follows in the conversation differs with reason
    }
    if (!turn.heard.is_whole()) {
      ++summary_.doubled;
      complain(number, name + ": its events are not each once and in order");
    }
    if (turn.bits != script.expected[i]) {
      ++summary_.differing;
      complain(number, name + " differs; it is\n" + turn.bits + "\nand undisturbed\n" + script.expected[i]);
      return;
    }
  }
  if (told.in_history > script.asks.size()) ++summary_.doubled;
  if (told.in_history < script.asks.size()) ++summary_.lost;
  if (told.in_history == 0) ++summary_.failed_requests;
  if (told.in_history != script.asks.size())
    complain(number, "the history has " + std::to_string(told.in_history) + " turns of " + std::to_string(script.asks.size()));
}

void Chaos::complain(std::uint64_t number, const std::string& what) {
  std::cerr << std::exchange(asked_.layout, {});
  std::cerr << "chaos: " << asked_.name << ", event " << number << ": " << what << std::endl;
}

Result<ChaosSummary> Chaos::run(std::uint64_t events) {
  auto undisturbed = named(usual_setups(1), "undisturbed");
  undisturbed.front().options = on_device(options_.device);
  undisturbed_ = std::make_unique<TroupeOf>(TROUPE_BINARY, folder_, patient(std::move(undisturbed), folder_));
  TROUPE_TRY_DO(undisturbed_->start());
  auto last_said = Steady::now();
  for (std::uint64_t number = 0; number < events; ++number) {
    if (number % options_.events_per_cluster == 0) TROUPE_TRY_DO(start_cluster(number / options_.events_per_cluster));
    const auto ran = run_one(number);
    if (!ran) {
      complain(number, ran.error().message);
      return ran.error();
    }
    ++summary_.events;
    if (Steady::now() - last_said < 2s) continue;
    last_said = Steady::now();
    std::cerr << "chaos: " << summary_.events << " of " << events << " events, " << summary_.streams << " streams, "
              << summary_.kills << " kills, " << summary_.drains << " drains, " << summary_.differing << " differing, "
              << summary_.lost << " lost" << std::endl;
  }
  return summary_;
}

}  // namespace troupe::tests
