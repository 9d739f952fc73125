#include "policy/routing_check.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "policy/route_region.hpp"
#include "policy/routing_rule.hpp"

namespace troupe::policy {
namespace {

using Weight = PolicyFinding::Weight;

std::vector<PolicyFinding> found(const std::function<void(RoutingPolicy&)>& change) {
  RoutingPolicy policy = default_policy();
  change(policy);
  return check(policy);
}

void expect_finding(const std::function<void(RoutingPolicy&)>& change, Weight weight, const std::string& rule,
                    const std::vector<std::string>& words) {
  const auto findings = found(change);
  ASSERT_EQ(findings.size(), 1U) << words.front() << (findings.size() > 1 ? "; " + findings[1].message : "");
  EXPECT_EQ(findings[0].weight, weight) << findings[0].message;
  EXPECT_EQ(findings[0].rule, rule) << findings[0].message;
  for (const auto& word : words) EXPECT_NE(findings[0].message.find(word), std::string::npos) << findings[0].message;
}
void expect_error(const std::function<void(RoutingPolicy&)>& change, const std::string& rule,
                  const std::vector<std::string>& words) {
  expect_finding(change, Weight::error, rule, words);
}
void expect_warning(const std::function<void(RoutingPolicy&)>& change, const std::string& rule,
                    const std::vector<std::string>& words) {
  expect_finding(change, Weight::warning, rule, words);
}

/// A rule in front of all others.
RouteRule& first(RoutingPolicy& policy, const std::string& name, const RouteConditions& when = {}) {
  RouteRule rule;
  rule.name = name;
  rule.when = when;
  rule.start = Tier::mini;
  return *policy.rules.insert(policy.rules.begin(), rule);
}
RouteConditions of(Assurance assurance) {
  RouteConditions when;
  when.assurance = {assurance};
  return when;
}

TEST(RoutingCheck, FindsNothingInTheDefault) { EXPECT_TRUE(check(default_policy()).empty()); }

TEST(RoutingCheck, FindsAllThatIsWrongAndNotOnlyTheFirst) {
  const auto findings = found([](auto& p) {
    p.rules[0].start = Tier::heavy;
    p.rules[0].escalate = {Tier::medium, Tier::mini};
    p.rules[1].when.prompt_tokens_max = 7;
    p.passages_max = -1;
  });
  EXPECT_EQ(findings.size(), 4U);
}

TEST(RoutingCheck, FindsLoopsInEscalation) {
  expect_error([](auto& p) { p.rules.back().escalate = {Tier::medium, Tier::mini}; }, "standard",
               {"medium to mini", "circles"});
  expect_error([](auto& p) { p.rules.back().escalate = {Tier::medium, Tier::medium}; }, "standard", {"medium to medium"});
}

TEST(RoutingCheck, FindsARuleThatSeveralBeforeItTakeTogether) {
  const auto one_each = [](auto& p) {
    first(p, "high", of(Assurance::high));
    first(p, "standard only", of(Assurance::standard));
    // Those of drafts that nobody has taken, and all others, are none.
    p.rules.erase(p.rules.begin() + 2, p.rules.begin() + 4);
    p.rules.erase(p.rules.end() - 4, p.rules.end() - 1);
  };
  expect_warning(one_each, "standard", {"rules \"standard only\", \"high\", \"draft\"", "together"});
  const auto in_vain = found([&](auto& p) {
    one_each(p);
    RouteRule rule = p.rules.back();
    rule.name = "in vain";
    rule.when.grounded = true;
    p.rules.insert(p.rules.end() - 1, rule);
  });
  ASSERT_EQ(in_vain.size(), 2U) << "the rule, and the last behind it";
  EXPECT_EQ(in_vain[0].weight, Weight::error);
  EXPECT_EQ(in_vain[0].rule, "in vain");
  EXPECT_NE(in_vain[0].message.find("together"), std::string::npos) << in_vain[0].message;
  // By number, in pieces that meet.
  expect_warning(
      [](auto& p) {
        RouteConditions few;
        few.prompt_tokens_max = 99;
        RouteConditions many;
        many.prompt_tokens_min = 100;
        RouteConditions about;
        about.prompt_tokens_min = 50;
        about.prompt_tokens_max = 150;
        first(p, "about", about);
        first(p, "many", many);
        first(p, "few", few);
        p.rules.resize(3);
        p.rules.push_back(default_policy().rules.back());
        p.rules.erase(p.rules.begin() + 2);
      },
      "standard", {"rules \"few\", \"many\"", "together"});
}

TEST(RoutingCheck, KeepsARuleThatSomethingIsLeftFor) {
  RouteConditions low;
  low.retrieval_confidence_below = 0.5;
  RouteConditions chat;
  chat.kind = {"chat"};
  RouteConditions archive;
  archive.tenant = {"archive"};
  for (const RouteConditions& when : {low, chat, archive}) {
    EXPECT_TRUE(found([&](auto& p) { first(p, "particular", when); }).empty());
  }
  // What costs too much under it goes on to the rules behind.
  EXPECT_TRUE(found([](auto& p) { first(p, "cheap").cost_max = 1; }).empty());
}

TEST(RoutingCheck, FindsConditionsThatNothingMeets) {
  expect_error(
      [](auto& p) {
        RouteConditions when;
        when.requested = {Tier::medium};
        first(p, "asked", when);
        p.portfolio = {Tier::mini, Tier::heavy};
        std::erase_if(p.rules, [](const RouteRule& rule) { return rule.start == Tier::medium; });
      },
      "asked", {"never match", "no such tier"});
  for (const double below : {0.0, 1.5}) {
    expect_error(
        [&](auto& p) {
          RouteConditions when;
          when.retrieval_confidence_below = below;
          first(p, "unsure", when);
          p.rules.erase(p.rules.end() - 4);  // "doubtful", which it would leave nothing for
        },
        "unsure", {"retrieval_confidence_below", shown(below)});
  }
  expect_error(
      [](auto& p) {
        RouteConditions when;
        when.tenant = {std::string(65, 't')};
        first(p, "theirs", when);
      },
      "theirs", {"65 bytes"});
}

TEST(RoutingCheck, FindsContractsThatNobodyCanMeet) {
  expect_error(
      [](auto& p) {
        p.calibration[0].points = {{0.5, 0.4}, {1, 0.84}};
        p.rules.erase(p.rules.begin());
      },
      "standard", {"mini", "0.85", "never exceeds 0.84"});
  expect_error(
      [](auto& p) {
        RouteRule& rule = first(p, "ideas", of(Assurance::standard));
        rule.sample = SampleAs::sampled;
        rule.sampling.temperature = 0.8F;
      },
      "ideas", {"only drafts are sampled"});
  expect_error(
      [](auto& p) {
        first(p, "ideas", of(Assurance::draft)).sample = SampleAs::sampled;
        p.rules.erase(p.rules.begin() + 1);
        p.rules.erase(p.rules.begin() + 2);
      },
      "ideas", {"temperature 0"});
  expect_error(
      [](auto& p) {
        p.price[0] = {1, 5};
        first(p, "cheap").cost_max = 0.000001;
      },
      "cheap", {"never match", "cost_max", "costs 5e-06"});
  expect_error([](auto& p) { p.rules.back().second_opinion = {Tier::mini}; }, "standard",
               {"second opinion of mini", "escalate"});
  expect_error([](auto& p) { p.rules.back().cost_max = 1; }, "standard", {"last"});
}

TEST(RoutingCheck, WarnsOfWhatIsPerhapsNotMeant) {
  expect_warning([](auto& p) { p.rules.back().confidence_min[1] = 0; }, "standard", {"medium", "only if that fails"});
  expect_warning([](auto& p) { p.rules[1].when.prompt_tokens_min = 1793; }, "long", {"1793", "1792", "left out"});
  expect_warning(
      [](auto& p) {
        p.price = {TokenPrice{0, 0}, {2, 4}, {1, 5}};
        p.rules.back().second_opinion = {Tier::medium};
      },
      "standard", {"second opinion of medium", "no less than heavy"});
  RoutingPolicy warned = default_policy();
  warned.rules.back().confidence_min[1] = 0;
  EXPECT_TRUE(validate(warned)) << "a warning is no error";
}

TEST(RoutingCheck, FindsNumbersAndTextsOutsideTheirLimits) {
  expect_error([](auto& p) { p.price[2].answer_million = -1; }, "", {"price of heavy for an answer", "-1"});
  expect_error([](auto& p) { p.calibration[1].points = {{0.5, 0.5}, {0.4, 0.6}, {1, 1}}; }, "", {"medium", "[0.4, 0.6]"});
  expect_error([](auto& p) { p.calibration[1].points = {{0.5, 1}}; }, "", {"medium", "ends at 0.5"});
  expect_error([](auto& p) { p.when_unsure = "I do not know."; }, "", {"when_unsure", "{quote}"});
  expect_error([](auto& p) { p.when_unsupported = std::string(4097, 'x'); }, "", {"when_unsupported", "4097"});
  expect_error([](auto& p) { p.when_unsure = "{quote}" + std::string(4096, 'x'); }, "", {"when_unsure", "4103"});
}

TEST(RoutingCheck, SaysWhatARuleDoes) {
  const RoutingPolicy policy = default_policy();
  EXPECT_EQ(sentence_of(policy.rules[0]),
            "if assurance is draft and the latency budget is at most 300 ms: mini, whose answer is marked below 0.85; greedy");
  RouteRule rule = policy.rules.back();
  rule.second_opinion = {Tier::medium};
  rule.cost_max = 0.5;
  EXPECT_EQ(
      sentence_of(rule),
      "otherwise: mini, below 0.85 medium for a second opinion, below 0.75 heavy, whose answer is marked below 0.8; a draft "
      "sampled as the client asks; for at most 0.5");
}

const std::vector<std::string> kinds = {"lookup", "chat", "unknown", "compare"};

/// Random conditions whose numbers are few, so that they meet each other often.
RouteConditions random_conditions(Random& random) {
  RouteConditions when;
  const auto some = [&] { return random.chance(0.3F); };
  if (some()) when.requested = {tiers.at(random.below(3))};
  if (some()) when.assurance = {static_cast<Assurance>(random.below(3)), static_cast<Assurance>(random.below(3))};
  if (some()) when.kind = {kinds.at(random.below(3))};
  if (some()) when.tenant = {random.chance(0.5F) ? "a" : "b"};
  if (some()) when.latency_budget_ms_max = random.between(1, 3);
  if (some()) when.prompt_tokens_min = static_cast<std::int32_t>(random.between(0, 2));
  if (some()) when.prompt_tokens_max = static_cast<std::int32_t>(random.between(2, 4));
  if (some()) when.grounded = random.chance(0.5F);
  if (some()) when.retrieval_confidence_below = random.chance(0.5F) ? 0.5 : 1.0;
  if (some()) when.kind_confidence_below = random.chance(0.5F) ? 0.5 : 1.0;
  return when;
}

RouteFacts random_facts(Random& random) {
  RouteFacts facts;
  if (random.chance(0.5F)) facts.requested = tiers.at(random.below(3));
  facts.assurance = static_cast<Assurance>(random.below(3));
  facts.latency_budget_ms = random.between(0, 4);
  facts.prompt_tokens = static_cast<std::int32_t>(random.between(0, 5));
  facts.grounded = random.chance(0.5F);
  if (random.chance(0.7F)) facts.kind = kinds.at(random.below(4));
  facts.tenant = std::vector<std::string>{"", "a", "b", "c"}.at(random.below(4));
  if (random.chance(0.7F)) facts.retrieval_confidence = static_cast<double>(random.below(5)) / 4;
  if (random.chance(0.7F)) facts.kind_confidence = static_cast<double>(random.below(5)) / 4;
  return facts;
}

TEST(RoutingCheck, CallsARuleUnreachableOnlyIfNoQuestionReachesIt) {
  const std::vector<std::string> tenants = {"a", "b"};
  const Intent intent = handbook_intent();
  int covered_ones = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    std::vector<RouteConditions> before(random.below(12) + 1);
    std::vector<RouteRegion> regions;
    for (RouteConditions& when : before) {
      when = random_conditions(random);
      regions.push_back(RouteRegion::of(when, tiers, tenants, intent));
    }
    const RouteConditions when = random_conditions(random);
    const bool unreachable = covered(RouteRegion::of(when, tiers, tenants, intent), regions).value();
    covered_ones += unreachable ? 1 : 0;
    for (int i = 0; i < 300; ++i) {
      const RouteFacts facts = random_facts(random);
      if (!matches(when, facts)) continue;
      const bool taken =
          std::any_of(before.begin(), before.end(), [&](const RouteConditions& other) { return matches(other, facts); });
      ASSERT_TRUE(taken || !unreachable);
    }
  }
  EXPECT_GT(covered_ones, 5);
}

TEST(RoutingCheck, LooksAtShadows) {
  RoutingPolicy policy = default_policy();
  policy.shadow.resize(1);
  policy.shadow[0].name = "a";
  policy.shadow[0].share = 0.5;
  const auto findings = check(policy);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].weight, PolicyFinding::Weight::error);
  EXPECT_NE(findings[0].message.find("shadow \"a\" has neither"), std::string::npos) << findings[0].message;
  policy.shadow[0].tier = Tier::heavy;
  EXPECT_TRUE(check(policy).empty());
}

}  // namespace
}  // namespace troupe::policy
