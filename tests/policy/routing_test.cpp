#include "policy/routing.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "policy/routing_rule.hpp"

namespace troupe::policy {
namespace {

using Verdict = Decision::Verdict;

RouteFacts facts(Assurance assurance = Assurance::standard) {
  RouteFacts facts;
  facts.assurance = assurance;
  facts.prompt_tokens = 500;
  facts.served = {tiers.begin(), tiers.end()};
  return facts;
}

std::string rule_for(const RouteFacts& facts) { return route(default_policy(), facts)->rule; }

void expect_words(const Error& error, ErrorCode code, const std::vector<std::string>& words) {
  EXPECT_EQ(error.code, code) << error.message;
  for (const auto& word : words) EXPECT_NE(error.message.find(word), std::string::npos) << error.message;
}

void expect_invalid(const std::function<void(RoutingPolicy&)>& change, const std::vector<std::string>& words,
                    ErrorCode code = ErrorCode::invalid_argument) {
  RoutingPolicy policy = default_policy();
  change(policy);
  const auto result = validate(policy);
  ASSERT_FALSE(result) << words.front();
  expect_words(result.error(), code, words);
}

TEST(Routing, ClimbsFromMiniToHeavyWhileAStandardAnswerIsNotSure) {
  ASSERT_TRUE(validate(default_policy()));
  const auto decision = route(default_policy(), facts());
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->ladder, (std::vector<Rung>{{Tier::mini, 0.85}, {Tier::medium, 0.75}, {Tier::heavy, 0.8}}));
  EXPECT_EQ(decision->start(), Tier::mini);
  EXPECT_TRUE(decision->greedy);
  EXPECT_TRUE(decision->held_back);
  EXPECT_EQ(decision->why, "rule \"standard\": nothing more particular matches; mini, below 0.85 medium, below 0.75 heavy");
}

TEST(Routing, GivesADraftToHeavyAloneAndSamplesAsAsked) {
  const auto decision = route(default_policy(), facts(Assurance::draft));
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->rule, "draft");
  EXPECT_EQ(decision->ladder, (std::vector<Rung>{{Tier::heavy, 0.8}}));
  EXPECT_FALSE(decision->greedy);
  EXPECT_FALSE(decision->held_back);
}

TEST(Routing, AnswersATightBudgetGreedilyAndALongContextWithHeavy) {
  RouteFacts asked = facts(Assurance::draft);
  asked.latency_budget_ms = 300;
  const auto tight = route(default_policy(), asked);
  ASSERT_TRUE(tight);
  EXPECT_EQ(tight->rule, "tight");
  EXPECT_TRUE(tight->greedy);
  EXPECT_EQ(tight->why, "rule \"tight\": assurance is draft, the latency budget is 300 ms (at most 300); mini");
  asked.latency_budget_ms = 301;
  EXPECT_EQ(rule_for(asked), "draft");
  asked.latency_budget_ms = 0;
  asked.prompt_tokens = 1280;
  EXPECT_EQ(rule_for(asked), "draft");
  asked.prompt_tokens = 1281;
  const auto wide = route(default_policy(), asked);
  ASSERT_TRUE(wide);
  EXPECT_EQ(wide->ladder, (std::vector<Rung>{{Tier::heavy, 0.8}}));
  EXPECT_EQ(wide->why, "rule \"long\": the context has 1281 tokens (at least 1281); heavy");
}

TEST(Routing, BeginsWithMediumWherePassagesAreReadAndAsksMoreOfItWhereTheSearchIsNotTrusted) {
  RouteFacts asked = facts();
  asked.grounded = true;
  asked.retrieval_confidence = 0.59;
  const auto decision = route(default_policy(), asked);
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->ladder, (std::vector<Rung>{{Tier::medium, 0.85, false, 1}, {Tier::heavy, 0.8}}));
  EXPECT_EQ(decision->why, "rule \"doubtful\": retrieval confidence is 0.59 (below 0.6); medium, below 0.85 heavy");
  asked.retrieval_confidence = 0.6;
  EXPECT_EQ(rule_for(asked), "grounded");
  EXPECT_EQ(route(default_policy(), asked)->ladder, (std::vector<Rung>{{Tier::medium, 0.75, false, 1}, {Tier::heavy, 0.8}}));
  asked.kind = "compare";
  EXPECT_EQ(rule_for(asked), "compare");
  EXPECT_EQ(route(default_policy(), asked)->start(), Tier::heavy);
}

TEST(Routing, AsksOnWhereAnAnswerWithoutACitationIsNotSureEnoughForOne) {
  RouteFacts asked = facts();
  asked.grounded = true;
  const RouteDecision decision = route(default_policy(), asked).value();
  AttemptPlan plan;
  plan.tier = Tier::medium;
  plan.confidence_min = 0.8;
  plan.uncited_min = 1;
  plan.held_back = true;
  EXPECT_EQ(after_attempt(decision, plan, 0.99, "end_token", {}, false, true),
            (Decision{Verdict::escalate, false, Tier::heavy,
                      "confidence 0.99 of medium is below 1, and it cites nothing; heavy follows"}));
  EXPECT_EQ(after_attempt(decision, plan, 0.99, "end_token", {}, false, false).verdict, Verdict::commit);
  plan.uncited_min = 0.5;
  EXPECT_TRUE(after_attempt(decision, plan, 0.8, "end_token", {}, false, true).confident) << "confidence_min is enough then";
  EXPECT_EQ(after_attempt(decision, plan, 0.79, "end_token", {}, false, true).verdict, Verdict::escalate);
}

TEST(Routing, GivesAQuestionToTheTierThatTheClientAsksForAndNoOther) {
  RouteFacts asked = facts();
  asked.requested = Tier::medium;
  const auto decision = route(default_policy(), asked);
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->ladder, (std::vector<Rung>{{Tier::medium, 0.75}}));
  EXPECT_NE(decision->why.find("as the client asks, medium alone"), std::string::npos) << decision->why;
}

TEST(Routing, WaitsForItsFirstTierAndKeepsALaterOneThatIsAway) {
  RouteFacts asked = facts();
  asked.served = {Tier::medium, Tier::heavy};
  const auto waits = route(default_policy(), asked);
  ASSERT_FALSE(waits);
  expect_words(waits.error(), ErrorCode::unavailable, {"no node serves mini", "standard"});
  asked.served = {Tier::mini};
  EXPECT_EQ(route(default_policy(), asked)->ladder, route(default_policy(), facts())->ladder)
      << "a route does not depend on who is there";
  asked.requested = Tier::heavy;
  EXPECT_EQ(route(default_policy(), asked).error().code, ErrorCode::unavailable);
}

TEST(Routing, LeavesOutWhatThePortfolioDoesNotHaveAndSaysSo) {
  RoutingPolicy policy = default_policy();
  policy.portfolio = {Tier::mini, Tier::heavy};
  std::erase_if(policy.rules, [](const RouteRule& rule) { return rule.start == Tier::medium; });
  ASSERT_TRUE(validate(policy));
  const auto decision = route(policy, facts());
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->ladder, (std::vector<Rung>{{Tier::mini, 0.85}, {Tier::heavy, 0.8}}));
  EXPECT_NE(decision->why.find("the portfolio has no medium"), std::string::npos) << decision->why;
  RouteFacts asked = facts();
  asked.requested = Tier::medium;
  expect_words(route(policy, asked).error(), ErrorCode::unsupported, {"no medium", "mini, heavy"});
}

TEST(Routing, MatchesARuleOnlyIfAllItsConditionsHold) {
  RouteRule rule;
  rule.name = "picky";
  rule.start = Tier::heavy;
  rule.when = {.requested = {Tier::heavy},
               .assurance = {Assurance::standard, Assurance::high},
               .priority = {Priority::batch},
               .latency_budget_ms_max = 1000,
               .prompt_tokens_min = 10,
               .prompt_tokens_max = 20,
               .grounded = true,
               .kind = {"lookup", "compare"},
               .tenant = {"archive"},
               .retrieval_confidence_below = 0.5};
  RoutingPolicy policy = default_policy();
  policy.rules.insert(policy.rules.begin(), rule);
  ASSERT_TRUE(validate(policy));
  RouteFacts fitting = facts();
  fitting.requested = Tier::heavy;
  fitting.priority = Priority::batch;
  fitting.latency_budget_ms = 1000;
  fitting.prompt_tokens = 20;
  fitting.grounded = true;
  fitting.kind = "compare";
  fitting.tenant = "archive";
  fitting.retrieval_confidence = 0.43217;
  const auto decision = route(policy, fitting);
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->rule, "picky");
  for (const char* input :
       {"the client asks for heavy", "assurance is standard", "priority is batch", "1000 ms",
        "20 tokens (at least 10 and at most 20)", "passages come with it", "the question is taken for compare",
        "the tenant is archive", "retrieval confidence is 0.4322 (below 0.5)"}) {
    EXPECT_NE(decision->why.find(input), std::string::npos) << decision->why;
  }
  RouteFacts of_corpus = facts();
  of_corpus.grounded = true;
  const auto nothing_found = route(default_policy(), of_corpus);
  ASSERT_TRUE(nothing_found);
  EXPECT_NE(nothing_found->why.find("rule \"grounded\": it is for the corpus"), std::string::npos) << nothing_found->why;
  const std::vector<std::function<void(RouteFacts&)>> misfits = {
      [](RouteFacts& f) { f.requested = Tier::mini; },
      [](RouteFacts& f) { f.requested.reset(); },
      [](RouteFacts& f) { f.assurance = Assurance::draft; },
      [](RouteFacts& f) { f.priority = Priority::standard; },
      [](RouteFacts& f) { f.latency_budget_ms = 0; },
      [](RouteFacts& f) { f.latency_budget_ms = 1001; },
      [](RouteFacts& f) { f.prompt_tokens = 9; },
      [](RouteFacts& f) { f.prompt_tokens = 21; },
      [](RouteFacts& f) { f.grounded = false; },
      [](RouteFacts& f) { f.retrieval_confidence = 0.5; },
      [](RouteFacts& f) { f.kind = "chat"; },
      [](RouteFacts& f) { f.kind.reset(); },
      [](RouteFacts& f) { f.tenant.clear(); },
      [](RouteFacts& f) { f.retrieval_confidence.reset(); },
  };
  for (std::size_t i = 0; i < misfits.size(); ++i) {
    RouteFacts changed = fitting;
    misfits[i](changed);
    EXPECT_NE(route(policy, changed)->rule, "picky") << "misfit " << i;
  }
}

TEST(Routing, RefusesAPolicyAndNamesTheRule) {
  expect_invalid([](auto& p) { p.rules.clear(); }, {"0 rules"});
  expect_invalid([](auto& p) { p.rules.resize(65); }, {"65 rules", "64"});
  expect_invalid([](auto& p) { p.rules[1].name.clear(); }, {"rule 2", "0 bytes"});
  expect_invalid([](auto& p) { p.rules[1].name.assign(65, 'n'); }, {"rule 2", "65 bytes"});
  expect_invalid([](auto& p) { p.rules[3].name = "long"; }, {"\"long\"", "rule 2 and 4"});
  expect_invalid([](auto& p) { p.rules.pop_back(); }, {"\"grounded\"", "last"});
  expect_invalid([](auto& p) { p.rules.back().escalate = {Tier::heavy, Tier::medium}; }, {"\"standard\"", "heavy to medium"});
  expect_invalid([](auto& p) { p.rules.back().escalate = {Tier::mini}; }, {"\"standard\"", "mini to mini"});
  expect_invalid([](auto& p) { p.rules[0].confidence_min[1] = 1.01; }, {"\"tight\"", "medium", "1.01"});
  expect_invalid([](auto& p) { p.rules[0].confidence_min[0] = std::numeric_limits<double>::quiet_NaN(); },
                 {"\"tight\"", "mini"});
  expect_invalid([](auto& p) { p.portfolio = {Tier::mini, Tier::medium}; }, {"\"long\"", "heavy"});
  expect_invalid([](auto& p) { p.portfolio.clear(); }, {"tiers"});
  expect_invalid([](auto& p) { p.portfolio = {Tier::mini, Tier::mini}; }, {"tiers"});
  expect_invalid([](auto& p) { p.portfolio = {Tier::heavy, Tier::mini}; }, {"tiers"});
  using enum ErrorCode;
  expect_invalid([](auto& p) { p.prompt_tokens[2] = 0; }, {"prompt_tokens of heavy", "0"}, out_of_range);
  expect_invalid([](auto& p) { p.recent_tokens = -1; }, {"recent_tokens", "-1"}, out_of_range);
  expect_invalid([](auto& p) { p.recent_turns = 0; }, {"recent_turns", "0"}, out_of_range);
  expect_invalid([](auto& p) { p.summary_tokens = -1; }, {"summary_tokens", "-1"}, out_of_range);
  expect_invalid([](auto& p) { p.recalled_max = 65; }, {"recalled_max", "65"}, out_of_range);
  expect_invalid([](auto& p) { p.passages_max = 65; }, {"passages_max", "65", "64"}, out_of_range);
  expect_invalid([](auto& p) { p.prompt_passages[1] = -1; }, {"prompt_passages of medium", "-1"}, out_of_range);
  expect_invalid([](auto& p) { p.when_all_failed.assign(4097, 'x'); }, {"when_all_failed", "4097"}, out_of_range);
}

TEST(Routing, RefusesARuleThatCanNeverMatch) {
  expect_invalid([](auto& p) { std::swap(p.rules[2], p.rules.back()); }, {"\"doubtful\"", "never match", "\"standard\""});
  expect_invalid([](auto& p) { p.rules[3].when.retrieval_confidence_below = 0; }, {"\"doubtful\"", "never match", "above 0"});
  expect_invalid([](auto& p) { p.rules[1].when = {}; }, {"\"draft\"", "never match", "\"long\""});
  expect_invalid([](auto& p) { std::swap(p.rules[0], p.rules[2]); }, {"\"tight\"", "never match", "\"draft\""});
  expect_invalid([](auto& p) { p.rules[0].when.latency_budget_ms_max = 0; },
                 {"\"tight\"", "never match", "latency_budget_ms_max"});
  expect_invalid([](auto& p) { p.rules[1].when.prompt_tokens_max = 5; }, {"\"long\"", "never match", "1281", "5"});
  expect_invalid([](auto& p) { p.rules[1].when.prompt_tokens_min = -1; }, {"\"long\"", "-1"});
}

TEST(Routing, MatchesEveryQuestionAndOnlyTheFirstRuleThatFits) {
  Random random(7);
  const RoutingPolicy policy = default_policy();
  for (int i = 0; i < 2000; ++i) {
    RouteFacts asked = facts(static_cast<Assurance>(random.below(3)));
    if (random.chance(0.3F)) asked.requested = tiers.at(random.below(3));
    asked.latency_budget_ms = random.between(0, 600);
    asked.prompt_tokens = static_cast<std::int32_t>(random.between(0, 3000));
    asked.grounded = random.chance(0.5F);
    if (asked.grounded) asked.retrieval_confidence = static_cast<double>(random.uniform());
    const auto decision = route(policy, asked);
    ASSERT_TRUE(decision);
    ASSERT_EQ(*route(policy, asked), *decision);
    ASSERT_EQ(decision->held_back, asked.assurance != Assurance::draft);
    ASSERT_TRUE(decision->greedy || !decision->held_back);
    ASSERT_TRUE(std::is_sorted(decision->ladder.begin(), decision->ladder.end(),
                               [](const Rung& a, const Rung& b) { return a.tier < b.tier; }));
  }
}

AttemptPlan planned(const RouteDecision& decision, std::size_t rung) {
  AttemptPlan plan;
  plan.tier = decision.ladder[rung].tier;
  plan.confidence_min = decision.ladder[rung].confidence_min;
  plan.held_back = decision.held_back;
  plan.tokens_max = 20;
  return plan;
}

TEST(Escalation, FollowsOnlyOnAnAnswerThatIsNotSure) {
  const auto decision = *route(default_policy(), facts());
  const auto sure = after_attempt(decision, planned(decision, 0), 0.85, "end_token");
  EXPECT_EQ(sure, (Decision{Verdict::commit, true, std::nullopt, "confidence 0.85 of mini reaches 0.85"}));
  const auto unsure = after_attempt(decision, planned(decision, 0), 0.5, "end_token");
  EXPECT_EQ(unsure, (Decision{Verdict::escalate, false, Tier::medium, "confidence 0.5 of mini is below 0.85; medium follows"}));
  EXPECT_EQ(after_attempt(decision, planned(decision, 1), 0.74, "stop_string").next, Tier::heavy);
  const auto last = after_attempt(decision, planned(decision, 2), 0.01, "end_token");
  EXPECT_EQ(last.verdict, Verdict::commit);
  EXPECT_FALSE(last.confident) << "there is nobody above heavy to ask, so it is marked";
}

TEST(Escalation, FollowsOnAFailedCheckHoweverSureTheAnswerIs) {
  const auto decision = *route(default_policy(), facts());
  const auto failed = after_attempt(decision, planned(decision, 0), 0.99, "end_token", "the answer of mini cites [7]");
  EXPECT_EQ(failed, (Decision{Verdict::escalate, false, Tier::medium,
                              "the answer of mini cites [7] (confidence 0.99 of mini); medium follows"}));
  const auto last = after_attempt(decision, planned(decision, 2), 0.99, "end_token", "the answer of heavy cites [7]");
  EXPECT_EQ(last.verdict, Verdict::commit);
  EXPECT_FALSE(last.confident);
  const auto draft = *route(default_policy(), facts(Assurance::draft));
  const auto shown = after_attempt(draft, planned(draft, 0), 0.99, "end_token", "the answer of heavy cites [7]");
  EXPECT_EQ(shown.verdict, Verdict::commit);
  EXPECT_FALSE(shown.confident) << "it has been streamed, and is marked afterwards";
}

TEST(Escalation, TakesACutAnswerAndAConfidenceThatIsNoNumberForUnsure) {
  const auto decision = *route(default_policy(), facts());
  const auto cut = after_attempt(decision, planned(decision, 0), 1, "length");
  EXPECT_EQ(cut.verdict, Verdict::escalate);
  EXPECT_NE(cut.why.find("cut short after 20 tokens"), std::string::npos) << cut.why;
  EXPECT_EQ(after_attempt(decision, planned(decision, 0), std::numeric_limits<double>::quiet_NaN(), "end_token").verdict,
            Verdict::escalate);
  const auto last = after_attempt(decision, planned(decision, 2), 1, "length");
  EXPECT_EQ(last.verdict, Verdict::commit);
  EXPECT_FALSE(last.confident);
}

TEST(Escalation, LeavesADraftAsItWasShownAndMarksIt) {
  const auto draft = *route(default_policy(), facts(Assurance::draft));
  EXPECT_TRUE(after_attempt(draft, planned(draft, 0), 0.99, "end_token").confident);
  auto ladder = draft;
  ladder.ladder = {{Tier::mini, 0.93}, {Tier::heavy, 0.8}};
  const auto marked = after_attempt(ladder, planned(ladder, 0), 0.5, "end_token");
  EXPECT_EQ(marked.verdict, Verdict::commit);
  EXPECT_FALSE(marked.confident);
  EXPECT_EQ(after_attempt(ladder, planned(ladder, 0), 0.5, "failed").next, Tier::heavy)
      << "a failed draft escalates all the same";
}

TEST(Escalation, OfAFailureEndsWithTheLadder) {
  const auto decision = *route(default_policy(), facts());
  for (const char* reason : {"failed", "", "nonsense"}) {
    EXPECT_EQ(after_attempt(decision, planned(decision, 1), 1, reason).next, Tier::heavy) << reason;
    EXPECT_EQ(after_attempt(decision, planned(decision, 2), 1, reason).verdict, Verdict::fail) << reason;
  }
  for (const char* reason : {"cancelled", "deadline_exceeded"}) {
    const auto ended = after_attempt(decision, planned(decision, 0), 1, reason);
    EXPECT_EQ(ended.verdict, Verdict::fail) << reason;
    EXPECT_NE(ended.why.find(reason), std::string::npos) << ended.why;
  }
  AttemptPlan stranger = planned(decision, 0);
  stranger.tier = Tier::heavy;
  stranger.confidence_min = 0.5;
  EXPECT_EQ(after_attempt(decision, stranger, 0.1, "end_token").verdict, Verdict::commit);
}

TEST(Escalation, EndsWithASecondOpinionThatSaysTheSame) {
  RoutingPolicy policy = default_policy();
  policy.rules.back().second_opinion = {Tier::medium};
  ASSERT_TRUE(validate(policy));
  const auto decision = *route(policy, facts());
  EXPECT_NE(decision.why.find("medium for a second opinion, below 0.75 heavy"), std::string::npos) << decision.why;
  AttemptPlan plan = planned(decision, 1);
  plan.second_opinion = decision.ladder[1].second_opinion;
  const auto agreed = after_attempt(decision, plan, 0.5, "end_token", {}, true);
  EXPECT_EQ(agreed.verdict, Verdict::commit);
  EXPECT_TRUE(agreed.confident);
  EXPECT_NE(agreed.why.find("says the same"), std::string::npos) << agreed.why;
  EXPECT_EQ(after_attempt(decision, plan, 0.5, "end_token", {}, false).next, Tier::heavy);
  EXPECT_EQ(after_attempt(decision, plan, 0.5, "length", {}, true).next, Tier::heavy) << "half an answer agrees with nothing";
  EXPECT_EQ(after_attempt(decision, planned(decision, 1), 0.5, "end_token", {}, true).next, Tier::heavy)
      << "nobody asked for an opinion";
  EXPECT_EQ(after_attempt(decision, plan, 0.9, "end_token", "the answer of medium cites [7]", true).next, Tier::heavy)
      << "two who agree on what no source says";
}

TEST(Escalation, TakesAnswersForTheSameWhateverTheirCitationsAndCase) {
  EXPECT_TRUE(same_answer("Seven years [1].", "seven  years [3]"));
  EXPECT_TRUE(same_answer(" yes!\n", "Yes"));
  EXPECT_FALSE(same_answer("seven years", "eight years"));
  EXPECT_FALSE(same_answer("7 years", "77 years"));
  EXPECT_FALSE(same_answer("", "")) << "nothing is no answer";
  EXPECT_FALSE(same_answer("[1]", " . "));
}

TEST(Escalation, QuotesTheBestSourceWhenNobodyIsSure) {
  RoutingPolicy policy = default_policy();
  EXPECT_FALSE(quote_of(policy, "Files are kept for seven years."));
  policy.when_unsure = "I am not sure. {source} says: \"{quote}\"";
  EXPECT_EQ(quote_of(policy, " Files are kept. "), "I am not sure. [1] says: \"Files are kept.\"");
  EXPECT_EQ(quote_of(policy, "About {source} and {quote}."), "I am not sure. [1] says: \"About {source} and {quote}.\"");
  EXPECT_FALSE(quote_of(policy, " \n"));
  std::string sentence(350, 'a');
  sentence += ". Then much more follows";
  EXPECT_EQ(quote_of(policy, sentence + std::string(100, 'b'))->find("Then"), std::string::npos);
  std::string wide;
  for (int i = 0; i < 300; ++i) wide += "§";
  EXPECT_EQ(quote_of(policy, "x" + wide)->size(), std::string("I am not sure. [1] says: \"\"").size() + 399)
      << "a character is not cut in two";
}

TEST(Routing, CountsWhatAnAnswerMayCost) {
  RoutingPolicy policy = default_policy();
  policy.price = {TokenPrice{1, 1}, {10, 10}, {100, 100}};
  RouteRule cheap = policy.rules.back();
  cheap.name = "cheap";
  cheap.cost_max = 0.01;
  policy.rules.insert(policy.rules.begin(), cheap);
  ASSERT_TRUE(validate(policy));
  RouteFacts asked = facts();
  asked.prompt_tokens = 500;
  asked.tokens_max = 100;
  const auto decision = *route(policy, asked);
  EXPECT_EQ(decision.rule, "cheap");
  EXPECT_EQ(decision.ladder.size(), 2U) << "0.0006 and 0.006, but not 0.06";
  EXPECT_NE(decision.why.find("without heavy, which could bring the cost to 0.0666 (at most 0.01)"), std::string::npos)
      << decision.why;
  policy.rules.front().cost_max = 0.0005;
  EXPECT_EQ(route(policy, asked)->rule, "standard") << "not even its first attempt may be paid";
  policy.rules.front().cost_max = 0.01;
  asked.requested = Tier::heavy;
  EXPECT_EQ(route(policy, asked)->rule, "standard");
}

TEST(Routing, SamplesADraftAsTheRuleSays) {
  RoutingPolicy policy = default_policy();
  RouteRule ideas;
  ideas.name = "ideas";
  ideas.when.kind = {"chat"};
  ideas.start = Tier::heavy;
  ideas.sample = SampleAs::sampled;
  ideas.sampling.temperature = 0.8F;
  policy.rules.insert(policy.rules.begin(), ideas);
  ASSERT_TRUE(validate(policy));
  EXPECT_TRUE(policy.asks_for_kind());
  EXPECT_FALSE(default_policy().asks_for_kind());
  RouteFacts asked = facts(Assurance::draft);
  asked.kind = "chat";
  EXPECT_EQ(route(policy, asked)->sampling, ideas.sampling);
  EXPECT_FALSE(route(policy, asked)->greedy);
  asked.assurance = Assurance::standard;
  EXPECT_TRUE(route(policy, asked)->greedy) << "what is held back is greedy in any case";
  EXPECT_FALSE(route(policy, asked)->sampling);
  EXPECT_NE(sentence_of(ideas).find("sampled at temperature 0.8, top_p 1"), std::string::npos) << sentence_of(ideas);
}

TEST(Routing, ReadsACalibrationBetweenItsPoints) {
  const Calibration curve{{{0.5, 0.25}, {0.75, 0.5}, {1, 0.75}}};
  EXPECT_EQ(curve.of(0), 0);
  EXPECT_EQ(curve.of(0.25), 0.125);
  EXPECT_EQ(curve.of(0.5), 0.25);
  EXPECT_EQ(curve.of(0.875), 0.625);
  EXPECT_EQ(curve.of(1), 0.75);
  EXPECT_EQ(Calibration{}.of(0.3), 0.3);
  EXPECT_EQ((Calibration{{{0.5, 0.2}, {0.5, 0.4}, {1, 1}}}.of(0.5)), 0.2) << "a step belongs to its lower end";
  EXPECT_FALSE(curve.of(std::numeric_limits<double>::quiet_NaN()) >= 0);
}

}  // namespace
}  // namespace troupe::policy
