// Experts on other nodes, on virtual time: answers keep every bit whatever nodes and messages do, and when nobody can compute
// an expert it is said.
#include "cluster/expert_dispatch.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "tests/cluster/expert_cluster.hpp"
#include "tests/support/bits_place.hpp"

namespace troupe::tests {
namespace {

using bits::Recorder;
using bits::Universe;
using cluster::ExpertHolders;
using cluster::Payload;
using policy::ExpertSelection;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t seed = 20250801;

const TinyModel& tiny() { return tiny_model("qwen3_moe"); }
const policy::ExpertShape& shape() {
  static const policy::ExpertShape made = model::expert_shape(config_of(tiny()));
  return made;
}
ExpertSelection all() { return ExpertSelection::all(shape()); }

/// What the requests answer when a model with all of its experts runs them alone.
Universe& universe() {
  static Universe made(tiny(), seed, {});
  return made;
}

ExpertSelection draw(Random& random, float share) {
  ExpertSelection selection;
  for (const auto id : all().ids()) {
    if (random.chance(share)) selection.add(id);
  }
  return selection;
}

engine::EngineOptions engine_options(std::int32_t passes = 1) {
  engine::EngineOptions options;
  options.kv_blocks = 400;
  options.batch = {48, 12, 32};
  options.passes = passes;
  return options;
}

ExpertClusterOptions options(const ExpertSelection& here = {}, std::int32_t passes = 1) {
  ExpertClusterOptions made;
  made.tiny = &tiny();
  made.here = here;
  made.engine = engine_options(passes);
  return made;
}

/// Some of the universe's requests, answered by a cluster.
struct Answers {
  explicit Answers(std::vector<std::size_t> of) : specs(std::move(of)) {
    for (const std::size_t spec : specs) {
      recorders.push_back(std::make_unique<Recorder>(static_cast<std::int32_t>(universe().spec(spec).prompt.size())));
    }
  }
  bool run(ExpertCluster& cluster) const {
    std::vector<std::pair<engine::GenerateRequest, engine::Listener*>> requests;
    for (std::size_t i = 0; i < specs.size(); ++i)
      requests.emplace_back(universe().spec(specs[i]).request(), recorders[i].get());
    return cluster.answer(requests);
  }
  /// Of those that do not have the bits that they have alone.
  std::size_t differing() const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < specs.size(); ++i) {
      count += recorders[i]->tokens() != universe().reference(specs[i]).tokens || !recorders[i]->in_order() ? 1 : 0;
    }
    return count;
  }
  std::vector<std::size_t> specs;
  std::vector<std::unique_ptr<Recorder>> recorders;
};

/// Greedy and sampled ones, short and long.
const std::vector<std::size_t> some{0, 9, 18, 33, 41, 100, 123};

void expect_same_bits(ExpertCluster& cluster, const std::vector<std::size_t>& specs = some) {
  const Answers answers(specs);
  ASSERT_TRUE(answers.run(cluster)) << "nothing happens any more";
  for (const auto& recorder : answers.recorders) {
    ASSERT_TRUE(recorder->finished());
    EXPECT_FALSE(recorder->finished()->error) << recorder->finished()->error->message;
  }
  EXPECT_EQ(answers.differing(), 0U);
}

TEST(ExpertDispatch, ComputesWhatIsHereWithoutAnybodyElse) {
  ExpertCluster cluster(options(all()));
  expect_same_bits(cluster);
  EXPECT_EQ(cluster.dispatch->counters().messages, 0U);
  EXPECT_EQ(cluster.dispatch->counters().slots, cluster.dispatch->counters().slots_here);
}

TEST(ExpertDispatch, SendsOneMessageForEachLayerAndNode) {
  ExpertSelection even;
  for (const auto id : all().ids()) {
    if (id.expert % 2 == 0) even.add(id);
  }
  ExpertCluster cluster(options());
  auto& one = cluster.start("a", even);
  auto& other = cluster.start("b", all() - even);
  expect_same_bits(cluster);
  const auto counters = cluster.dispatch->counters();
  EXPECT_GT(counters.works, 10U);
  EXPECT_LE(counters.messages, 2 * counters.works);
  EXPECT_EQ(one.counters().works + other.counters().works, counters.messages);
  EXPECT_EQ(one.counters().slots + other.counters().slots, counters.slots);
  EXPECT_EQ(counters.failures, 0U);
  EXPECT_TRUE(cluster.missing.empty());
}

TEST(ExpertDispatch, KeepsEveryBitInAnyLayoutWhateverMessagesDo) {
  std::uint64_t failures = 0;
  std::uint64_t dropped = 0;
  for (std::uint64_t layout = 1; layout <= 24; ++layout) {
    SCOPED_TRACE("layout " + std::to_string(layout));
    Random random(seed, layout);
    const ExpertSelection here = random.chance(0.3F) ? ExpertSelection{} : draw(random, 0.4F);
    auto made = options(here, static_cast<std::int32_t>(random.between(1, 3)));
    const bool unreliable = layout % 3 == 0;
    made.dispatch.answer_max = milliseconds(20);
    made.faults = [&random, unreliable](const cluster::LocalOperation&) {
      cluster::LocalFault fault;
      fault.delay = microseconds(random.between(0, 900));
      fault.duplicate = random.chance(0.1F);
      fault.lost = unreliable && random.chance(0.02F);
      if (unreliable && random.chance(0.02F)) fault.delay = milliseconds(30);
      return fault;
    };
    ExpertCluster cluster(made);
    const std::int64_t nodes = random.between(1, 4);
    ExpertSelection held = here;
    for (std::int64_t node = 0; node < nodes; ++node) {
      auto experts = draw(random, 0.6F);
      if (node + 1 == nodes) experts = experts | (all() - held);
      held = held | experts;
      cluster.start("n" + std::to_string(node), experts);
    }
    std::vector<std::size_t> specs;
    for (int i = 0; i < 6; ++i) specs.push_back(random.below(120));
    expect_same_bits(cluster, specs);
    failures += cluster.dispatch->counters().failures;
    dropped += cluster.port->dropped();
  }
  EXPECT_GT(failures, 5U) << "messages were lost or late";
  EXPECT_GT(dropped, 20U) << "answers came twice, or too late";
}

TEST(ExpertDispatch, TakesNoAnswerThatIsNotWhatWasAsked) {
  const auto cut = [](const Payload& answer, std::size_t bytes) { return cluster::payload_of(answer.bytes.first(bytes)); };
  const std::map<std::string, std::function<void(Payload, const ExpertCluster::Send&)>> liars{
      {"late", [](const Payload&, const ExpertCluster::Send&) {}},
      {"twice",
       [](const Payload& answer, const ExpertCluster::Send& send) {
         for (int i = 0; i < 3; ++i) send(answer);
       }},
      {"torn",
       [&](const Payload& answer, const ExpertCluster::Send& send) { send(cut(answer, answer.bytes.size() / 16 * 8)); }},
      {"empty", [&](const Payload& answer, const ExpertCluster::Send& send) { send(cut(answer, 0)); }},
      {"short",
       [](const Payload& answer, const ExpertCluster::Send& send) {
         const auto results = schemas::decode_expert_results(answer.bytes).value();
         const auto frame = schemas::encode_expert_results(results.number, results.hidden, 100);
         send({frame.owner, frame.bytes});
       }},
      {"narrow",
       [](const Payload& answer, const ExpertCluster::Send& send) {
         const auto results = schemas::decode_expert_results(answer.bytes).value();
         const auto frame = schemas::encode_expert_results(results.number, results.hidden / 3, 3 * results.values.size() / 48);
         send({frame.owner, frame.bytes});
       }},
      {"other number",
       [](const Payload& answer, const ExpertCluster::Send& send) {
         const auto results = schemas::decode_expert_results(answer.bytes).value();
         const auto frame = schemas::encode_expert_results(results.number + 1, results.hidden, 4);
         send({frame.owner, frame.bytes});
       }},
      {"refusal", [](const Payload& answer, const ExpertCluster::Send& send) {
         const auto number = schemas::decode_expert_results(answer.bytes)->number;
         const auto frame = schemas::encode_expert_error(number, {ErrorCode::overloaded, "too much to do"});
         send({frame.owner, frame.bytes});
       }}};
  for (const auto& [name, liar] : liars) {
    SCOPED_TRACE(name);
    ExpertCluster cluster(options());
    cluster.start("liar", all());
    cluster.mangle("liar", liar);
    cluster.start("truthful", all());
    expect_same_bits(cluster, {9, 33});
    const auto counters = cluster.dispatch->counters();
    if (name == "twice") {
      while (cluster.run_next()) {
      }
      EXPECT_EQ(counters.failures, 0U);
      EXPECT_EQ(cluster.port->dropped(), 2 * counters.messages);
    } else {
      EXPECT_GT(counters.failures, 0U);
    }
  }
}

TEST(ExpertDispatch, DropsAnswersOfThoseWhoWereNotAsked) {
  auto made = options();
  made.faults = [](const cluster::LocalOperation& operation) {
    cluster::LocalFault fault;
    if (operation.from.value == "asked") fault.delay = milliseconds(1);
    return fault;
  };
  ExpertCluster cluster(made);
  cluster.start("asked", all());
  cluster.start("stranger", {});
  cluster.mangle("asked", [&](Payload answer, const ExpertCluster::Send& send) {
    // The stranger is faster: zeroes, for the same number and of the right size.
    const auto results = schemas::decode_expert_results(answer.bytes).value();
    const auto slots = results.values.size() / static_cast<std::size_t>(results.hidden);
    const auto frame = schemas::encode_expert_results(results.number, results.hidden, slots);
    cluster.fabric_of("stranger")
        .send(ExpertCluster::self, cluster::Channel::expert_results, {frame.owner, frame.bytes}, TimePoint::max(),
              [](const Result<void>&) {});
    send(std::move(answer));
  });
  expect_same_bits(cluster, {9});
  EXPECT_EQ(cluster.dispatch->counters().failures, 0U);
  EXPECT_EQ(cluster.port->dropped(), cluster.dispatch->counters().messages);
}

TEST(ExpertDispatch, AsksAReplicaWhenANodeDiesInMidStep) {
  for (int when = 1; when <= 60; when += 3) {
    SCOPED_TRACE("killed before event " + std::to_string(when));
    auto made = options({}, 2);
    made.faults = [](const cluster::LocalOperation&) {
      cluster::LocalFault fault;
      fault.delay = microseconds(50);
      return fault;
    };
    ExpertCluster cluster(made);
    cluster.start("a", all());
    cluster.start("b", all());
    int events = 0;
    cluster.before_event = [&] {
      if (++events == when) cluster.kill("a");
    };
    const TimePoint begin = cluster.loop.clock().now();
    expect_same_bits(cluster, {9, 18, 33});
    EXPECT_GE(events, when);
    EXPECT_LT(cluster.loop.clock().now() - begin, seconds(1)) << "a lost peer is not waited for";
    EXPECT_TRUE(cluster.missing.empty());
  }
}

TEST(ExpertDispatch, WaitsWhileNobodyIsLeftAndGoesOnWhenOthersHaveLoaded) {
  ExpertCluster cluster(options());
  cluster.start("a", all());
  int events = 0;
  cluster.before_event = [&] {
    if (++events == 25) cluster.kill("a");
  };
  bool rescued = false;
  cluster.on_missing = [&](const ExpertSelection&) {
    if (std::exchange(rescued, true)) return;
    cluster.loop.schedule()(seconds(3), [&] {
      ExpertSelection low;
      for (const auto id : all().ids()) {
        if (id.expert < 4) low.add(id);
      }
      cluster.start("b", low);
      cluster.start("c", all() - low);
    });
  };
  const TimePoint begin = cluster.loop.clock().now();
  expect_same_bits(cluster);
  EXPECT_TRUE(rescued);
  EXPECT_FALSE((cluster.missing.front() - all()).count() > 0);
  EXPECT_FALSE(cluster.missing.front().empty());
  EXPECT_EQ(cluster.dispatch->counters().waits, 1U);
  EXPECT_GE(cluster.loop.clock().now() - begin, seconds(3));
  EXPECT_LT(cluster.loop.clock().now() - begin, milliseconds(3100));
}

TEST(ExpertDispatch, IsRescuedByItsOwnNode) {
  Random random(seed);
  const auto here = draw(random, 0.5F);
  ExpertCluster cluster(options(here));
  cluster.on_missing = [&](const ExpertSelection&) {
    if (cluster.missing.size() == 1) cluster.loop.schedule()(milliseconds(1), [&] { cluster.serve_here(all() - here); });
  };
  expect_same_bits(cluster);
  EXPECT_GE(cluster.missing.size(), 1U);
}

TEST(ExpertDispatch, FailsInTheEndAndSaysWhatIsMissing) {
  auto made = options();
  made.dispatch.trouble_max = seconds(5);
  made.dispatch.homes = [](const ExpertSelection& missing) { return missing.empty() ? "nobody" : "nodes x, y"; };
  ExpertCluster cluster(made);
  const TimePoint begin = cluster.loop.clock().now();
  const Answers answers({9});
  ASSERT_TRUE(answers.run(cluster));
  const auto& finished = answers.recorders[0]->finished();
  ASSERT_TRUE(finished && finished->error);
  EXPECT_EQ(finished->error->code, ErrorCode::unavailable);
  EXPECT_NE(finished->error->message.find("experts of layer 0: "), std::string::npos) << finished->error->message;
  EXPECT_NE(finished->error->message.find("for 5 s; no node holds them; they are placed on nodes x, y"), std::string::npos)
      << finished->error->message;
  EXPECT_GE(cluster.loop.clock().now() - begin, seconds(5));
  EXPECT_LT(cluster.loop.clock().now() - begin, milliseconds(5500));
  EXPECT_GT(cluster.missing.size(), 10U) << "it is told again and again";
  // The engine is none the worse for it.
  cluster.start("a", all());
  expect_same_bits(cluster);
}

TEST(ExpertDispatch, GivesUpOnANodeThatNeverAnswers) {
  auto made = options();
  made.dispatch.trouble_max = seconds(5);
  ExpertCluster cluster(made);
  cluster.start("deaf", all());
  cluster.mangle("deaf", [](const Payload&, const ExpertCluster::Send&) {});
  const Answers answers({9});
  ASSERT_TRUE(answers.run(cluster));
  const auto& finished = answers.recorders[0]->finished();
  ASSERT_TRUE(finished && finished->error);
  EXPECT_EQ(finished->error->code, ErrorCode::unavailable);
  EXPECT_NE(finished->error->message.find("no answer of the experts in time"), std::string::npos) << finished->error->message;
}

TEST(ExpertDispatch, ComesBackToANodeThatHadTooMuchToDo) {
  ExpertCluster cluster(options());
  cluster.start("busy", all());
  int refused = 0;
  cluster.mangle("busy", [&](Payload answer, const ExpertCluster::Send& send) {
    if (++refused % 5 != 0) return send(std::move(answer));
    const auto frame = schemas::encode_expert_error(schemas::decode_expert_results(answer.bytes)->number,
                                                    {ErrorCode::overloaded, "too much to do"});
    send({frame.owner, frame.bytes});
  });
  expect_same_bits(cluster, {9, 33});
  EXPECT_GT(cluster.dispatch->counters().failures, 0U);
  EXPECT_EQ(cluster.dispatch->counters().failed, 0U);
}

TEST(ExpertDispatch, EndsItsWorksWhenItStops) {
  auto made = options();
  made.faults = [](const cluster::LocalOperation&) {
    cluster::LocalFault fault;
    fault.delay = seconds(1);
    return fault;
  };
  ExpertCluster cluster(made);
  cluster.start("a", all());
  Recorder recorder(1);
  ASSERT_TRUE(cluster.engine->submit(universe().spec(9).request(), recorder));
  cluster.engine->step();
  EXPECT_FALSE(recorder.finished());
  cluster.dispatch->stop();
  cluster.engine->step();
  ASSERT_TRUE(recorder.finished());
  EXPECT_EQ(recorder.finished()->error->code, ErrorCode::cancelled);
  const auto before = cluster.port->dropped();
  while (cluster.run_next()) {
  }
  EXPECT_EQ(cluster.port->dropped(), before + 1) << "its answer comes for nobody";
}

/// Adding results in the order in which they arrive is what placement would change if anything added them so.
TEST(ExpertDispatch, WouldDifferIfResultsWereAddedInTheOrderOfArrival) {
  const auto differing = [](bool broken) {
    std::size_t count = 0;
    for (std::uint64_t layout = 1; layout <= 4; ++layout) {
      ArrivalOrder arrivals;
      Random random(seed, layout);
      auto made = options({}, 2);
      made.operations = broken ? ArrivalOrder::broken_operations() : nullptr;
      made.faults = [&random](const cluster::LocalOperation&) {
        cluster::LocalFault fault;
        fault.delay = microseconds(random.between(0, 900));
        return fault;
      };
      ExpertCluster cluster(made);
      cluster.arrivals = &arrivals;
      const auto half = draw(random, 0.5F);
      cluster.start("a", half);
      cluster.start("b", all() - half);
      const Answers answers(some);
      EXPECT_TRUE(answers.run(cluster));
      count += answers.differing();
    }
    return count;
  };
  EXPECT_EQ(differing(false), 0U);
  EXPECT_GT(differing(true), 0U) << "and no test would notice";
}

/// The same with threads: the fabric's, each server's, and one for timers, while the engine runs here.
TEST(ExpertDispatch, KeepsEveryBitOverRealThreads) {
  const SystemClock clock;
  cluster::LocalHub hub;
  cluster::WorkThread timers;
  const auto by = [](cluster::WorkThread& thread) -> cluster::Schedule {
    return [&thread](Duration after, std::function<void()> work) { thread.run(after, std::move(work)); };
  };
  const auto device = kernels::CpuDevice::create({.threads = 1}).value();
  const auto own = hub.join({"engine"}).value();
  struct Node {
    cluster::WorkThread thread;
    std::unique_ptr<cluster::Fabric> fabric;
    std::unique_ptr<cluster::ExpertServer> server;
  };
  ExpertHolders holders;
  std::vector<std::unique_ptr<Node>> nodes;
  for (const char* name : {"a", "b", "c"}) {
    auto node = std::make_unique<Node>();
    Random random(seed, nodes.size());
    const auto experts = nodes.size() == 2 ? all() : draw(random, 0.6F);
    node->fabric = hub.join({name}).value();
    ASSERT_TRUE(node->fabric->connect({"engine"}, own->address()));
    ASSERT_TRUE(own->connect({name}, node->fabric->address()));
    auto its_device = kernels::CpuDevice::create({.threads = 1}).value();
    auto slices = std::make_shared<const model::ExpertSlices>(
        model::ExpertSlices::random(config_of(tiny()), tiny().seed, experts, *its_device).value());
    node->server = cluster::ExpertServer::create(*node->fabric, clock, by(node->thread), std::move(its_device)).value();
    ASSERT_TRUE(node->server->serve(cluster::source_of(slices, kernels::DeviceKind::cpu)));
    holders.push_back({{name}, experts, static_cast<std::int64_t>(nodes.size())});
    nodes.push_back(std::move(node));
  }
  const auto told = std::make_shared<const ExpertHolders>(holders);
  cluster::ExpertPort port(*own, clock, by(timers), {.self = {"engine"}});
  Random random(seed, 99);
  const auto model = model::Model::random(config_of(tiny()), tiny().seed, draw(random, 0.2F), *device).value();
  cluster::ExpertDispatchOptions dispatching;
  dispatching.holders = [told] { return told; };
  const auto dispatch = cluster::ExpertDispatch::create(model, *device, port, clock, by(timers), dispatching, 48).value();
  const auto engine = engine::Engine::create(model, *device, clock, engine_options(3), dispatch.get()).value();
  bits::Bell bell;
  engine->on_wake([&bell] { bell.ring(); });
  const Answers answers(some);
  for (std::size_t i = 0; i < some.size(); ++i) {
    ASSERT_TRUE(engine->submit(universe().spec(some[i]).request(), *answers.recorders[i]));
  }
  while (!engine->idle()) {
    if (engine->step().progressed) continue;
    ASSERT_TRUE(bell.wait());
  }
  EXPECT_EQ(answers.differing(), 0U);
  EXPECT_GT(dispatch->counters().messages, 10U);
  EXPECT_EQ(dispatch->counters().failures, 0U);
}

}  // namespace
}  // namespace troupe::tests
