#include "policy/routing_replay.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "policy/early_stop.hpp"

namespace troupe::policy {
namespace {

using End = RouteTrace::End;

/// A turn that climbed as the default policy has it: one answer a tier, each with its confidence.
Turn recorded(const std::vector<std::pair<double, std::string>>& answers) {
  Turn turn;
  turn.ask.question = "How long?";
  turn.kind = "lookup";
  for (std::size_t i = 0; i < answers.size(); ++i) {
    Attempt attempt;
    attempt.plan.attempt = static_cast<std::int32_t>(i);
    attempt.plan.tier = tiers.at(i);
    attempt.plan.rule = "standard";
    attempt.plan.task = "chat";
    attempt.plan.held_back = true;
    attempt.plan.context_tokens = 500;
    attempt.plan.tokens_max = 256;
    attempt.result.emplace();
    attempt.result->finish_reason = "end_token";
    attempt.result->confidence = answers[i].first;
    attempt.result->prompt_tokens = 1000;
    attempt.result->generated_tokens = 100;
    attempt.result->emissions.push_back({0, {1}, {-0.5F}, answers[i].second});
    turn.attempts.push_back(attempt);
  }
  turn.outcome.emplace();
  turn.outcome->committed = true;
  turn.outcome->confident = answers.back().first >= 0.8;
  return turn;
}

TEST(RoutingReplay, UnderTheSamePolicyIsWhatWasRecorded) {
  for (const auto& answers : std::vector<std::vector<std::pair<double, std::string>>>{
           {{0.9, "a"}}, {{0.5, "a"}, {0.85, "b"}}, {{0.5, "a"}, {0.5, "b"}, {0.1, "c"}}}) {
    const Turn turn = recorded(answers);
    const RouteTrace before = recorded_trace(turn);
    const RouteTrace after = replay(default_policy(), turn);
    EXPECT_EQ(after.rule, before.rule);
    EXPECT_EQ(after.tiers, before.tiers);
    EXPECT_EQ(after.end, before.end);
  }
}

TEST(RoutingReplay, SaysWhatAnotherThresholdWouldHaveDone) {
  RoutingPolicy lax = default_policy();
  lax.rules.back().confidence_min[0] = 0.4;
  const RouteTrace shorter = replay(lax, recorded({{0.5, "a"}, {0.85, "b"}}));
  EXPECT_EQ(shorter.tiers, std::vector{Tier::mini});
  EXPECT_EQ(shorter.end, End::confident);
  RoutingPolicy strict = default_policy();
  strict.rules.back().confidence_min[0] = 0.95;
  const RouteTrace longer = replay(strict, recorded({{0.9, "a"}}));
  EXPECT_EQ(longer.tiers, (std::vector{Tier::mini, Tier::medium}));
  EXPECT_EQ(longer.end, End::unknown) << "medium was not asked then";
}

TEST(RoutingReplay, CountsCostsByTheOtherPolicysPrices) {
  RoutingPolicy priced = default_policy();
  priced.price = {TokenPrice{1, 10}, {2, 20}, {}};
  EXPECT_DOUBLE_EQ(replay(priced, recorded({{0.5, "a"}, {0.85, "b"}})).cost, 0.002 + 0.004);
}

TEST(RoutingReplay, KnowsCalibrationsAndSecondOpinions) {
  RoutingPolicy modest = default_policy();
  modest.calibration[0].points = {{1, 0.5}};
  modest.rules.back().confidence_min[0] = 0.5;
  EXPECT_EQ(replay(modest, recorded({{0.9, "a"}, {0.9, "b"}})).tiers.size(), 2U);
  RoutingPolicy opinion = default_policy();
  opinion.rules.back().second_opinion = {Tier::medium};
  EXPECT_EQ(replay(opinion, recorded({{0.5, "Seven."}, {0.5, "seven"}, {0.9, "eight"}})).tiers.size(), 2U);
  EXPECT_EQ(replay(opinion, recorded({{0.5, "Seven."}, {0.5, "nine"}, {0.9, "eight"}})).tiers.size(), 3U);
}

TEST(RoutingReplay, RemembersWhatAnAnswerDidNotPass) {
  Turn turn = recorded({{0.9, "a"}, {0.9, "b"}});
  EXPECT_EQ(replay(default_policy(), turn).tiers.size(), 1U);
  turn.attempts[0].result->failed_check = "the answer of mini cites [7]";
  EXPECT_EQ(replay(default_policy(), turn).tiers, recorded_trace(turn).tiers);
  RoutingPolicy lax = default_policy();
  lax.rules.back().confidence_min = {};
  EXPECT_EQ(replay(lax, turn).tiers.size(), 2U) << "whatever confidence it would have needed";
}

TEST(RoutingReplay, RoutesByTheConfidenceOfTheSearch) {
  Turn turn = recorded({{0.9, "a"}});
  turn.retrieval_confidence = 0.59;
  EXPECT_EQ(replay(default_policy(), turn).rule, "doubtful");
  turn.retrieval_confidence = 0.61;
  EXPECT_EQ(replay(default_policy(), turn).rule, "standard");
}

TEST(RoutingReplay, PassesOverAttemptsThatWereLost) {
  Turn turn = recorded({{0.9, "a"}});
  Attempt lost = turn.attempts.front();
  lost.result->finish_reason = "lost";
  turn.attempts.insert(turn.attempts.begin(), lost);
  EXPECT_EQ(recorded_trace(turn).tiers, std::vector{Tier::mini});
  EXPECT_EQ(replay(default_policy(), turn).end, End::confident);
}

/// What broke its contract goes the way of the contract, whatever its confidence.
TEST(RoutingReplay, OfAnAttemptThatWasLateOrHadNoFormAsksTheNextTier) {
  for (const char* reason : {"late", "malformed", "failed"}) {
    Turn turn = recorded({{1, "a"}, {0.85, "b"}});
    turn.attempts[0].result->finish_reason = reason;
    const RouteTrace after = replay(default_policy(), turn);
    EXPECT_EQ(after.tiers, (std::vector{Tier::mini, Tier::medium})) << reason;
    EXPECT_EQ(after.end, End::confident) << reason;
    turn.attempts[1].result->finish_reason = reason;
    turn.attempts.push_back(turn.attempts[1]);
    turn.attempts[2].plan.tier = Tier::heavy;
    EXPECT_EQ(replay(default_policy(), turn).end, End::failed) << reason;
    RoutingPolicy quoting = default_policy();
    quoting.when_unsure = "{quote}";
    turn.attempts[2].plan.passages = {{"rules#1", "Rules §1"}};
    EXPECT_EQ(replay(quoting, turn).end, End::unsure) << reason;
    RoutingPolicy strict = default_policy();
    strict.contracts[place_of(Stage::reasoning)].fallback = Fallback::refuse;
    EXPECT_EQ(replay(strict, turn).tiers, std::vector{Tier::mini}) << reason;
  }
}

/// Of an attempt that stopped early the beginning is recorded, whose confidence the whole would not have exceeded.
TEST(RoutingReplay, OfAnAttemptThatStoppedEarlyKnowsOnlyThatItWasNotSureEnough) {
  Turn turn = recorded({{0.7, "a"}, {0.85, "b"}});
  turn.attempts[0].result->finish_reason = unsure_reason;
  const RouteTrace same = replay(default_policy(), turn);
  EXPECT_EQ(same.tiers, recorded_trace(turn).tiers);
  EXPECT_EQ(same.end, End::confident);
  RoutingPolicy lax = default_policy();
  lax.rules.back().confidence_min[0] = 0.6;
  EXPECT_EQ(replay(lax, turn).tiers, std::vector{Tier::mini});
  EXPECT_EQ(replay(lax, turn).end, End::unknown) << "the whole may have had 0.6";
  lax.rules.back().confidence_min[0] = 0.75;
  EXPECT_EQ(replay(lax, turn).tiers.size(), 2U) << "it had less already";
  RoutingPolicy opinion = default_policy();
  opinion.rules.back().second_opinion = {Tier::medium};
  EXPECT_EQ(replay(opinion, turn).end, End::unknown) << "nobody knows whether the whole says the same";
  RoutingPolicy alone = default_policy();
  alone.rules.back().escalate.clear();
  EXPECT_EQ(replay(alone, turn).end, End::unknown) << "the whole would be the answer";
}

TEST(RoutingReplay, OfATurnWithoutAnAttemptKnowsNothing) {
  const Turn turn;
  EXPECT_FALSE(facts_of(turn));
  EXPECT_EQ(replay(default_policy(), turn).end, End::unknown);
}

TEST(RoutingReplay, NamesATierThatThePolicyDoesNotHave) {
  RoutingPolicy small = default_policy();
  small.portfolio = {Tier::mini};
  small.rules = {small.rules[0], small.rules.back()};
  small.rules[1].escalate.clear();
  ASSERT_TRUE(validate(small));
  Turn turn = recorded({{0.9, "a"}});
  turn.ask.tier = Tier::heavy;
  const RouteTrace refused = replay(small, turn);
  EXPECT_EQ(refused.end, End::failed);
  EXPECT_NE(refused.why.find("no heavy"), std::string::npos) << refused.why;
}

/// A turn that the policy answered itself.
Turn refused(double confidence) {
  Turn turn;
  turn.kind = "out_of_scope";
  turn.kind_confidence = confidence;
  turn.outcome.emplace();
  turn.outcome->committed = true;
  turn.outcome->confident = true;
  turn.outcome->attempt = no_attempt;
  turn.outcome->rule = "out of scope";
  return turn;
}

TEST(RoutingReplay, AnswersWhatIsOutOfScopeAsRecorded) {
  const RouteTrace before = recorded_trace(refused(0.99));
  const RouteTrace after = replay(default_policy(), refused(0.99));
  EXPECT_EQ(before.rule, "out of scope");
  EXPECT_EQ(after.rule, before.rule);
  EXPECT_EQ(after.end, before.end);
  EXPECT_TRUE(after.tiers.empty() && before.tiers.empty());
}

TEST(RoutingReplay, DoesNotKnowWhatAStricterPolicyWouldHaveAsked) {
  RoutingPolicy strict = default_policy();
  strict.intent.out_of_scope_confidence_min = 0.995;
  const RouteTrace trace = replay(strict, refused(0.99));
  EXPECT_EQ(trace.end, End::unknown);
  EXPECT_EQ(trace.rule, "some other");
}

TEST(RoutingReplay, TakesAQuestionForWhatTheOtherPolicyWould) {
  Turn turn = recorded({{0.9, "a"}});
  turn.kind = "unknown";
  turn.kind_said = "out_of_scope";
  turn.kind_confidence = 0.7;
  EXPECT_EQ(replay(default_policy(), turn).rule, "standard");
  RoutingPolicy lax = default_policy();
  lax.intent.out_of_scope_confidence_min = 0.6;
  EXPECT_EQ(replay(lax, turn).rule, "out of scope");
  turn.ask.grounding = Grounding::always;
  EXPECT_EQ(replay(lax, turn).rule, "standard") << "the client has decided";
  turn.ask.grounding = Grounding::automatic;
  turn.kind_confidence.reset();
  EXPECT_EQ(replay(lax, turn).rule, "standard") << "an older version has not recorded how sure it was";
  RouteRule rule = lax.rules.back();
  rule.name = "unknown ones";
  rule.when.kind = {"unknown"};
  lax.rules.insert(lax.rules.begin(), rule);
  EXPECT_EQ(replay(lax, turn).rule, "unknown ones");
}

}  // namespace
}  // namespace troupe::policy
