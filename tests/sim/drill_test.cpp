// Models that are slow, stuck, talk rubbish or are dead: whatever one of them does, or all, stages keep their contracts or
// their fallbacks answer in time, and each turn ends durably and tells what happened to it.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "storage/conversations.hpp"
#include "tests/sim/invariants.hpp"
#include "tests/sim/scenario.hpp"

namespace troupe::sim {
namespace {

using policy::Fallback;
using policy::Fault;
using policy::Stage;
using policy::StageEntry;
using policy::Tier;
using policy::Trouble;
using policy::Turn;

constexpr std::int64_t turn_deadline_ms = 20000;

struct Asked {
  policy::Assurance assurance = policy::Assurance::standard;
  std::size_t questions = 3;
  std::int64_t deadline_ms = turn_deadline_ms;
};

/// What became of one conversation's questions, each asked when the one before had been answered.
struct DrillResult {
  std::vector<Turn> turns;
  policy::PerStage<policy::StageCounts> counted{};  ///< by all nodes
  std::vector<std::string> violations;

  std::string story() const {
    std::string text;
    for (const Turn& turn : turns) {
      text += "turn " + std::to_string(turn.id.number) + " after " + std::to_string(turn.ended_ms - turn.accepted_ms) + " ms: ";
      text += turn.outcome ? turn.outcome->answer + turn.outcome->message : std::string("has not ended");
      for (const StageEntry& entry : turn.stages)
        text += "\n  " + std::string(to_string(entry.stage)) + " " + sentence_of(entry);
      text += "\n";
    }
    for (const std::string& violation : violations) text += violation + "\n";
    return text;
  }
  /// How many entries there are of a stage in this trouble.
  std::size_t count(Stage stage, Trouble trouble) const {
    std::size_t found = 0;
    for (const Turn& turn : turns) {
      for (const StageEntry& entry : turn.stages) found += entry.stage == stage && entry.trouble == trouble ? 1 : 0;
    }
    return found;
  }
};

DrillResult run_drill(const Drill& drill, const Asked& asked = {}, std::uint64_t seed = 7) {
  World world(seed, false, Defect::none);
  SimCluster cluster(world, {}, &drill);
  Witness witness(cluster);
  for (const auto& node : cluster.nodes()) cluster.start(*node);
  Conversation script;
  script.start = std::chrono::seconds(5);  // all nodes know each other by then
  script.patience = std::chrono::seconds(60);
  for (std::size_t i = 0; i < asked.questions; ++i) {
    Question question;
    question.ask.idempotency_key = std::to_string(i);
    question.ask.question = "who decides about leave and travel " + std::to_string(i) + "?";
    question.ask.assurance = asked.assurance;
    question.ask.grounding = policy::Grounding::always;
    question.ask.seed = i;
    question.ask.tokens_max = 8;
    question.ask.deadline_ms = asked.deadline_ms;
    question.ask.keep_if_unread = true;
    question.credit = 100;
    script.questions.push_back(question);
  }
  const auto client = std::make_shared<Client>(witness, script, "client");
  client->start();
  world.run_until([&] { return client->done(); }, std::chrono::seconds(60) * asked.questions);
  DrillResult run;
  if (!client->done()) run.violations.emplace_back("the client is not done");
  world.run_for(std::chrono::seconds(20));
  AloneAnswers alone;
  check_at_rest(witness, alone);
  for (const auto& [id, known] : witness.turns()) {
    const storage::Store* store = cluster.store_of(id.conversation);
    const auto stored = store != nullptr ? storage::read_turn(*store, id) : Result<std::optional<Turn>>(std::nullopt);
    if (stored && *stored) run.turns.push_back(**stored);
  }
  for (const auto& node : cluster.nodes()) {
    const auto counts = node->life->context->contracts.load();
    for (const Stage stage : policy::stages) {
      auto& sum = run.counted[policy::place_of(stage)];
      const auto& more = counts[policy::place_of(stage)];
      for (const Trouble trouble : policy::troubles) sum.of(trouble) += more.of(trouble);
      sum.held += more.held;
    }
  }
  for (const std::string& violation : world.trace().violations()) run.violations.push_back(violation);
  return run;
}

Drill drill_of(std::vector<Tier> tiers, Fault fault, const std::string& when_unsure = {}) {
  Drill drill;
  for (const Tier tier : tiers) drill.faults.push_back({tier, fault});
  drill.when_unsure = when_unsure;
  return drill;
}

const std::vector<Fault> faults = {
    {Fault::Kind::slow, 1500, 0}, {Fault::Kind::stuck, 0, 0}, {Fault::Kind::rubbish, 0, 0}, {Fault::Kind::dead, 0, 0}};

/// What holds whatever is broken.
void expect_contracts_held(const DrillResult& run, const Asked& asked) {
  EXPECT_TRUE(run.violations.empty()) << run.story();
  ASSERT_EQ(run.turns.size(), asked.questions) << run.story();
  for (const Turn& turn : run.turns) {
    ASSERT_TRUE(turn.outcome) << run.story();
    EXPECT_LT(turn.ended_ms - turn.accepted_ms, asked.deadline_ms) << run.story();
    EXPECT_FALSE(turn.stages.empty()) << run.story();
  }
  // No node has failed, so that each counted what the turns tell.
  for (const Stage stage : policy::stages) {
    for (const Trouble trouble : policy::troubles) {
      EXPECT_EQ(run.counted[policy::place_of(stage)].of(trouble), run.count(stage, trouble))
          << to_string(stage) << " " << to_string(trouble) << "\n"
          << run.story();
    }
  }
}

TEST(Drill, WithoutAFaultBreaksNoContractOfTime) {
  Drill none;
  const DrillResult run = run_drill(none);
  expect_contracts_held(run, {});
  for (const Stage stage : policy::stages) {
    EXPECT_EQ(run.count(stage, Trouble::late) + run.count(stage, Trouble::failed), 0U) << run.story();
  }
  EXPECT_GE(run.counted[policy::place_of(Stage::intent)].held, 1U) << run.story();
  EXPECT_EQ(run.counted[policy::place_of(Stage::retrieval)].held, 3U) << run.story();
}

TEST(Drill, AnswersWhateverOneTierDoes) {
  for (const Tier tier : policy::tiers) {
    for (const Fault& fault : faults) {
      SCOPED_TRACE(std::string(to_string(tier)) + " is " + to_string(fault));
      const DrillResult run = run_drill(drill_of({tier}, fault, "Not sure. {source} says: {quote}"));
      expect_contracts_held(run, {});
      for (const Turn& turn : run.turns) EXPECT_TRUE(turn.outcome->committed) << run.story();
    }
  }
}

TEST(Drill, TellsWhatWasWrongWithMini) {
  const auto first = [](const Fault& fault) { return run_drill(drill_of({Tier::mini}, fault)).turns.front(); };
  const Turn stuck = first(faults[1]);
  ASSERT_GE(stuck.stages.size(), 3U);
  EXPECT_EQ(stuck.stages[0].stage, Stage::intent);
  EXPECT_EQ(stuck.stages[0].trouble, Trouble::late);
  EXPECT_EQ(stuck.stages[0].fallback, Fallback::unknown);
  EXPECT_GE(stuck.stages[0].milliseconds, 2000);
  EXPECT_LT(stuck.stages[0].milliseconds, 2300) << "the next tick";
  EXPECT_EQ(stuck.kind, "unknown");
  EXPECT_EQ(stuck.search, stuck.ask.question) << "as it was asked";
  EXPECT_EQ(stuck.stages[1].stage, Stage::retrieval);
  EXPECT_TRUE(stuck.stages[1].held());
  EXPECT_EQ(stuck.stages[2].stage, Stage::reasoning);
  EXPECT_EQ(stuck.stages[2].attempt, 0);
  EXPECT_EQ(stuck.stages[2].trouble, Trouble::late);
  EXPECT_EQ(stuck.stages[2].fallback, Fallback::escalate);
  ASSERT_GE(stuck.attempts.size(), 2U);
  EXPECT_EQ(stuck.attempts[0].result->finish_reason, policy::late_reason);
  EXPECT_NE(stuck.attempts[1].plan.why.find("mini had not answered after"), std::string::npos) << stuck.attempts[1].plan.why;
  EXPECT_EQ(stuck.attempts[1].plan.tier, Tier::medium);

  const Turn rubbish = first(faults[2]);
  EXPECT_EQ(rubbish.stages[0].trouble, Trouble::malformed);
  EXPECT_EQ(rubbish.attempts[0].result->confidence, 1) << "it is sure of it";
  EXPECT_FALSE(rubbish.attempts[0].result->superseded_why.empty()) << "and is not believed";

  const Turn dead = first(faults[3]);
  EXPECT_EQ(dead.stages[0].trouble, Trouble::failed);
  EXPECT_NE(dead.stages[0].why.find("dead, on purpose"), std::string::npos) << dead.stages[0].why;
  EXPECT_EQ(dead.attempts[0].result->finish_reason, "failed");
}

TEST(Drill, QuotesTheBestSourceWhereAllAreBroken) {
  for (const Fault& fault : faults) {
    SCOPED_TRACE(to_string(fault));
    const DrillResult run =
        run_drill(drill_of({Tier::mini, Tier::medium, Tier::heavy}, fault, "Not sure. {source} says: {quote}"));
    expect_contracts_held(run, {});
    for (const Turn& turn : run.turns) {
      ASSERT_TRUE(turn.outcome->committed) << run.story();
      EXPECT_FALSE(turn.outcome->confident);
      EXPECT_EQ(turn.outcome->answer.find("Not sure. [1] says: "), 0U) << run.story();
      EXPECT_EQ(turn.outcome->citations.size(), 1U);
      EXPECT_EQ(turn.attempts.size(), 3U);
      EXPECT_EQ(turn.stages.back().fallback, Fallback::quote);
    }
  }
}

TEST(Drill, SaysThatNobodyCanAnswerWhereNothingIsLeft) {
  for (const Fault& fault : {faults[1], faults[2], faults[3]}) {
    SCOPED_TRACE(to_string(fault));
    const DrillResult run = run_drill(drill_of({Tier::mini, Tier::medium, Tier::heavy}, fault));
    EXPECT_TRUE(run.violations.empty()) << run.story();
    for (const Turn& turn : run.turns) {
      ASSERT_TRUE(turn.outcome) << run.story();
      EXPECT_FALSE(turn.outcome->committed) << run.story();
      EXPECT_EQ(turn.stages.back().fallback, Fallback::refuse) << run.story();
    }
  }
}

TEST(Drill, StopsAskingInTimeForTurnsThatHaveLittle) {
  const Asked asked{policy::Assurance::standard, 2, 3000};
  const DrillResult run = run_drill(drill_of({Tier::mini, Tier::medium}, faults[1], "Not sure. {source} says: {quote}"), asked);
  expect_contracts_held(run, asked);
  for (const Turn& turn : run.turns) EXPECT_TRUE(turn.outcome->committed) << run.story();
}

TEST(Drill, LeavesWhatADraftHasShown) {
  const DrillResult run = run_drill(drill_of({Tier::mini}, {Fault::Kind::rubbish, 0, 0}), {policy::Assurance::draft});
  expect_contracts_held(run, {});
  for (const Turn& turn : run.turns) {
    EXPECT_TRUE(!turn.outcome->committed || !turn.outcome->confident) << run.story();
  }
}

TEST(Drill, BeginsWhenItIsTold) {
  Asked asked;
  asked.questions = 6;  // two replicas have two good requests each, and a turn makes one or two
  const DrillResult run = run_drill(drill_of({Tier::mini}, {Fault::Kind::stuck, 0, 2}), asked);
  expect_contracts_held(run, asked);
  EXPECT_TRUE(run.turns.front().stages.front().trouble != Trouble::late) << run.story();
  EXPECT_EQ(run.turns.back().stages.front().trouble, Trouble::late) << run.story();
}

TEST(Drill, GoesOnWithoutASummaryThatCannotBeHad) {
  Asked asked;
  asked.questions = 12;
  const DrillResult run = run_drill(drill_of({Tier::mini}, faults[1]), asked);
  expect_contracts_held(run, asked);
  EXPECT_GE(run.count(Stage::summary, Trouble::late), 1U) << run.story();
  for (const Turn& turn : run.turns) {
    for (const StageEntry& entry : turn.stages) {
      EXPECT_TRUE(entry.stage != Stage::summary || entry.fallback == Fallback::keep) << run.story();
    }
    for (const policy::Attempt& attempt : turn.attempts) EXPECT_EQ(attempt.plan.summary_version, 0U);
  }
}

}  // namespace
}  // namespace troupe::sim
