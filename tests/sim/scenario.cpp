#include "tests/sim/scenario.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "tests/sim/invariants.hpp"
#include "tests/sim/shadows.hpp"

namespace troupe::sim {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration troubled_time = seconds(12);
constexpr Duration mending_time = seconds(240);
constexpr Duration quiet_time = seconds(20);  ///< longer than anybody waits for somebody who is silent
constexpr std::int64_t far_deadline_ms = 3'600'000;
constexpr Duration for_good = std::chrono::hours(1000);

Duration between(Random& random, Duration low, Duration high) { return Duration(random.between(low.count(), high.count())); }

std::string draw_text(Random& random) {
  constexpr std::array<std::string_view, 20> words = {
      "what", "about", "leave",  "travel",  "records", "security", "badges", "laptops", "meals", "safety",
      "who",  "when",  "hiring", "parking", "pets",    "phones",   "and",    "decides", "asks",  "edition"};
  std::string text;
  for (auto count = random.between(2, 7); count > 0; --count) {
    if (!text.empty()) text += ' ';
    text += words[random.below(words.size())];
  }
  return text + "?";
}

Question draw_question(Random& random, bool plain, const std::string& key) {
  Question question;
  policy::Ask& ask = question.ask;
  ask.idempotency_key = key;
  ask.question = draw_text(random);
  ask.assurance = random.chance(0.4F) ? policy::Assurance::draft : policy::Assurance::standard;
  if (ask.assurance == policy::Assurance::draft && random.chance(0.6F)) {
    ask.sampling = {.temperature = 0.9F, .top_k = static_cast<std::int32_t>(random.below(30)), .top_p = 0.95F, .min_p = 0};
  }
  if (random.chance(0.3F)) ask.tier = policy::tiers[random.below(policy::tiers.size())];
  if (random.chance(0.2F)) ask.grounding = random.chance(0.5F) ? policy::Grounding::never : policy::Grounding::always;
  ask.priority = static_cast<policy::Priority>(random.below(3));
  ask.seed = random.next();
  ask.tokens_max = static_cast<std::int32_t>(random.between(3, 32));
  ask.deadline_ms = far_deadline_ms;
  ask.keep_if_unread = plain || random.chance(0.5F);
  question.pause = random.chance(0.03F) ? Duration(seconds(70)) : between(random, Duration::zero(), milliseconds(900));
  question.credit = static_cast<std::uint32_t>(random.between(1, 6));
  question.twice = random.chance(0.15F);
  if (random.chance(0.2F)) question.second_reader_after = between(random, Duration::zero(), seconds(2));
  if (plain) return question;
  if (random.chance(0.12F)) question.cancel_after = between(random, Duration::zero(), milliseconds(500));
  if (random.chance(0.12F)) question.vanish_after = between(random, Duration::zero(), milliseconds(500));
  if (random.chance(0.08F)) ask.deadline_ms = random.between(20, 1500);
  return question;
}

Fault draw_fault(Random& random, bool plain) {
  Fault fault;
  constexpr std::array kinds = {Fault::Kind::crash,     Fault::Kind::crash,     Fault::Kind::crash,     Fault::Kind::actor,
                                Fault::Kind::partition, Fault::Kind::partition, Fault::Kind::slow_disk, Fault::Kind::full_disk};
  fault.kind = kinds[random.below(kinds.size())];
  fault.at = between(random, seconds(1), troubled_time);
  fault.lasts = random.chance(0.8F) ? between(random, milliseconds(50), seconds(3)) : between(random, seconds(3), seconds(14));
  fault.node = random.below(3);
  fault.other = (fault.node + random.between(1, 2)) % 3;
  fault.detail = random.next();
  fault.zombie = random.chance(0.5F);
  fault.other_corpus = !plain && random.chance(0.5F);
  return fault;
}

/// Not a fault for anybody but the simulation: one of the nodes is emptied while all this happens.
Fault draw_drain(Random& random) {
  Fault drain;
  drain.kind = Fault::Kind::drain;
  drain.at = between(random, milliseconds(500), troubled_time);
  drain.lasts = random.chance(0.5F) ? for_good : between(random, milliseconds(300), seconds(8));
  drain.node = random.chance(0.1F) ? 0 : 1 + random.below(2);
  return drain;
}

/// From a stream of its own, so that it changes nothing else of a seed.
std::optional<Drill> draw_drill(std::uint64_t seed) {
  Random random(seed, 3);
  if (!random.chance(0.4F)) return std::nullopt;
  Drill drill;
  drill.deadline_ms = random.between(300, 4000);
  if (random.chance(0.5F)) drill.when_unsure = "Not sure. {source} says: {quote}";
  for (const policy::Tier tier : policy::tiers) {
    if (!random.chance(0.6F)) continue;
    policy::TierFault fault;
    fault.tier = tier;
    fault.fault.kind = static_cast<policy::Fault::Kind>(random.below(4));
    fault.fault.delay_ms = random.between(1, 500);
    fault.fault.after = random.below(8);
    drill.faults.push_back(fault);
  }
  if (random.chance(0.5F)) {
    constexpr std::array kinds = {policy::Fault::Kind::slow, policy::Fault::Kind::stuck, policy::Fault::Kind::dead};
    drill.search = policy::Fault{kinds[random.below(kinds.size())], random.between(1, 5000), random.below(3)};
  }
  return drill;
}

/// What is pinned before the questions of a conversation, and unpinned again. From a stream of its own, too.
void draw_pins(Random& random, Conversation& conversation) {
  using Kind = policy::PinChange::Kind;
  std::vector<std::string> pinned;
  std::size_t number = 0;
  for (Question& question : conversation.questions) {
    for (auto changes = random.chance(0.4F) ? random.between(1, 3) : 0; changes > 0; --changes) {
      if (!pinned.empty() && random.chance(0.4F)) {
        const auto which = pinned.begin() + static_cast<std::ptrdiff_t>(random.below(pinned.size()));
        question.pins.push_back({Kind::remove, *which});
        pinned.erase(which);
      } else if (pinned.size() < 8) {
        pinned.push_back("case K" + std::to_string(++number) + " is about " + draw_text(random));
        question.pins.push_back({Kind::add, pinned.back()});
      }
    }
  }
}

/// Makes a scenario's faults happen, and mends them.
class Fate {
 public:
  Fate(World& world, SimCluster& cluster) : world_(world), cluster_(cluster) {}

  void announce(const Fault& fault) {
    world_.schedule(fault.at, [this, fault] {
      if (!mended_) strike(fault);
    });
    world_.schedule(fault.at + fault.lasts, [this, fault] { mend(fault); });
  }
  void mend_all() {
    mended_ = true;
    cluster_.network().set_weather({});
    cluster_.network().join_all();
    for (const auto& node : cluster_.nodes()) {
      node->disk.slow = {};
      node->disk.store.fail_writes(std::nullopt);
      cluster_.start(*node);
    }
  }

 private:
  void strike(const Fault& fault) {
    Node& node = cluster_.node(fault.node);
    switch (fault.kind) {
      case Fault::Kind::crash: return crash(node, fault, world_.now() + seconds(2));
      case Fault::Kind::actor: cluster_.fail_actor(node, fault.detail % 6); break;
      case Fault::Kind::partition: cluster_.network().part(node.name, cluster_.node(fault.other).name); break;
      case Fault::Kind::slow_disk:
        world_.note(node.name, "the disk is slow");
        node.disk.slow = milliseconds(static_cast<std::int64_t>(20 + fault.detail % 300));
        break;
      case Fault::Kind::full_disk:
        world_.note(node.name, "the disk is full");
        node.disk.store.fail_writes(fault.detail % 2000);
        break;
      case Fault::Kind::drain: return drain(node, world_.now() + seconds(6));
    }
  }
  /// Asks until somebody answers: it begins, or is refused for a reason.
  void drain(Node& node, TimePoint last) {
    const auto again = [this, &node, last] {
      if (world_.now() < last && !mended_) world_.schedule(milliseconds(300), [this, &node, last] { drain(node, last); });
    };
    const auto front = cluster_.any_front();
    if (!front) return again();
    front->drain({node.name}, [this, &node, again](const Result<policy::NodeView>& view) {
      world_.note("operator", view ? node.name + " is being drained" : "no drain: " + view.error().message);
      if (!view && view.error().code == ErrorCode::unavailable) again();
    });
  }
  void join(Node& node) {
    const auto front = cluster_.any_front();
    if (!front) return;
    front->join({node.name}, [this, &node](const Result<policy::NodeView>& view) {
      world_.note("operator", view ? node.name + " joins again" : "no join: " + view.error().message);
    });
  }
  /// Whether a crash does harm now: a life whose writes are to land late is ended while it has some, others half the time
  /// while they make tokens.
  static bool is_worth_it(const Life& life, const Fault& fault) {
    if (fault.zombie) return life.journal->writes_wait();
    return fault.detail % 2 == 0 || std::any_of(life.replicas.begin(), life.replicas.end(),
                                                [](const auto& replica) { return replica->view().running > 0; });
  }
  void crash(Node& node, const Fault& fault, TimePoint last) {
    if (node.life && !is_worth_it(*node.life, fault) && world_.now() < last) {
      return world_.schedule(milliseconds(1), [this, &node, fault, last] { crash(node, fault, last); });
    }
    cluster_.kill(node, fault.zombie, fault.detail);
    if (fault.other_corpus) node.corpus_version = 1 + fault.detail % 5;
    world_.schedule(fault.lasts, [this, &node] { cluster_.start(node); });
  }
  void mend(const Fault& fault) {
    Node& node = cluster_.node(fault.node);
    switch (fault.kind) {
      case Fault::Kind::crash:  // it starts again by itself
      case Fault::Kind::actor: break;
      case Fault::Kind::partition: cluster_.network().join(node.name, cluster_.node(fault.other).name); break;
      case Fault::Kind::slow_disk: node.disk.slow = {}; break;
      case Fault::Kind::full_disk: node.disk.store.fail_writes(std::nullopt); break;
      case Fault::Kind::drain: join(node); break;
    }
  }

  World& world_;
  SimCluster& cluster_;
  bool mended_ = false;
};

}  // namespace

Scenario draw_scenario(std::uint64_t seed) {
  Random random(seed, 1);
  Scenario scenario;
  scenario.seed = seed;
  scenario.plain = random.chance(0.4F);
  if (random.chance(0.6F)) {
    const float storm = random.chance(0.15F) ? 3.0F : 1.0F;
    scenario.weather = {random.uniform() * 0.1F * storm, random.uniform() * 0.1F * storm, random.uniform() * 0.2F * storm};
  }
  const auto conversations = random.between(2, 4);
  for (std::int64_t i = 0; i < conversations; ++i) {
    Conversation conversation;
    conversation.start = between(random, Duration::zero(), seconds(3));
    conversation.patience = between(random, milliseconds(1500), seconds(8));
    const auto questions = random.between(3, 8);
    for (std::int64_t q = 0; q < questions; ++q) {
      conversation.questions.push_back(draw_question(random, scenario.plain, "q" + std::to_string(q + 1)));
    }
    scenario.conversations.push_back(std::move(conversation));
  }
  Random pins(seed, 4);
  for (Conversation& conversation : scenario.conversations) draw_pins(pins, conversation);
  for (auto faults = random.between(0, 8); faults > 0; --faults) scenario.faults.push_back(draw_fault(random, scenario.plain));
  if (random.chance(0.6F)) {
    for (auto drains = random.between(1, 3); drains > 0; --drains) scenario.faults.push_back(draw_drain(random));
  }
  if (!scenario.plain) scenario.drill = draw_drill(seed);
  if (!scenario.drill) return scenario;
  // Where nothing can be quoted, an answer that is coming has all the time of its turn.
  constexpr std::int64_t drill_deadline_ms = 40'000;
  for (Conversation& conversation : scenario.conversations) {
    for (Question& question : conversation.questions) {
      question.ask.deadline_ms = std::min(question.ask.deadline_ms, drill_deadline_ms);
    }
  }
  return scenario;
}

Scenario without_faults(Scenario scenario) {
  scenario.weather = {};
  scenario.faults.clear();
  scenario.drill.reset();
  return scenario;
}

Outcome run(const Scenario& scenario, const RunOptions& options) {
  AloneAnswers alone;
  return run(scenario, options, alone);
}

Outcome run(const Scenario& scenario, const RunOptions& options, AloneAnswers& alone) {
  World world(scenario.seed, options.keep_trace, options.defect);
  SimCluster cluster(world, options.shadows, scenario.drill ? &*scenario.drill : nullptr);
  Witness witness(cluster);
  std::vector<std::shared_ptr<Client>> clients;
  Fate fate(world, cluster);
  for (const auto& node : cluster.nodes()) {
    world.schedule(world.between(Duration::zero(), milliseconds(300)), [&cluster, &node = *node] { cluster.start(node); });
  }
  cluster.network().set_weather(scenario.weather);
  for (const Fault& fault : scenario.faults) fate.announce(fault);
  for (const Conversation& conversation : scenario.conversations) {
    clients.push_back(std::make_shared<Client>(witness, conversation, "client" + std::to_string(clients.size())));
    clients.back()->start();
  }

  const auto all_done = [&] {
    return std::all_of(clients.begin(), clients.end(), [](const auto& client) { return client->done(); });
  };
  Duration trouble{};
  for (const Fault& fault : scenario.faults) trouble = std::max(trouble, fault.at);
  world.run_for(trouble);
  world.run_until(all_done, troubled_time);
  fate.mend_all();
  world.note("world", "all is mended");
  Outcome outcome;
  const bool ended = world.run_until([&] { return all_done() && nothing_is_open(cluster, clients); }, mending_time);
  if (!ended) tell_what_is_open(cluster, clients);
  world.run_for(quiet_time);
  check_at_rest(witness, alone);
  outcome.answers = answers_of(witness, clients);
  outcome.shadows = shadows_of(cluster);
  check_shadows(world, outcome.shadows, scenario.plain);
  outcome.violations = world.trace().violations();
  outcome.lines = world.trace().lines();
  outcome.trace_hash = world.trace().hash();
  outcome.blocks = cluster.block_traffic();
  return outcome;
}

Outcome run_seed(std::uint64_t seed, const RunOptions& options) {
  const Scenario scenario = draw_scenario(seed);
  AloneAnswers alone;  // a good day asks for the same
  Outcome outcome = run(scenario, options, alone);
  if (!scenario.plain || !outcome.violations.empty()) return outcome;
  const Outcome good_day = run(without_faults(scenario), {.keep_trace = false, .defect = Defect::none}, alone);
  for (const std::string& violation : good_day.violations) outcome.violations.push_back("on a good day: " + violation);
  for (std::size_t c = 0; c < outcome.answers.size(); ++c) {
    for (std::size_t q = 0; q < std::max(outcome.answers[c].size(), good_day.answers[c].size()); ++q) {
      const auto at = [&](const Outcome& from) {
        return q < from.answers[c].size() ? from.answers[c][q] : std::string("nothing");
      };
      if (at(outcome) == at(good_day)) continue;
      outcome.violations.push_back("client" + std::to_string(c) + ", question " + std::to_string(q + 1) + ": " + at(outcome) +
                                   ", and on a good day: " + at(good_day));
    }
  }
  return outcome;
}

}  // namespace troupe::sim
