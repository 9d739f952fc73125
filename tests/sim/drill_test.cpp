// Models that are slow, stuck, talk rubbish or are dead: whatever one of them does, or all, stages keep their contracts or
// their fallbacks answer in time, and each turn ends durably and tells what happened to it.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/drill.hpp"

namespace troupe::sim {
namespace {

using policy::Fallback;
using policy::Fault;
using policy::Stage;
using policy::StageEntry;
using policy::Tier;
using policy::Trouble;
using policy::Turn;

const std::vector<Fault> faults = {
    {Fault::Kind::slow, 1500, 0}, {Fault::Kind::stuck, 0, 0}, {Fault::Kind::rubbish, 0, 0}, {Fault::Kind::dead, 0, 0}};

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
  EXPECT_NE(stuck.stages[0].why.find(" ms from "), std::string::npos) << stuck.stages[0].why << ": of which node";
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
    expect_contracts_held(run, {});
    for (const Turn& turn : run.turns) {
      EXPECT_FALSE(turn.outcome->committed) << run.story();
      EXPECT_EQ(turn.outcome->code, "unavailable") << run.story();
      EXPECT_NE(turn.outcome->message.find("No model could answer"), std::string::npos) << run.story();
      EXPECT_EQ(turn.stages.back().fallback, Fallback::refuse) << run.story();
    }
  }
}

/// How long the last attempt of a turn took, by its own story.
std::int64_t last_took_ms(const Turn& turn) { return turn.stages.back().milliseconds; }

TEST(Drill, EndsAtTheContractsDeadlineWhereTheLastTierSaysNothing) {
  for (const auto assurance : {policy::Assurance::draft, policy::Assurance::standard}) {
    const Asked asked{assurance, 2, 60000};
    const DrillResult run = run_drill(drill_of({Tier::mini, Tier::medium, Tier::heavy}, faults[1]), asked);
    expect_contracts_held(run, asked);
    for (const Turn& turn : run.turns) {
      EXPECT_EQ(turn.outcome->code, "unavailable") << run.story();
      EXPECT_EQ(turn.attempts.back().result->finish_reason, policy::late_reason) << run.story();
      EXPECT_EQ(turn.stages.back().trouble, Trouble::late) << run.story();
      EXPECT_GE(last_took_ms(turn), 2000) << run.story();
      EXPECT_LT(last_took_ms(turn), 2300) << "the next tick\n" << run.story();
    }
  }
}

TEST(Drill, WaitsForALateAnswerThatIsComing) {
  const Asked asked{policy::Assurance::standard, 2, 60000};
  const DrillResult run = run_drill(drill_of({Tier::mini, Tier::medium, Tier::heavy}, faults[0]), asked);
  expect_contracts_held(run, asked);
  for (const Turn& turn : run.turns) {
    ASSERT_TRUE(turn.outcome->committed) << run.story();
    EXPECT_EQ(turn.attempts.back().plan.tier, Tier::heavy);
    EXPECT_NE(turn.attempts.back().result->finish_reason, policy::late_reason) << run.story();
    EXPECT_NE(turn.stages.back().why.find("nobody else was left to be asked"), std::string::npos) << run.story();
    EXPECT_GT(last_took_ms(turn), 2300) << "it was late, and came\n" << run.story();
  }
}

TEST(Drill, KeepsWhatASlowDraftHasShownWhenItsTurnHasNoTimeLeft) {
  const Asked asked{policy::Assurance::draft, 2, 10000, policy::Grounding::never, 24};
  const DrillResult run = run_drill(drill_of({Tier::mini, Tier::medium, Tier::heavy}, faults[0]), asked);
  expect_contracts_held(run, asked);
  for (const Turn& turn : run.turns) {
    ASSERT_TRUE(turn.outcome->committed) << run.story();
    EXPECT_FALSE(turn.outcome->answer.empty()) << run.story();
    EXPECT_FALSE(turn.outcome->confident);
    EXPECT_NE(turn.outcome->doubt.find("had not answered after"), std::string::npos) << turn.outcome->doubt;
    EXPECT_EQ(turn.stages.back().trouble, Trouble::late) << run.story();
    EXPECT_EQ(turn.stages.back().fallback, Fallback::mark) << run.story();
    EXPECT_GT(turn.ended_ms - turn.accepted_ms, 9000) << "all the time that it had\n" << run.story();
  }
}

TEST(Drill, LeavesTheEndToAClientWhoWaitsForLessThanTheContract) {
  const Drill stuck = drill_of({Tier::mini, Tier::medium, Tier::heavy}, faults[1]);
  const auto ends = [&](const Asked& asked) {
    const DrillResult run = run_drill(stuck, asked);
    EXPECT_TRUE(run.violations.empty()) << run.story();
    EXPECT_EQ(run.turns.size(), asked.questions) << run.story();
    for (const Turn& turn : run.turns) {
      EXPECT_TRUE(turn.outcome && turn.outcome->code == "deadline_exceeded") << run.story();
      EXPECT_GE(turn.ended_ms - turn.accepted_ms, asked.deadline_ms) << run.story();
      EXPECT_LT(turn.ended_ms - turn.accepted_ms, asked.deadline_ms + 500) << run.story();
      EXPECT_FALSE(turn.stages.back().held()) << run.story();
    }
  };
  ends({policy::Assurance::standard, 2, 1500});
  Asked batch{policy::Assurance::standard, 1, 30000};
  batch.priority = policy::Priority::batch;
  ends(batch);
}

/// What followed on being late is not decided again by whoever takes the turn up.
TEST(Drill, EndsTheSameWhoeverDiesMeanwhile) {
  for (const std::int64_t after_ms : {100, 900, 2100, 4200, 6100, 6300}) {
    SCOPED_TRACE(after_ms);
    Asked asked{policy::Assurance::standard, 1, 60000};
    asked.meanwhile = [after_ms](World& world, SimCluster& cluster) {
      for (const auto& node : cluster.nodes()) {
        world.schedule(std::chrono::milliseconds(5000 + after_ms), [&cluster, &node = *node] {
          cluster.kill(node, false, 0);
          cluster.start(node);
        });
      }
    };
    const DrillResult run = run_drill(drill_of({Tier::mini, Tier::medium, Tier::heavy}, faults[1]), asked);
    expect_turns_ended(run, asked);
    for (const Turn& turn : run.turns) {
      EXPECT_EQ(turn.outcome->code, "unavailable") << run.story();
      EXPECT_EQ(turn.attempts.size(), 3U) << run.story();
      EXPECT_EQ(turn.stages.back().fallback, Fallback::refuse) << run.story();
      EXPECT_EQ(run.count(Stage::reasoning, Trouble::late), 3U) << run.story();
    }
  }
}

TEST(Drill, DoesNotWaitForTiersThatHaveBeenAwayForLong) {
  for (const Tier left : {Tier::medium, Tier::heavy}) {
    SCOPED_TRACE(to_string(left));
    Asked asked;
    asked.questions = 8;  // a summary is due among them
    asked.meanwhile = [left](World& world, SimCluster& cluster) {
      for (const auto& node : cluster.nodes()) {
        world.schedule(std::chrono::seconds(1), [&cluster, &node = *node, left] {
          cluster.kill(node, false, 0);
          std::erase_if(node.tiers, [left](Tier tier) { return tier < left; });
          cluster.start(node);
        });
      }
    };
    const DrillResult run = run_drill({}, asked);
    expect_contracts_held(run, asked);
    EXPECT_GE(run.count(Stage::summary, Trouble::late), 1U) << run.story();
    EXPECT_GE(run.count(Stage::reasoning, Trouble::late), 8U) << run.story();
    for (const Turn& turn : run.turns) {
      ASSERT_TRUE(turn.outcome->committed) << run.story();
      EXPECT_EQ(turn.attempts.front().plan.tier, left) << run.story();
      for (const StageEntry& entry : turn.stages) {
        EXPECT_TRUE(entry.trouble != Trouble::late || entry.milliseconds <= 200) << "at once: " << run.story();
      }
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
