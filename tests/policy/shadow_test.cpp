#include "policy/shadow.hpp"

#include <gtest/gtest.h>

#include <string>

#include "policy/statement.hpp"

namespace troupe::policy {
namespace {

ShadowExperiment by_tier(Tier tier) {
  ShadowExperiment experiment;
  experiment.name = "a";
  experiment.share = 1;
  experiment.tier = tier;
  return experiment;
}

ShadowExperiment by_policy() {
  ShadowExperiment experiment;
  experiment.name = "b";
  experiment.share = 1;
  experiment.policy = "other.toml";
  return experiment;
}

Attempt attempt_of(Tier tier, double seconds) {
  Attempt attempt;
  attempt.plan.tier = tier;
  attempt.plan.task = "answer";
  attempt.plan.context_tokens = 100;
  attempt.result.emplace();
  attempt.result->prompt_tokens = 100;
  attempt.result->reused_tokens = 40;
  attempt.result->generated_tokens = 10;
  attempt.result->active_parameters = 1000;
  attempt.result->cost = 0.5;
  attempt.result->seconds = seconds;
  return attempt;
}

/// Answered by medium after mini was not sure.
Turn turn_of(const std::string& answer, const std::vector<std::string>& cited) {
  Turn turn;
  turn.id = {{.bytes = {1}}, 3};
  turn.ask.question = "How long?";
  turn.kind = "lookup";
  turn.accepted_ms = 1000;
  turn.ended_ms = 1250;
  turn.attempts = {attempt_of(Tier::mini, 0.02), attempt_of(Tier::medium, 0.0304)};
  turn.attempts[0].result->failed_check = "the answer of mini cites [9]";
  turn.outcome.emplace();
  turn.outcome->committed = true;
  turn.outcome->answer = answer;
  for (const std::string& section : cited) turn.outcome->citations.push_back({section, "name of " + section});
  turn.outcome->confidence = 0.75;
  turn.outcome->doubt = "confidence 0.75 of medium is below 0.8";
  return turn;
}

TEST(Shadow, ByATierIsAnsweredByItAlone) {
  const auto arm = make_arm(default_policy(), by_tier(Tier::heavy), std::nullopt);
  ASSERT_TRUE(arm);
  const auto route = shadow_route(*arm, turn_of("x", {}));
  ASSERT_TRUE(route) << route.error().message;
  EXPECT_EQ(route->ladder, (std::vector<Rung>{{Tier::heavy, 0.8}}));
  EXPECT_TRUE(route->held_back);
}

/// A model can be tried before anybody is answered by it.
TEST(Shadow, ByATierThatThePolicyAsksNobodyOf) {
  RoutingPolicy small;
  small.portfolio = {Tier::mini, Tier::heavy};
  small.rules = {default_policy().rules.back()};
  const auto arm = make_arm(small, by_tier(Tier::medium), std::nullopt);
  ASSERT_TRUE(arm);
  EXPECT_EQ(arm->policy.portfolio, (std::vector{Tier::mini, Tier::medium, Tier::heavy}));
  EXPECT_TRUE(validate(arm->policy));
  EXPECT_EQ(shadow_route(*arm, turn_of("x", {}))->start(), Tier::medium);
}

TEST(Shadow, UnderAnotherPolicyIsRoutedByIt) {
  RoutingPolicy other = default_policy();
  other.rules = {other.rules.back()};
  other.rules.back().start = Tier::medium;
  other.rules.back().escalate = {Tier::heavy};
  const auto arm = make_arm(default_policy(), by_policy(), other);
  ASSERT_TRUE(arm);
  EXPECT_EQ(shadow_route(*arm, turn_of("x", {}))->ladder, (std::vector<Rung>{{Tier::medium, 0.75}, {Tier::heavy, 0.8}}));
  Turn asked_for_mini = turn_of("x", {});
  asked_for_mini.ask.tier = Tier::mini;
  EXPECT_EQ(shadow_route(*arm, asked_for_mini)->ladder.size(), 1U) << "what the client asked for holds there too";
  other.portfolio = {Tier::medium, Tier::heavy};
  const auto refused = shadow_route(*make_arm(default_policy(), by_policy(), other), asked_for_mini);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::unsupported);
}

TEST(Shadow, HasNoShadows) {
  RoutingPolicy other = default_policy();
  other.shadow = {by_tier(Tier::mini)};
  const auto arm = make_arm(default_policy(), by_policy(), other);
  ASSERT_FALSE(arm);
  EXPECT_NE(arm.error().message.find("other.toml has shadows of its own"), std::string::npos) << arm.error().message;
  RoutingPolicy own = default_policy();
  own.shadow = {by_tier(Tier::mini)};
  EXPECT_TRUE(make_arm(own, own.shadow[0], std::nullopt)->policy.shadow.empty());
}

TEST(Shadow, SumsUpWhatATurnTook) {
  const ShadowAnswer answer = answer_of(turn_of("24 months [1]", {"a#1"}));
  EXPECT_EQ(answer.tiers, (std::vector{Tier::mini, Tier::medium}));
  EXPECT_EQ(answer.text, "24 months [1]");
  EXPECT_EQ(answer.citations, std::vector<std::string>{"a#1"});
  EXPECT_EQ(answer.computed, 2 * 70 * 1000.0);
  EXPECT_EQ(answer.cost, 1.0);
  EXPECT_EQ(answer.engine_ms, 50);
  EXPECT_EQ(answer.whole_ms, 250);
  EXPECT_EQ(answer.failed_check, "") << "the check that the last attempt passed";
  EXPECT_FALSE(answer.confident);
}

TEST(Shadow, AgreesIfTextAndSourcesAreTheSame) {
  const Turn client = turn_of("It is kept 24 months [1].", {"a#1"});
  const ShadowRecord same = compare("a", client, turn_of("it is kept  24 months [3]", {"a#1"}));
  EXPECT_EQ(same.fate, ShadowFate::compared);
  EXPECT_TRUE(same.agree()) << "numbers of passages are each prompt's own";
  EXPECT_TRUE(same.same_values);
  EXPECT_EQ(same.turn, client.id);
  EXPECT_EQ(same.question, "How long?");

  const ShadowRecord other_source = compare("a", client, turn_of("It is kept 24 months [1].", {"b#1"}));
  EXPECT_TRUE(other_source.same_text);
  EXPECT_FALSE(other_source.agree());

  const ShadowRecord other_words = compare("a", client, turn_of("For 24 months [1].", {"a#1"}));
  EXPECT_FALSE(other_words.same_text);
  EXPECT_TRUE(other_words.same_values);

  const ShadowRecord other_value = compare("a", client, turn_of("It is kept 12 months [1].", {"a#1"}));
  EXPECT_FALSE(other_value.agree());
  EXPECT_FALSE(other_value.same_values);
}

TEST(Shadow, CitesTheSameInWhateverOrder) {
  EXPECT_TRUE(compare("a", turn_of("x [1][2]", {"a#1", "b#2"}), turn_of("x [1][2]", {"b#2", "a#1"})).agree());
}

TEST(Shadow, KeepsNoMoreThanItsBounds) {
  Turn long_turn = turn_of("", {});
  for (int i = 0; i < 20000; ++i) long_turn.outcome->answer += "\xC2\xA7";
  long_turn.ask.question.assign(ShadowRecord::question_bytes_max + 1, 'q');
  long_turn.outcome->doubt.assign(5000, 'd');
  const ShadowRecord record = compare("a", long_turn, long_turn);
  EXPECT_EQ(record.client.text.size(), ShadowAnswer::text_bytes_max);
  EXPECT_EQ(record.question.size(), ShadowRecord::question_bytes_max);
  EXPECT_EQ(record.shadow.doubt.size(), ShadowAnswer::why_bytes_max);
  EXPECT_TRUE(record.same_text) << "what is compared is whole";
  long_turn.outcome->answer.insert(0, "x");
  EXPECT_EQ(answer_of(long_turn).text.size(), ShadowAnswer::text_bytes_max - 1) << "not within a character";
}

TEST(Shadow, ThatCameToNothingSaysWhy) {
  const Turn client = turn_of("x", {});
  const ShadowRecord dropped = not_compared("a", client, nullptr, ShadowFate::dropped, "32 others were waiting");
  EXPECT_EQ(dropped.fate, ShadowFate::dropped);
  EXPECT_EQ(dropped.why, "32 others were waiting");
  EXPECT_EQ(dropped.client.text, "") << "only counted";
  Turn begun;
  begun.attempts = {attempt_of(Tier::heavy, 1)};
  const ShadowRecord failed = not_compared("a", client, &begun, ShadowFate::failed, "late");
  EXPECT_EQ(failed.client.text, "x");
  EXPECT_EQ(failed.shadow.tiers, std::vector{Tier::heavy});
}

NodeView node_with(Tier tier, std::int32_t waiting, NodeState state = NodeState::serving) {
  NodeView node;
  node.state = state;
  node.replicas.resize(1);
  node.replicas[0].tier = tier;
  node.replicas[0].waiting = waiting;
  return node;
}

TEST(Shadow, WaitsWhileClientsWaitForEveryReplica) {
  EXPECT_TRUE(has_room({node_with(Tier::mini, 3), node_with(Tier::mini, 0)}, Tier::mini));
  EXPECT_FALSE(has_room({node_with(Tier::mini, 3), node_with(Tier::heavy, 0)}, Tier::mini));
  EXPECT_FALSE(has_room({node_with(Tier::mini, 3), node_with(Tier::mini, 0, NodeState::gone)}, Tier::mini));
  EXPECT_TRUE(is_served({node_with(Tier::mini, 3)}, Tier::mini));
  EXPECT_FALSE(is_served({node_with(Tier::mini, 0, NodeState::gone)}, Tier::mini));
  EXPECT_TRUE(has_room({}, Tier::mini)) << "nobody to wait for";
}

TEST(Shadow, LooksAtNumbersCodesAndNames) {
  EXPECT_EQ(values_of("Files of class D-7 go to Records Office after 24 months [1], Berlin."),
            (std::vector<std::string>{"24", "berlin", "d-7", "office", "records"}));
  EXPECT_TRUE(values_of("The answer is not in the sources.").empty());
  EXPECT_TRUE(values_of("").empty());
}

TEST(Shadow, LeavesTokensBehind) {
  Turn turn = turn_of("x", {});
  turn.attempts[0].plan.prompt = {1, 2};
  turn.attempts[0].plan.messages = {{"user", "x"}};
  turn.attempts[0].result->emissions.resize(3);
  const Turn left = without_tokens(turn);
  EXPECT_TRUE(left.attempts[0].plan.prompt.empty());
  EXPECT_TRUE(left.attempts[0].plan.messages.empty());
  EXPECT_TRUE(left.attempts[0].result->emissions.empty());
  EXPECT_EQ(left.outcome, turn.outcome);
}

}  // namespace
}  // namespace troupe::policy
