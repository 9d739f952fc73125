#include "policy/judgement.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace troupe::policy {
namespace {

using Verdict = Decision::Verdict;

/// A rule's route from mini on: below 0.85 medium for a second opinion, below 0.8 heavy.
RouteDecision cascade() {
  RouteDecision route;
  route.rule = "standard";
  route.ladder = {{Tier::mini, 0.85}, {Tier::medium, 0.8, true}, {Tier::heavy, 0.8}};
  route.held_back = true;
  route.greedy = true;
  return route;
}

const std::vector<PassageText> sources = {{"Records §3", "Records are kept for 24 months."}};

void add_attempt(Turn& turn, Tier tier, const std::string& text, double confidence) {
  Attempt& attempt = turn.attempts.emplace_back();
  attempt.plan.attempt = static_cast<std::int32_t>(turn.attempts.size()) - 1;
  attempt.plan.tier = tier;
  attempt.plan.price = {1e6, 2e6};
  attempt.plan.passages = {{"records#3", "Records §3"}};
  follow_route(cascade(), {}, attempt.plan);
  attempt.result.emplace();
  attempt.result->emissions = {{0, {1}, {-0.5F}, text}};
  attempt.result->finish_reason = "end_token";
  attempt.result->confidence = confidence;
  attempt.result->prompt_tokens = 3;
  attempt.result->generated_tokens = 2;
}

Turn turn_with(Tier tier, const std::string& text, double confidence) {
  Turn turn;
  turn.ask.question = "How long are records kept?";
  add_attempt(turn, tier, text, confidence);
  return turn;
}

TEST(Judgement, PlansFollowTheirRoute) {
  const AttemptPlan plan = turn_with(Tier::medium, "", 0).attempts[0].plan;
  EXPECT_EQ(plan.rule, "standard");
  EXPECT_TRUE(plan.held_back);
  EXPECT_TRUE(plan.second_opinion);
  EXPECT_EQ(plan.confidence_min, 0.8);
  EXPECT_EQ(plan.escalation, (std::vector<Rung>{{Tier::heavy, 0.8}}));
  const RouteDecision left = route_of(plan);
  EXPECT_EQ(left.ladder, (std::vector<Rung>{{Tier::medium, 0.8, true}, {Tier::heavy, 0.8}}));
  EXPECT_TRUE(left.greedy);
  RouteDecision sampled = cascade();
  sampled.greedy = false;
  AttemptPlan as_asked;
  follow_route(sampled, {.temperature = 0.5F}, as_asked);
  EXPECT_EQ(as_asked.sampling.temperature, 0.5F);
  sampled.sampling = Sampling{.temperature = 0.9F};
  follow_route(sampled, {.temperature = 0.5F}, as_asked);
  EXPECT_EQ(as_asked.sampling.temperature, 0.9F);
}

TEST(Judgement, TakesWhatIsSureAndSupported) {
  Turn turn = turn_with(Tier::mini, " 24 months [1] ", 0.9);
  const Judgement judgement = judge(default_policy(), turn, {sources, {}, false});
  EXPECT_EQ(judgement.decision.verdict, Verdict::commit);
  EXPECT_EQ(judgement.answer, "24 months [1]");
  EXPECT_EQ(turn.attempts[0].result->cost, 7);
  const TurnOutcome outcome = outcome_of(default_policy(), judgement, sources, turn.attempts[0]);
  EXPECT_TRUE(outcome.committed);
  EXPECT_TRUE(outcome.confident);
  EXPECT_EQ(outcome.doubt, "");
  EXPECT_EQ(outcome.citations, (std::vector<Passage>{{"records#3", "Records §3"}}));
}

TEST(Judgement, ComparesWhatTheCalibrationMakesOfAConfidence) {
  RoutingPolicy policy = default_policy();
  policy.calibration[0].points = {{0.9, 0.5}, {1, 0.9}};
  Turn turn = turn_with(Tier::mini, "24 months [1]", 0.9);
  const Judgement judgement = judge(policy, turn, {sources, {}, false});
  EXPECT_EQ(judgement.confidence, 0.5);
  EXPECT_EQ(judgement.decision.verdict, Verdict::escalate);
  EXPECT_EQ(judgement.decision.next, Tier::medium);
}

TEST(Judgement, DoesNotTrustWhatItsSourcesDoNotSay) {
  Turn turn = turn_with(Tier::mini, "12 months [1]", 0.99);
  EXPECT_EQ(judge(default_policy(), turn, {sources, {}, false}).decision.verdict, Verdict::escalate);
  EXPECT_EQ(turn.attempts[0].result->failed_check, "the answer of mini says \"12\", which [1] does not");
}

TEST(Judgement, HearsASecondOpinion) {
  Turn turn = turn_with(Tier::mini, "24 months [1]", 0.5);
  add_attempt(turn, Tier::medium, "24 months. [1]", 0.5);
  const Judgement agrees = judge(default_policy(), turn, {sources, {}, false});
  EXPECT_EQ(agrees.decision.verdict, Verdict::commit);
  EXPECT_TRUE(agrees.decision.confident);
  turn.attempts[0].result->emissions[0].text = "24 weeks [1]";
  EXPECT_EQ(judge(default_policy(), turn, {sources, {}, false}).decision.verdict, Verdict::escalate);
}

TEST(Judgement, QuotesTheBestSourceIfNobodyIsSure) {
  RoutingPolicy policy = default_policy();
  policy.when_unsure = "I am not sure. {source} says: {quote}";
  Turn turn = turn_with(Tier::heavy, "24 weeks [1]", 0.1);
  const Judgement judgement = judge(policy, turn, {sources, {}, false});
  ASSERT_EQ(judgement.decision.verdict, Verdict::commit);
  const TurnOutcome outcome = outcome_of(policy, judgement, sources, turn.attempts[0]);
  EXPECT_EQ(outcome.answer, "I am not sure. [1] says: Records are kept for 24 months.");
  EXPECT_FALSE(outcome.confident);
  EXPECT_NE(turn.attempts[0].result->superseded_why, "");
  Turn as_it_is = turn_with(Tier::heavy, "24 weeks [1]", 0.1);
  EXPECT_EQ(outcome_of(default_policy(), judgement, sources, as_it_is.attempts[0]).answer, "24 weeks [1]");
}

}  // namespace
}  // namespace troupe::policy
