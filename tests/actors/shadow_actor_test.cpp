// Shadows on virtual time: an engine that answers as the test says, or not at all, and a disk in memory.
#include "actors/shadow_actor.hpp"

#include <gtest/gtest.h>

#include <caf/all.hpp>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/direct_journal.hpp"
#include "storage/memory_store.hpp"
#include "tests/sim/world.hpp"

namespace troupe::actors {
namespace {

using policy::ShadowFate;
using policy::Tier;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// What an engine says to a shadow.
struct Said {
  std::string text;
  double confidence = 1;
  std::string finish_reason = "end_token";
};

class Shadows : public testing::Test {
 protected:
  Shadows() {
    context_ = std::make_shared<NodeContext>();
    context_->self = {"a"};
    context_->clock = world_.clock();
    context_->wall = world_.wall();
    context_->journal = std::make_shared<storage::DirectJournal>(
        store_, [this](std::function<void()> work) { world_.schedule(milliseconds(1), std::move(work)); });
    policy::ShadowExperiment heavy{"heavy", 1, Tier::heavy, "", {}, {}};
    policy::ShadowExperiment cascade{"cascade", 1, std::nullopt, "cascade.toml", {}, {}};
    policy::RoutingPolicy routing = policy::default_policy();
    routing.rules = {routing.rules.back()};
    context_->shadows = {policy::make_arm(routing, heavy, std::nullopt).value(),
                         policy::make_arm(routing, cascade, routing).value()};
    for (const Tier tier : policy::tiers) engines_.push_back(world_.system().spawn(engine_of, this, tier));
    peer_.view.id = context_->self;
    peer_.view.state = policy::NodeState::serving;
    for (const Tier tier : policy::tiers) serve(tier);
    show();
    start();
  }
  ~Shadows() override {
    stop(actor_);
    for (const EngineActor& engine : engines_) stop(engine);
    world_.settle();
    context_->cluster.store(std::make_shared<const Cluster>());
  }

  static EngineActor::behavior_type engine_of(EngineActor::pointer self, Shadows* test, Tier tier) {
    return {
        [test, tier](const schemas::EnginePrepare& prepare) {
          test->prepared_.push_back(prepare);
          schemas::EnginePrepared prepared;
          prepared.prompt.assign(10, static_cast<std::int32_t>(tier));
          for (std::uint32_t i = 0; i < prepare.parts.passages.size(); ++i) prepared.passages.push_back(i);
          prepared.model = model_of(tier);
          prepared.context_max = 100;
          return prepared;
        },
        [test, tier, self](const schemas::EngineGenerate& generate) {
          for (const auto& known : test->generated_) {
            if (known.key == generate.key) return;  // somebody asks what became of it
          }
          test->generated_.push_back(generate);
          const auto said = test->answer_ ? test->answer_(tier, generate) : std::nullopt;
          if (!said) return;
          self->send(test->actor_, schemas::EngineEmissions{generate.key, {{0, {1}, {-0.5F}, said->text}}});
          schemas::EngineFinished finished;
          finished.key = generate.key;
          finished.emissions = 1;
          finished.result.finish_reason = said->finish_reason;
          finished.result.confidence = said->confidence;
          finished.result.prompt_tokens = 10;
          finished.result.generated_tokens = 1;
          finished.result.active_parameters = 5;
          finished.result.seconds = 0.25;
          self->send(test->actor_, std::move(finished));
        },
        [test](const schemas::EngineRelease& release) { test->released_.push_back(release.key); },
    };
  }
  static policy::ModelClass model_of(Tier tier) { return {"model " + std::string(to_string(tier)), "cpu-f32-v1"}; }

  void serve(Tier tier) {
    policy::ReplicaView replica;
    replica.index = static_cast<std::uint32_t>(peer_.view.replicas.size());
    replica.tier = tier;
    replica.model = model_of(tier);
    peer_.view.replicas.push_back(replica);
    peer_.handles.engines.push_back(engines_[policy::place_of(tier)]);
  }
  void show() {
    auto picture = std::make_shared<Cluster>();
    picture->self = context_->self;
    picture->peers = {peer_};
    context_->cluster.store(std::move(picture));
  }
  void start() { actor_ = caf::actor_cast<ShadowActor>(world_.system().spawn(shadow_actor, context_)); }
  /// The engines' last word is for this one.
  void kill() {
    stop(actor_);
    world_.settle();
  }

  /// A turn that mini has answered: "24 months [1]", from one passage.
  static std::shared_ptr<policy::ShadowInput> input(std::uint32_t number) {
    auto made = std::make_shared<policy::ShadowInput>();
    made->turn.id = {{.bytes = {1}}, number};
    made->turn.ask.question = "How long are records kept?";
    made->turn.ask.priority = policy::Priority::interactive;
    made->turn.ask.seed = 7;
    made->turn.ask.tokens_max = 20;
    made->turn.attempts.resize(1);
    made->turn.attempts[0].plan.task = "answer";
    made->turn.attempts[0].result.emplace();
    made->turn.outcome.emplace();
    made->turn.outcome->committed = true;
    made->turn.outcome->answer = "24 months [1]";
    made->turn.outcome->citations = {{"records#3", "Records §3"}};
    made->turn.outcome->confident = true;
    made->parts.task = policy::Task::answer;
    made->parts.question = made->turn.ask.question;
    made->parts.passages = {{"Records §3", "Records are kept for 24 months."}};
    made->passages = {{"records#3", "Records §3"}};
    return made;
  }
  void work(std::uint32_t number, std::size_t arm = 0) { caf::anon_send(actor_, ShadowWork{arm, 4, input(number)}); }

  std::vector<policy::ShadowRecord> records() {
    const auto page = storage::read_shadows(store_, {.from = 0, .limit = 64, .experiment = "", .since_ms = 0, .texts = true});
    std::vector<policy::ShadowRecord> all;
    if (!page) ADD_FAILURE() << page.error().message;
    for (const auto& each : page ? page->records : std::vector<policy::NumberedShadowRecord>()) all.push_back(each.record);
    return all;
  }
  std::size_t count(ShadowFate fate) {
    std::size_t found = 0;
    for (const auto& record : records()) found += record.fate == fate ? 1 : 0;
    return found;
  }

  sim::World world_{1, false, sim::Defect::none};
  storage::MemoryStore store_;
  NodeContextPtr context_;
  Peer peer_;
  std::vector<EngineActor> engines_;
  ShadowActor actor_;
  /// What engines say; nothing: they say nothing.
  std::function<std::optional<Said>(Tier, const schemas::EngineGenerate&)> answer_;
  std::vector<schemas::EnginePrepare> prepared_;
  std::vector<schemas::EngineGenerate> generated_;
  std::vector<schemas::AttemptKey> released_;
};

TEST_F(Shadows, AnswerOnceMoreAndAreComparedInTheLog) {
  answer_ = [](Tier, const auto&) { return Said{"12 months [1]", 0.9}; };
  work(1);
  world_.run_for(seconds(2));
  const auto all = records();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].experiment, "heavy");
  EXPECT_EQ(all[0].fate, ShadowFate::compared) << all[0].why;
  EXPECT_EQ(all[0].turn.number, 1U);
  EXPECT_EQ(all[0].shadow.tiers, std::vector{Tier::heavy});
  EXPECT_EQ(all[0].shadow.text, policy::default_policy().when_unsupported);
  EXPECT_EQ(all[0].client.text, "24 months [1]");
  EXPECT_FALSE(all[0].same_text);
  EXPECT_FALSE(all[0].same_citations);
  // The same check as for clients: the source says 24.
  EXPECT_NE(all[0].shadow.failed_check.find("says \"12\""), std::string::npos) << all[0].shadow.failed_check;
  EXPECT_FALSE(all[0].shadow.confident);
  EXPECT_EQ(all[0].shadow.computed, 11 * 5.0);
  EXPECT_EQ(all[0].shadow.engine_ms, 250);
  ASSERT_EQ(generated_.size(), 1U);
  EXPECT_EQ(generated_[0].request.priority, policy::Priority::batch) << "whoever waits for an answer goes first";
  EXPECT_EQ(generated_[0].request.seed, 7U);
  EXPECT_EQ(generated_[0].request.tokens_max, 20);
  EXPECT_EQ(generated_[0].key.purpose, schemas::Purpose::shadow);
  EXPECT_EQ(prepared_.at(0).purpose, schemas::Purpose::answer) << "it reads what an answer reads";
  EXPECT_EQ(prepared_.at(0).parts, input(1)->parts);
  EXPECT_EQ(released_.size(), 1U) << "the engine may forget it";
}

/// What it costs is what it would cost a client.
TEST_F(Shadows, StopEarlyWhereAClientsAttemptWould) {
  answer_ = [](Tier tier, const auto&) { return tier == Tier::mini ? Said{"24", 0.5, "unsure"} : Said{"24 months [1]", 0.9}; };
  work(1, 1);
  world_.run_for(seconds(3));
  ASSERT_EQ(generated_.size(), 2U);
  EXPECT_LT(generated_[0].request.log_probability_sum_min, 0);
  EXPECT_TRUE(std::isfinite(generated_[0].request.log_probability_sum_min));
  ASSERT_EQ(records().size(), 1U);
  EXPECT_EQ(records()[0].shadow.tiers, (std::vector{Tier::mini, Tier::medium}));
  EXPECT_TRUE(records()[0].same_text);
  generated_.clear();
  work(2, 0);
  world_.run_for(seconds(3));
  ASSERT_EQ(generated_.size(), 1U);
  EXPECT_TRUE(std::isinf(generated_[0].request.log_probability_sum_min)) << "one tier alone has nobody to go to";
}

TEST_F(Shadows, EscalateAsTheirPolicySays) {
  answer_ = [](Tier tier, const auto&) { return Said{"24 months [1]", tier == Tier::mini ? 0.1 : 0.9}; };
  work(1, 1);
  world_.run_for(seconds(3));
  const auto all = records();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].experiment, "cascade");
  EXPECT_EQ(all[0].shadow.tiers, (std::vector{Tier::mini, Tier::medium}));
  EXPECT_TRUE(all[0].agree());
  EXPECT_TRUE(all[0].shadow.confident);
  EXPECT_EQ(all[0].shadow.computed, 2 * 11 * 5.0) << "the attempt that was not sure counts too";
}

TEST_F(Shadows, GoOnAfterAnAttemptThatFailed) {
  answer_ = [](Tier tier, const auto&) { return Said{"24 months [1]", 0.9, tier == Tier::mini ? "failed" : "end_token"}; };
  work(1, 1);
  world_.run_for(seconds(3));
  ASSERT_EQ(records().size(), 1U);
  EXPECT_EQ(records()[0].shadow.tiers, (std::vector{Tier::mini, Tier::medium}));
}

TEST_F(Shadows, HaveFailedIfNobodyCanAnswer) {
  answer_ = [](Tier, const auto&) { return Said{"", 0, "failed"}; };
  work(1);
  world_.run_for(seconds(3));
  ASSERT_EQ(records().size(), 1U);
  EXPECT_EQ(records()[0].fate, ShadowFate::failed);
  EXPECT_NE(records()[0].why.find("the model failed"), std::string::npos) << records()[0].why;
}

TEST_F(Shadows, OfATierThatIsAwayAreCountedAtOnce) {
  peer_.view.replicas.pop_back();
  show();
  for (std::uint32_t number = 1; number <= 3; ++number) work(number);
  world_.run_for(seconds(1));
  ASSERT_EQ(records().size(), 3U);
  for (const auto& record : records()) {
    EXPECT_EQ(record.fate, ShadowFate::failed);
    EXPECT_EQ(record.why, "no node serves heavy");
  }
  EXPECT_TRUE(generated_.empty());
}

TEST_F(Shadows, OfATierThatGoesAwayMeanwhileEnd) {
  answer_ = [this](Tier tier, const auto&) -> std::optional<Said> {
    if (tier != Tier::mini) return std::nullopt;
    peer_.view.replicas.resize(1);
    show();
    return Said{"24 months [1]", 0.1};
  };
  work(1, 1);
  world_.run_for(seconds(55));
  EXPECT_TRUE(records().empty());
  world_.run_for(seconds(10));
  ASSERT_EQ(records().size(), 1U);
  EXPECT_EQ(records()[0].fate, ShadowFate::failed);
  EXPECT_EQ(records()[0].why, "no node serves tier medium");
}

/// An engine that says nothing keeps two of them busy; the others wait as long as they may, and what is too much is not even
/// kept. All are counted, and nothing is left.
TEST_F(Shadows, AreDroppedUnderLoadAndCounted) {
  for (std::uint32_t number = 1; number <= 50; ++number) work(number);
  world_.run_for(seconds(1));
  EXPECT_EQ(generated_.size(), ShadowState::limits.running_max);
  EXPECT_EQ(count(ShadowFate::dropped), 50 - ShadowState::limits.running_max - ShadowState::limits.waiting_max);
  EXPECT_EQ(records().back().why, "32 others were waiting");
  EXPECT_EQ(records().back().client.text, "") << "what was never begun is only counted";
  world_.run_for(seconds(35));
  EXPECT_EQ(count(ShadowFate::dropped), 50 - ShadowState::limits.running_max);
  EXPECT_EQ(count(ShadowFate::failed), 0U);
  world_.run_for(seconds(30));
  EXPECT_EQ(count(ShadowFate::failed), ShadowState::limits.running_max);
  EXPECT_EQ(records().size(), 50U);
  EXPECT_EQ(released_.size(), ShadowState::limits.running_max) << "engines compute nothing for nobody";
  answer_ = [](Tier, const auto&) { return Said{"24 months [1]", 0.9}; };
  work(51);
  world_.run_for(seconds(2));
  EXPECT_EQ(count(ShadowFate::compared), 1U) << "it goes on";
}

TEST_F(Shadows, WaitUntilNoClientWaitsForTheModel) {
  answer_ = [](Tier, const auto&) { return Said{"24 months [1]", 0.9}; };
  peer_.view.replicas[2].waiting = 1;
  show();
  work(1);
  world_.run_for(seconds(5));
  EXPECT_TRUE(generated_.empty());
  peer_.view.replicas[2].waiting = 0;
  show();
  world_.run_for(seconds(2));
  EXPECT_EQ(count(ShadowFate::compared), 1U);
}

TEST_F(Shadows, EndWhenTheNodeIsDrained) {
  for (std::uint32_t number = 1; number <= 5; ++number) work(number);
  world_.run_for(seconds(1));
  EXPECT_EQ(generated_.size(), 2U);
  context_->leaving = true;
  world_.run_for(seconds(1));
  EXPECT_EQ(count(ShadowFate::dropped), 5U);
  EXPECT_EQ(released_.size(), 2U);
  work(6);
  world_.run_for(seconds(1));
  ASSERT_EQ(records().size(), 6U);
  EXPECT_EQ(records().back().why, "the node was being drained");
}

TEST_F(Shadows, GoOnInTheLogOfAFormerLife) {
  answer_ = [](Tier, const auto&) { return Said{"24 months [1]", 0.9}; };
  work(1);
  world_.run_for(seconds(2));
  kill();
  start();
  work(2);
  world_.run_for(seconds(2));
  const auto all = records();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].turn.number, 1U);
  EXPECT_EQ(all[1].turn.number, 2U);
}

TEST_F(Shadows, GoOnWhenTheDiskIsFull) {
  answer_ = [](Tier, const auto&) { return Said{"24 months [1]", 0.9}; };
  store_.fail_writes(0);
  work(1);
  world_.run_for(seconds(2));
  EXPECT_TRUE(records().empty());
  store_.fail_writes(std::nullopt);
  work(2);
  world_.run_for(seconds(2));
  ASSERT_EQ(records().size(), 1U);
  EXPECT_EQ(records()[0].turn.number, 2U);
}

}  // namespace
}  // namespace troupe::actors
