#include "policy/contract.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "policy/contract_check.hpp"
#include "policy/stage_fallback.hpp"

namespace troupe::policy {
namespace {

TEST(Contract, NamesComeBackAsTheyWere) {
  for (const Stage stage : stages) EXPECT_EQ(stage_of(to_string(stage)), stage);
  EXPECT_FALSE(stage_of("thinking"));
  for (const Stage stage : stages) {
    for (const Fallback fallback : fallbacks_of(stage)) EXPECT_EQ(fallback_of(to_string(fallback)), fallback);
  }
  EXPECT_FALSE(fallback_of("panic"));
}

TEST(Contract, ByDefaultNamesAFallbackThatTheStageHas) {
  const auto contracts = default_contracts();
  for (const Stage stage : stages) {
    const auto has = fallbacks_of(stage);
    EXPECT_NE(std::find(has.begin(), has.end(), contracts[place_of(stage)].fallback), has.end()) << to_string(stage);
  }
}

TEST(Contract, LeavesTimeForWhateverMayFollow) {
  const Contract contract{10000, {}, {}, Fallback::escalate};
  EXPECT_EQ(time_for(contract, 120000, 3, false), 10000) << "the contract's own deadline, where the turn has time";
  EXPECT_EQ(time_for(contract, 8000, 3, false), 1750) << "a quarter of seven eighths";
  EXPECT_EQ(time_for(contract, 8000, 0, false), 7000) << "an eighth is kept for the end";
  EXPECT_EQ(time_for(contract, 120000, 3, true), 26250) << "a batch question hurries nobody";
  EXPECT_EQ(time_for(contract, 1, 3, false), 1);
  EXPECT_EQ(time_for(contract, -5, 0, false), 1) << "a turn whose time is over";
  // However the turn's time is taken, all stages together end before it does.
  for (std::int64_t all : {200, 1000, 5000, 30000, 120000}) {
    std::int64_t left = all;
    for (std::int64_t followers = 5; followers >= 0; --followers) left -= time_for(contract, left, followers, true);
    EXPECT_GT(left, 0) << all;
  }
}

TEST(Contract, ReadsAsASentence) {
  const Contract contract{2000, 100, 16, Fallback::unknown};
  const std::string text = sentence_of(Stage::intent, contract);
  for (const char* part : {"at most 2000 ms", "100 tokens in", "16 tokens out", "kind is unknown"}) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  StageEntry entry;
  EXPECT_EQ(sentence_of(entry), "held");
  entry.stage = Stage::summary;
  entry.trouble = Trouble::late;
  entry.fallback = Fallback::keep;
  entry.why = "no summary after 30000 ms";
  EXPECT_EQ(sentence_of(entry).find("late: no summary after 30000 ms; the summary before it stayed"), 0U) << sentence_of(entry);
}

TEST(Contract, IsCountedByTrouble) {
  StageCounts counts;
  for (const Trouble trouble : troubles) ++counts.of(trouble);
  ++counts.of(Trouble::none);
  EXPECT_EQ(counts, (StageCounts{1, 1, 1, 1, 1}));
  EXPECT_EQ(counts.broken(), 4U);
}

// What follows on an attempt that broke its contract.

const std::vector<Rung> heavy_follows = {{Tier::heavy, 0.5}};

BrokenAttempt stuck_mini(bool held_back, bool said, bool quotable) {
  return {Tier::mini, heavy_follows, held_back, said, quotable, "mini was late"};
}
BrokenAttempt alone(BrokenAttempt attempt) {
  attempt.later = {};
  return attempt;
}

TEST(StageFallback, AsksTheNextTierThenQuotesThenRefuses) {
  const AfterTrouble next = after_trouble(Fallback::escalate, stuck_mini(true, false, true));
  EXPECT_EQ(next, (AfterTrouble{Fallback::escalate, Tier::heavy, "mini was late; heavy follows"}));
  EXPECT_EQ(after_trouble(Fallback::escalate, alone(stuck_mini(true, false, true))).fallback, Fallback::quote);
  const AfterTrouble refused = after_trouble(Fallback::escalate, alone(stuck_mini(true, false, false)));
  EXPECT_EQ(refused.fallback, Fallback::refuse);
  EXPECT_EQ(refused.why, "mini was late, and no stronger tier is left");
}

TEST(StageFallback, DoesWhatItsContractSays) {
  EXPECT_EQ(after_trouble(Fallback::quote, stuck_mini(true, false, true)).fallback, Fallback::quote);
  EXPECT_EQ(after_trouble(Fallback::quote, stuck_mini(true, false, false)).fallback, Fallback::refuse);
  EXPECT_EQ(after_trouble(Fallback::refuse, stuck_mini(true, false, true)).fallback, Fallback::refuse);
}

TEST(StageFallback, LeavesADraftThatHasBeenSeenAndNeverQuotesInItsPlace) {
  EXPECT_EQ(after_trouble(Fallback::escalate, stuck_mini(false, true, true)).fallback, Fallback::escalate);
  EXPECT_EQ(after_trouble(Fallback::escalate, alone(stuck_mini(false, true, true))).fallback, Fallback::mark);
  EXPECT_EQ(after_trouble(Fallback::escalate, alone(stuck_mini(false, false, true))).fallback, Fallback::refuse);
}

TEST(StageFallback, WaitsForALateAnswerOnlyIfItIsComingAndNothingCanTakeItsPlace) {
  const auto waits = [](const BrokenAttempt& attempt, TimeOver over, Fallback contract = Fallback::escalate) {
    return is_waited_for(contract, attempt, over);
  };
  const BrokenAttempt silent = alone(stuck_mini(true, false, false));
  EXPECT_FALSE(waits(silent, TimeOver::contract)) << "it is broken";
  EXPECT_TRUE(waits(silent, TimeOver::part)) << "nothing is gained by ending before the client's own deadline";
  EXPECT_TRUE(waits(silent, TimeOver::turn));

  const BrokenAttempt answering = alone(stuck_mini(true, true, false));
  const BrokenAttempt streaming = alone(stuck_mini(false, true, false));
  for (const TimeOver over : {TimeOver::contract, TimeOver::part}) {
    EXPECT_TRUE(waits(answering, over));
    EXPECT_TRUE(waits(streaming, over));
    EXPECT_FALSE(waits(stuck_mini(true, true, false), over)) << "heavy is asked";
    EXPECT_FALSE(waits(stuck_mini(false, true, false), over));
    EXPECT_FALSE(waits(alone(stuck_mini(true, true, true)), over)) << "a source is quoted";
    EXPECT_FALSE(waits(answering, over, Fallback::refuse)) << "its contract wants the end at once";
    EXPECT_FALSE(waits(streaming, over, Fallback::refuse));
  }
  EXPECT_TRUE(waits(answering, TimeOver::turn)) << "half an answer is none";
  EXPECT_FALSE(waits(streaming, TimeOver::turn)) << "what has been shown stays";
}

TEST(StageFallback, KnowsWhatAFinishReasonSaysOfTheContract) {
  EXPECT_EQ(trouble_of("end_token"), Trouble::none);
  EXPECT_EQ(trouble_of("stop_string"), Trouble::none);
  EXPECT_EQ(trouble_of("cancelled"), Trouble::none) << "by its client";
  EXPECT_EQ(trouble_of("length"), Trouble::oversized);
  EXPECT_EQ(trouble_of(late_reason), Trouble::late);
  EXPECT_EQ(trouble_of("failed"), Trouble::failed);
  EXPECT_EQ(trouble_of("what nobody has heard of"), Trouble::failed);
}

// Contracts of a policy.

void expect_found(Stage stage, const Contract& contract, PolicyFinding::Weight weight, const std::string& words) {
  RoutingPolicy policy = default_policy();
  policy.contracts[place_of(stage)] = contract;
  const auto findings = check(policy);
  ASSERT_EQ(findings.size(), 1U) << words;
  EXPECT_EQ(findings[0].weight, weight) << findings[0].message;
  EXPECT_NE(findings[0].message.find(words), std::string::npos) << findings[0].message;
  EXPECT_NE(findings[0].message.find(to_string(stage)), std::string::npos) << findings[0].message;
}

TEST(ContractCheck, FindsWhatNobodyCanKeep) {
  const auto error = PolicyFinding::Weight::error;
  expect_found(Stage::intent, {0, {}, 96, Fallback::unknown}, error, "a deadline_ms of 0, which nothing can meet");
  expect_found(Stage::summary, {Ask::deadline_limit_ms + 1, {}, 900, Fallback::keep}, error, "which no turn has");
  expect_found(Stage::intent, {1000, 1281, 96, Fallback::unknown}, error,
               "a prompt_tokens_max of 1281, and what reads it reads at most 1280");
  expect_found(Stage::reasoning, {1000, 1793, {}, Fallback::escalate}, error, "at most 1792");
  expect_found(Stage::reasoning, {1000, {}, 4097, Fallback::escalate}, error,
               "an answer_tokens_max of 4097, expected 1 to 4096");
  expect_found(Stage::intent, {1000, {}, 2, Fallback::unknown}, error, "an answer_tokens_max of 2, expected 4");
  expect_found(Stage::retrieval, {1000, 0, {}, Fallback::refuse}, error, "a prompt_tokens_max of 0");
  expect_found(Stage::summary, {1000, {}, 900, Fallback::escalate}, error,
               "falls back on escalate, which it does not have; expected wait or keep");
  expect_found(Stage::intent, {1000, {}, 96, Fallback::none}, error, "falls back on none");
  expect_found(Stage::reasoning, {1000, {}, {}, Fallback::quote}, PolicyFinding::Weight::warning, "no words for one");
}

TEST(ContractCheck, FindsNothingInContractsThatCanBeKept) {
  RoutingPolicy policy = default_policy();
  policy.contracts[place_of(Stage::reasoning)] = {1, 1792, 4096, Fallback::refuse};
  policy.contracts[place_of(Stage::summary)] = {Ask::deadline_limit_ms, 1, 1, Fallback::wait};
  policy.contracts[place_of(Stage::retrieval)] = {1, 1, 1, Fallback::refuse};
  EXPECT_TRUE(check(policy).empty()) << check(policy).front().message;
}

}  // namespace
}  // namespace troupe::policy
