// Where an attempt runs, and what its home says to engines when that changes.
#include "actors/generation.hpp"

#include <gtest/gtest.h>

#include <caf/all.hpp>
#include <string>
#include <utility>
#include <vector>

namespace troupe::actors {
namespace {

using policy::NodeState;

EngineActor::behavior_type idle_engine(EngineActor::pointer) {
  return {[](const schemas::EnginePrepare&) { return schemas::EnginePrepared{}; }, [](const schemas::EngineGenerate&) {},
          [](const schemas::EngineRelease&) {}};
}

/// An attempt of a home on "c", for a model that "a" and "b" have. What is said to engines is written down.
class Attempts : public testing::Test {
 protected:
  Attempts() {
    config_.add_message_types<caf::id_block::troupe>();
    config_.set("logger.verbosity", caf::atom("quiet"));
    system_ = std::make_unique<caf::actor_system>(config_);
    context_ = std::make_shared<NodeContext>();
    context_->self = {"c"};
    context_->clock = clock_;
    context_->wall = std::make_shared<SystemWallClock>();
    clock_->advance(std::chrono::hours(1));  // nothing was said at the beginning of time
    for (const char* name : {"a", "b"}) {
      Peer peer;
      peer.view.id = {name};
      peer.view.state = NodeState::serving;
      peer.view.replicas.resize(1);
      peer.view.replicas[0].model = model_;
      peer.handles.engines.push_back(system_->spawn(idle_engine));
      peers_.push_back(std::move(peer));
    }
    show();
  }
  ~Attempts() override {
    for (const Peer& peer : peers_) caf::anon_send_exit(peer.handles.engines[0], caf::exit_reason::user_shutdown);
  }
  void show() {
    auto picture = std::make_shared<Cluster>();
    picture->self = context_->self;
    picture->peers = peers_;
    context_->cluster.store(std::move(picture));
  }
  void set_state(std::size_t node, NodeState state) {
    peers_[node].view.state = state;
    show();
  }
  std::string name_of(const EngineActor& engine) const { return engine == peers_[0].handles.engines[0] ? "a" : "b"; }
  Generation generation() {
    EngineLink link;
    link.generate = [this](const EngineActor& engine, const schemas::EngineGenerate& generate) {
      said_.push_back((generate.only_known ? "ask " : "generate on ") + name_of(engine) + " from " +
                      std::to_string(generate.from_index));
    };
    link.release = [this](const EngineActor& engine, const schemas::EngineRelease&) {
      said_.push_back("release on " + name_of(engine));
    };
    Generation::Job job;
    job.key = key_;
    job.epoch = 4;
    job.model = model_;
    job.deadline_ms = context_->wall->now_ms() + 60000;
    return Generation(context_, std::move(link), std::move(job), std::nullopt);
  }
  std::vector<std::string> said() { return std::exchange(said_, {}); }
  using Said = std::vector<std::string>;

  policy::ModelClass model_{"fingerprint", "cpu-f32-v1"};
  const schemas::AttemptKey key_{{policy::ConversationId{.bytes = {1}}, 1}, schemas::Purpose::answer, 0};
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  NodeContextPtr context_;
  std::vector<Peer> peers_;
  std::vector<std::string> said_;
};

TEST_F(Attempts, RunOnOneReplicaAndAreReleasedThere) {
  {
    auto attempt = generation();
    attempt.drive();
    EXPECT_EQ(said(), (Said{"generate on a from 0"}));
    attempt.drive();
    EXPECT_TRUE(said().empty()) << "it was asked a moment ago";
  }
  EXPECT_EQ(said(), (Said{"release on a"}));
}

TEST_F(Attempts, GoElsewhereWhenTheirNodeIsDrainedAndKeepWhatTheyHave) {
  auto attempt = generation();
  attempt.drive();
  ASSERT_EQ(attempt.take(schemas::EngineEmissions{key_, {{0, {5, 6}, {0, 0}, "x"}}}).size(), 1U);
  said();
  set_state(0, NodeState::draining);
  attempt.drive();
  EXPECT_EQ(said(), (Said{"release on a", "generate on b from 2"}));
  EXPECT_TRUE(attempt.take(schemas::EngineEmissions{key_, {{0, {5, 6}, {0, 0}, "x"}}}).empty()) << "it has that";
  attempt.drive();
  EXPECT_TRUE(said().empty());
}

TEST_F(Attempts, AreKeptWithTheirNodeAndTokensWhenTheyAreCutShort) {
  policy::AttemptPlan plan;
  plan.prompt = {1, 2, 3};
  plan.price = {1e6, 2e6};
  auto attempt = generation();
  const policy::AttemptResult never_began = attempt.cut_short(plan, "cancelled");
  EXPECT_EQ(never_began.node, "");
  EXPECT_EQ(never_began.cost, 0);
  attempt.drive();
  attempt.take(schemas::EngineEmissions{key_, {{0, {5, 6}, {0, 0}, "x"}}});
  clock_->advance(std::chrono::seconds(2));
  for (const NodeState of_all : {NodeState::serving, NodeState::gone}) {
    set_state(0, of_all);
    set_state(1, of_all);
    attempt.drive();
    const policy::AttemptResult result = attempt.cut_short(plan, "cancelled");
    EXPECT_EQ(result.node, "a");
    EXPECT_EQ(text_of(result), "x");
    EXPECT_EQ(result.seconds, 2);
    EXPECT_EQ(result.cost, 3 + 2 * 2) << "tokens read and written";
  }
  plan.prompt.clear();
  plan.model.numeric_class = policy::remote_class;
  plan.messages = {{"user", "nine more"}};
  EXPECT_EQ(policy::cut_short(plan, {}, "lost").prompt_tokens, policy::estimated_tokens(plan.messages));
}

TEST_F(Attempts, StayOnADrainedNodeIfNoOtherHasTheModel) {
  auto attempt = generation();
  attempt.drive();
  said();
  peers_[1].view.replicas[0].model.fingerprint = "another";
  set_state(0, NodeState::draining);
  attempt.drive();
  EXPECT_TRUE(said().empty());
  peers_[1].view.replicas[0].model = model_;
  set_state(1, NodeState::draining);
  attempt.drive();
  EXPECT_TRUE(said().empty()) << "it would only have to move again";
}

TEST_F(Attempts, AreLeftRunningForTheNextHomeWhichFindsThemThere) {
  {
    auto attempt = generation();
    attempt.drive();
    said();
    attempt.let_go();
  }
  EXPECT_TRUE(said().empty()) << "nobody told the engine to forget it";
  auto next = generation();
  next.runs_at({{"b"}, 0});
  next.drive();
  EXPECT_EQ(said(), (Said{"generate on b from 0"})) << "though a comes first";
  auto gone = generation();
  set_state(1, NodeState::gone);
  gone.runs_at({{"b"}, 0});
  gone.drive();
  EXPECT_EQ(said(), (Said{"generate on a from 0"}));
}

TEST_F(Attempts, GoElsewhereForAWhileAfterAReplicaHasFailed) {
  schemas::EngineFinished failed;
  failed.key = key_;
  failed.error = ErrorCode::io;
  failed.result.finish_reason = "failed";
  const auto ask = [&] {
    said();  // the one before was released
    auto attempt = generation();
    attempt.drive();
    attempt.take(failed);
    return said().at(0);
  };
  EXPECT_EQ(ask(), "generate on a from 0");
  failed.result.node = "a";
  EXPECT_EQ(ask(), "generate on b from 0") << "though a is as idle, and comes first; what a says is not b's fault";
  failed.result.node.clear();
  EXPECT_EQ(ask(), "generate on b from 0");
  EXPECT_EQ(ask(), "generate on a from 0") << "both have failed";
  clock_->advance(policy::FailedPlaces::avoided_longest);
  EXPECT_EQ(ask(), "generate on a from 0");
  EXPECT_EQ(place_for(*context_, *context_->cluster.load(), policy::Tier::mini)->node.value, "b");
}

TEST_F(Attempts, GoElsewhereForAWhileAfterAReplicaWasLate) {
  {
    auto attempt = generation();
    attempt.tell_late();  // nobody has it yet
    attempt.drive();
    EXPECT_EQ(said(), Said{"generate on a from 0"});
    attempt.tell_late();
  }
  said();
  auto next = generation();
  next.drive();
  EXPECT_EQ(said(), Said{"generate on b from 0"});
}

/// The same, of a model that others host.
class RemoteAttempts : public Attempts {
 protected:
  RemoteAttempts() {
    model_ = {"openai:m@https://x.example", std::string(policy::remote_class)};
    for (Peer& peer : peers_) peer.view.replicas[0].model = model_;
    show();
  }
  schemas::EngineFinished finished(ErrorCode code, const std::string& finish_reason) const {
    schemas::EngineFinished end;
    end.key = key_;
    end.error = code;
    end.message = "so it is";
    end.result.finish_reason = finish_reason;
    return end;
  }
};

TEST_F(RemoteAttempts, AreBegunOnceAndOnlyAskedAfterThen) {
  auto attempt = generation();
  attempt.drive();
  EXPECT_EQ(said(), Said{"generate on a from 0"});
  clock_->advance(std::chrono::seconds(4));
  attempt.drive();
  EXPECT_EQ(said(), Said{"ask a from 0"});
  set_state(0, NodeState::draining);
  clock_->advance(std::chrono::seconds(4));
  attempt.drive();
  EXPECT_EQ(said(), Said{"ask a from 0"}) << "it does not move";
}

TEST_F(RemoteAttempts, AreLostWithTheirNodeOrIfThatHasForgottenThem) {
  {
    auto attempt = generation();
    attempt.drive();
    set_state(0, NodeState::gone);
    attempt.drive();
    ASSERT_TRUE(attempt.lost());
    EXPECT_NE(attempt.lost()->message.find("node a"), std::string::npos);
    attempt.drive();
  }
  EXPECT_EQ(said(), Said{"generate on a from 0"}) << "nobody else is asked";
  set_state(0, NodeState::serving);
  auto attempt = generation();
  attempt.drive();
  EXPECT_FALSE(attempt.take(finished(ErrorCode::not_found, "")));
  EXPECT_TRUE(attempt.lost());
}

TEST_F(RemoteAttempts, GoElsewhereIfTheyWereRefusedAndFailIfTheyFailed) {
  auto attempt = generation();
  attempt.drive();
  EXPECT_FALSE(attempt.take(finished(ErrorCode::overloaded, "")));
  EXPECT_FALSE(attempt.lost());
  clock_->advance(std::chrono::milliseconds(200));
  attempt.drive();
  EXPECT_EQ(said().back().substr(0, 8), "generate") << "nothing had been asked";
  const auto end = attempt.take(finished(ErrorCode::unavailable, "failed"));
  ASSERT_TRUE(end && *end);
  EXPECT_EQ((*end)->finish_reason, "failed") << "its replica has tried as often as it may";
}

}  // namespace
}  // namespace troupe::actors
