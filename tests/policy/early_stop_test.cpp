#include "policy/early_stop.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "policy/judgement.hpp"
#include "policy/stage_fallback.hpp"

namespace troupe::policy {
namespace {

using Verdict = Decision::Verdict;

constexpr double none = -std::numeric_limits<double>::infinity();

/// An attempt of medium that heavy follows below 0.8.
AttemptPlan held_back_plan() {
  AttemptPlan plan;
  plan.tier = Tier::medium;
  plan.held_back = true;
  plan.confidence_min = 0.8;
  plan.escalation = {{Tier::heavy, 0.8}};
  plan.tokens_max = 64;
  return plan;
}

double least_with(const std::function<void(AttemptPlan&, RoutingPolicy&)>& change) {
  RoutingPolicy policy = default_policy();
  AttemptPlan plan = held_back_plan();
  change(plan, policy);
  return least_log_probability_sum(policy, plan);
}

TEST(EarlyStop, TheLeastSumIsJustBelowThatOfTheLeastConfidence) {
  const double least = least_log_probability_sum(default_policy(), held_back_plan());
  EXPECT_LT(least, std::log(0.8));
  EXPECT_GT(least, std::log(0.799));
}

TEST(EarlyStop, TheLeastSumIsALogarithmWhateverTheMinimum) {
  for (const double confidence_min : {1e-6, 0.001, 0.25, 0.4999, 0.5, 0.75, 0.999, 1.0}) {
    AttemptPlan plan = held_back_plan();
    plan.confidence_min = confidence_min;
    const double least = least_log_probability_sum(default_policy(), plan);
    EXPECT_LE(least, std::log(confidence_min)) << confidence_min;
    EXPECT_NEAR(least, std::log(confidence_min), 0.01) << confidence_min;
  }
}

TEST(EarlyStop, AnAttemptIsCompletedWhereItsTextMayBeWanted) {
  EXPECT_EQ(least_with([](AttemptPlan& plan, RoutingPolicy&) { plan.held_back = false; }), none) << "it has been shown";
  EXPECT_EQ(least_with([](AttemptPlan& plan, RoutingPolicy&) { plan.escalation.clear(); }), none) << "it is the answer, marked";
  EXPECT_EQ(least_with([](AttemptPlan& plan, RoutingPolicy&) { plan.second_opinion = true; }), none) << "it may agree";
  EXPECT_EQ(least_with([](AttemptPlan& plan, RoutingPolicy&) { plan.escalation[0].second_opinion = true; }), none)
      << "it may be agreed with";
  EXPECT_EQ(least_with([](AttemptPlan& plan, RoutingPolicy&) {
              plan.tier = Tier::mini;
              plan.escalation = {{Tier::medium, 0.8}, {Tier::heavy, 0.8, true}};
            }),
            none)
      << "it may be agreed with, if the tier between cannot be asked";
  for (const Fallback fallback : {Fallback::quote, Fallback::refuse}) {
    EXPECT_EQ(least_with([fallback](AttemptPlan&, RoutingPolicy& policy) {
                policy.contracts[place_of(Stage::reasoning)].fallback = fallback;
              }),
              none)
        << "an answer without form is not followed by the next tier";
  }
}

TEST(EarlyStop, ARemoteModelIsNotStopped) {
  EXPECT_EQ(least_with([](AttemptPlan& plan, RoutingPolicy&) { plan.model.numeric_class = "remote"; }), none);
}

TEST(EarlyStop, WhereEveryAnswerIsEnoughNothingStops) {
  EXPECT_EQ(least_with([](AttemptPlan& plan, RoutingPolicy&) { plan.confidence_min = 0; }), none);
}

TEST(EarlyStop, WhereNoAnswerCouldBeEnoughNothingStops) {
  EXPECT_EQ(least_with([](AttemptPlan&, RoutingPolicy& policy) { policy.calibration[1].points = {{1, 0.5}}; }), none);
}

TEST(EarlyStop, ACalibrationIsTurnedAround) {
  const Calibration line{{{0.5, 0.4}, {0.9, 0.85}, {1, 0.97}}};
  EXPECT_NEAR(raw_confidence_below(line, 0.4), 0.5, 1e-6);
  EXPECT_NEAR(raw_confidence_below(line, 0.625), 0.7, 1e-6);
  EXPECT_NEAR(raw_confidence_below(line, 0.97), 1, 1e-6);
  EXPECT_NEAR(raw_confidence_below({}, 0.8), 0.8, 1e-6) << "without one a confidence is what it says";
  const Calibration step{{{0.5, 0.2}, {0.5, 0.9}, {1, 0.9}}};
  EXPECT_NEAR(raw_confidence_below(step, 0.6), 0.5, 1e-6);
  const Calibration flat{{{0.25, 0.8}, {0.75, 0.8}, {1, 0.9}}};
  EXPECT_LE(raw_confidence_below(flat, 0.8), 0.25) << "the first of those that are enough";
}

Calibration random_calibration(Random& random) {
  Calibration calibration;
  if (random.chance(0.2F)) return calibration;
  std::vector<double> raw;
  std::vector<double> right;
  for (auto count = random.between(1, 6); count > 0; --count) {
    raw.push_back(static_cast<double>(random.uniform()));
    right.push_back(static_cast<double>(random.uniform()));
  }
  if (random.chance(0.3F)) right.assign(right.size(), right.front());  // flat
  if (random.chance(0.3F)) raw.assign(raw.size(), raw.front());        // a step
  raw.back() = 1;
  std::sort(raw.begin(), raw.end());
  std::sort(right.begin(), right.end());
  for (std::size_t i = 0; i < raw.size(); ++i) calibration.points.push_back({raw[i], right[i]});
  return calibration;
}

TEST(EarlyStop, NoAnswerThatWouldBeConfidentIsStopped) {
  constexpr std::uint64_t seed = 1;
  Random random(seed, 1);
  int stopped = 0;
  int confident = 0;
  for (int round = 0; round < 20000; ++round) {
    RoutingPolicy policy = default_policy();
    AttemptPlan plan = held_back_plan();
    policy.calibration[1] = random_calibration(random);
    plan.confidence_min = static_cast<double>(random.uniform());
    if (random.chance(0.2F) && !policy.calibration[1].points.empty())
      plan.confidence_min = policy.calibration[1].points[0].right;
    const double least = least_log_probability_sum(policy, plan);
    // Answers around the least, beside any others.
    const double whole = random.chance(0.5F) && std::isfinite(least)
                             ? least * (1 + (static_cast<double>(random.uniform()) - 0.5) * 1e-3)
                             : -3 * static_cast<double>(random.uniform());
    const auto tokens = random.between(1, 40);
    double sum = 0;
    bool stops = false;
    for (auto left = tokens; left > 0; --left) {
      sum += static_cast<double>(static_cast<float>(whole / static_cast<double>(tokens)));
      stops = stops || sum < least;
    }
    const double confidence = policy.calibration[1].of(static_cast<double>(std::exp(static_cast<float>(sum))));
    const bool is_confident = after_attempt(route_of(plan), plan, confidence, "end_token").confident;
    ASSERT_FALSE(stops && is_confident) << "seed " << seed << ", round " << round << ": sum " << sum << ", least " << least;
    stopped += stops ? 1 : 0;
    confident += is_confident ? 1 : 0;
  }
  EXPECT_GT(stopped, 2000);
  EXPECT_GT(confident, 2000);
}

TEST(EarlyStop, WhatStoppedGoesToTheNextTierAndKeptItsContract) {
  const AttemptPlan plan = held_back_plan();
  EXPECT_EQ(after_attempt(route_of(plan), plan, 0.79, unsure_reason),
            (Decision{Verdict::escalate, false, Tier::heavy, "medium could no longer reach 0.8; heavy follows"}));
  EXPECT_EQ(trouble_of(unsure_reason), Trouble::none);
  AttemptPlan last = plan;
  last.escalation.clear();
  EXPECT_EQ(after_attempt(route_of(last), last, 0.79, unsure_reason).verdict, Verdict::fail) << "a beginning is no answer";
}

/// Medium's attempt at a turn, which has ended.
Turn turn_with(const std::string& text, std::string_view reason) {
  Turn turn;
  turn.ask.question = "How long are records kept?";
  Attempt& attempt = turn.attempts.emplace_back();
  attempt.plan = held_back_plan();
  attempt.plan.task = "answer";
  attempt.plan.passages = {{"records#3", "Records §3"}};
  attempt.result.emplace();
  attempt.result->emissions = {{0, {1}, {-0.5F}, text}};
  attempt.result->finish_reason = reason;
  attempt.result->confidence = 0.7;
  attempt.result->generated_tokens = 9;
  return turn;
}

TEST(EarlyStop, ABeginningIsNotHeldAgainstSources) {
  const std::vector<PassageText> sources = {{"Records §3", "Records are kept for 24 months."}};
  for (const char* beginning : {"", "12 weeks [1]", "They are \xef\xbf\xbd"}) {
    Turn turn = turn_with(beginning, unsure_reason);
    const Judgement judgement = judge(default_policy(), turn, {sources, {}, true});
    EXPECT_FALSE(judgement.malformed) << beginning;
    EXPECT_EQ(turn.attempts[0].result->failed_check, "") << beginning;
    EXPECT_EQ(judgement.decision.next, Tier::heavy) << beginning;
    Turn whole = turn_with(beginning, "end_token");
    const Judgement of_whole = judge(default_policy(), whole, {sources, {}, true});
    EXPECT_TRUE(of_whole.malformed || !whole.attempts[0].result->failed_check.empty()) << beginning;
  }
}

TEST(EarlyStop, IsToldInWords) {
  Turn turn = turn_with("Records are", unsure_reason);
  EXPECT_TRUE(stopped_early(*turn.attempts[0].result));
  EXPECT_EQ(sentence_of_stop(turn.attempts[0].plan, *turn.attempts[0].result),
            "stopped after 9 tokens: can no longer reach 0.8");
  turn.attempts[0].result->generated_tokens = 1;
  EXPECT_EQ(sentence_of_stop(turn.attempts[0].plan, *turn.attempts[0].result),
            "stopped after 1 token: can no longer reach 0.8");
  turn.attempts[0].result->finish_reason = "end_token";
  EXPECT_FALSE(stopped_early(*turn.attempts[0].result));
}

}  // namespace
}  // namespace troupe::policy
