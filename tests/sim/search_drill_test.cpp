// Searches that are slow, stuck or fail, and passages that are too many: the contract of retrieval, and what takes their place.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/sim/drill.hpp"

namespace troupe::sim {
namespace {

using policy::Assurance;
using policy::Contract;
using policy::Fallback;
using policy::Fault;
using policy::Stage;
using policy::StageEntry;
using policy::Trouble;
using policy::Turn;

constexpr std::int64_t deadline_ms = 2000;

Drill searches(Fault::Kind kind, std::int64_t delay_ms = 0, std::uint64_t after = 0) {
  Drill drill;
  drill.deadline_ms = deadline_ms;
  drill.search = Fault{kind, delay_ms, after};
  return drill;
}

const StageEntry& retrieval_of(const Turn& turn) {
  static const StageEntry none;
  const auto found = std::ranges::find(turn.stages, Stage::retrieval, &StageEntry::stage);
  EXPECT_NE(found, turn.stages.end()) << "turn " << turn.id.number << " was not searched for";
  return found == turn.stages.end() ? none : *found;
}

void expect_late(const Turn& turn, Fallback fallback, const DrillResult& run) {
  const StageEntry& entry = retrieval_of(turn);
  EXPECT_EQ(entry.trouble, Trouble::late) << run.story();
  EXPECT_EQ(entry.fallback, fallback) << run.story();
  EXPECT_GE(entry.milliseconds, deadline_ms) << run.story();
  EXPECT_LT(entry.milliseconds, deadline_ms + 300) << "the next tick\n" << run.story();
  EXPECT_EQ(sentence_of(entry).find("late: the corpus was not searched within "), 0U) << sentence_of(entry);
}

const std::vector<Drill> late_searches = {searches(Fault::Kind::stuck), searches(Fault::Kind::slow, deadline_ms + 1000),
                                          searches(Fault::Kind::slow, 60000), searches(Fault::Kind::dead)};

TEST(SearchDrill, WithoutItsSearchADraftGoesOnMarked) {
  for (const Drill& drill : late_searches) {
    SCOPED_TRACE(to_string(*drill.search));
    const Asked asked{Assurance::draft};
    const DrillResult run = run_drill(drill, asked);
    expect_contracts_held(run, asked);
    EXPECT_EQ(run.counted[policy::place_of(Stage::retrieval)].late, asked.questions);
    for (const Turn& turn : run.turns) {
      expect_late(turn, Fallback::without_passages, run);
      ASSERT_TRUE(turn.outcome->committed) << run.story();
      EXPECT_FALSE(turn.outcome->confident);
      EXPECT_FALSE(turn.outcome->doubt.empty());
      EXPECT_FALSE(turn.retrieval_confidence.has_value());
      for (const policy::Attempt& attempt : turn.attempts) {
        EXPECT_TRUE(attempt.plan.passages.empty());
        EXPECT_EQ(attempt.plan.task, "chat") << "it is not told to answer from sources";
      }
    }
  }
}

TEST(SearchDrill, WithoutItsSearchWhatIsHeldBackIsRefused) {
  for (const Drill& drill : late_searches) {
    SCOPED_TRACE(to_string(*drill.search));
    const DrillResult run = run_drill(drill);
    expect_contracts_held(run, {});
    for (const Turn& turn : run.turns) {
      expect_late(turn, Fallback::refuse, run);
      EXPECT_EQ(turn.outcome->code, "unavailable") << run.story();
      EXPECT_NE(turn.outcome->message.find("could not be cited"), std::string::npos) << turn.outcome->message;
      EXPECT_NE(turn.outcome->message.find("No model could answer"), std::string::npos) << turn.outcome->message;
      EXPECT_TRUE(turn.attempts.empty()) << "nobody was asked for what nobody will see";
    }
  }
}

TEST(SearchDrill, RefusesDraftsTooIfTheContractSaysSo) {
  Drill drill = searches(Fault::Kind::stuck);
  drill.retrieval = Contract{deadline_ms, 4096, 8192, Fallback::refuse};
  const Asked asked{Assurance::draft};
  const DrillResult run = run_drill(drill, asked);
  expect_contracts_held(run, asked);
  for (const Turn& turn : run.turns) {
    expect_late(turn, Fallback::refuse, run);
    EXPECT_EQ(turn.outcome->code, "unavailable") << run.story();
  }
}

TEST(SearchDrill, SaysWhatTheSearchSaid) {
  const DrillResult run = run_drill(searches(Fault::Kind::dead));
  ASSERT_FALSE(run.turns.empty());
  EXPECT_NE(retrieval_of(run.turns.front()).why.find(": the search is dead, on purpose"), std::string::npos) << run.story();
}

TEST(SearchDrill, TakesWhatComesInTime) {
  for (const Assurance assurance : {Assurance::draft, Assurance::standard}) {
    const Asked asked{assurance};
    const DrillResult run = run_drill(searches(Fault::Kind::slow, deadline_ms - 500), asked);
    expect_contracts_held(run, asked);
    for (const Turn& turn : run.turns) {
      EXPECT_TRUE(retrieval_of(turn).held()) << run.story();
      EXPECT_GE(retrieval_of(turn).milliseconds, deadline_ms - 500);
      EXPECT_FALSE(turn.attempts.front().plan.passages.empty()) << run.story();
    }
  }
}

TEST(SearchDrill, BeginsWhenItIsTold) {
  const Asked asked{Assurance::draft};
  const DrillResult run = run_drill(searches(Fault::Kind::stuck, 0, 1), asked);
  expect_contracts_held(run, asked);
  EXPECT_TRUE(retrieval_of(run.turns.front()).held()) << run.story();
  EXPECT_FALSE(run.turns.front().attempts.front().plan.passages.empty());
  expect_late(run.turns.back(), Fallback::without_passages, run);
}

TEST(SearchDrill, LeavesPassagesOutThatExceedTheBudget) {
  Drill drill;
  drill.retrieval = Contract{0, 4096, 50, Fallback::without_passages};
  for (const Assurance assurance : {Assurance::draft, Assurance::standard}) {
    const Asked asked{assurance};
    const DrillResult run = run_drill(drill, asked);
    expect_contracts_held(run, asked);
    EXPECT_EQ(run.counted[policy::place_of(Stage::retrieval)].oversized, asked.questions);
    for (const Turn& turn : run.turns) {
      const StageEntry& entry = retrieval_of(turn);
      EXPECT_EQ(entry.trouble, Trouble::oversized) << run.story();
      EXPECT_EQ(entry.fallback, Fallback::shorten);
      EXPECT_LE(entry.answer_tokens, 50);
      EXPECT_NE(entry.why.find("passages exceed 50 tokens"), std::string::npos) << entry.why;
      EXPECT_EQ(turn.attempts.front().plan.passages.size(), 1U) << run.story();
    }
  }
}

TEST(SearchDrill, LooksForTheBeginningOfAQuestionThatExceedsTheBudget) {
  Drill drill;
  drill.retrieval = Contract{0, 4, 8192, Fallback::without_passages};
  const DrillResult run = run_drill(drill);
  expect_contracts_held(run, {});
  for (const Turn& turn : run.turns) {
    const StageEntry& entry = retrieval_of(turn);
    EXPECT_EQ(entry.trouble, Trouble::oversized) << run.story();
    EXPECT_EQ(entry.fallback, Fallback::shorten);
    EXPECT_NE(entry.why.find("at most 4 are looked for"), std::string::npos) << entry.why;
  }
}

/// Whoever takes the turn up reads that it was not searched for, and does not search again.
TEST(SearchDrill, GoesOnWithoutPassagesWhoeverDiesMeanwhile) {
  for (const std::int64_t after_ms : {500, 2150, 2250, 2300, 2350}) {
    SCOPED_TRACE(after_ms);
    Asked asked{Assurance::draft, 1, 60000};
    asked.tokens_max = 32;
    asked.meanwhile = [after_ms](World& world, SimCluster& cluster) {
      for (const auto& node : cluster.nodes()) {
        world.schedule(std::chrono::milliseconds(5000 + after_ms), [&cluster, &node = *node] {
          cluster.kill(node, false, 0);
          cluster.start(node);
        });
      }
    };
    const DrillResult run = run_drill(searches(Fault::Kind::stuck), asked);
    expect_turns_ended(run, asked);
    for (const Turn& turn : run.turns) {
      EXPECT_EQ(run.count(Stage::retrieval, Trouble::late), 1U) << run.story();
      EXPECT_TRUE(turn.outcome->committed) << run.story();
      EXPECT_FALSE(turn.outcome->confident) << run.story();
      EXPECT_EQ(turn.attempts.size(), 1U) << run.story();
    }
  }
}

}  // namespace
}  // namespace troupe::sim
