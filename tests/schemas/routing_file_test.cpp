#include "schemas/routing_file.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::schemas {
namespace {

using policy::RoutingPolicy;
using policy::Tier;

const std::string otherwise = "[[rule]]\nname = \"otherwise\"\nstart = \"mini\"\n";

void expect_refused(const std::string& text, const std::vector<std::string>& words) {
  const auto result = parse_routing(text, "p.toml");
  ASSERT_FALSE(result) << text;
  EXPECT_EQ(result.error().code, ErrorCode::invalid_argument) << result.error().message;
  for (const auto& word : words) EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
}

TEST(RoutingFile, InDeployIsTheDefaultPolicy) {
  std::ifstream file(TROUPE_SOURCE_DIR "/deploy/policy.toml");
  std::stringstream text;
  text << file.rdbuf();
  const auto parsed = parse_routing(text.str(), "deploy/policy.toml");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, policy::default_policy());
}

TEST(RoutingFile, HasDefaultsForAllButItsRules) {
  const auto parsed = parse_routing(otherwise, "p.toml");
  ASSERT_TRUE(parsed) << parsed.error().message;
  RoutingPolicy expected;
  expected.rules.resize(1);
  expected.rules[0].name = "otherwise";
  EXPECT_EQ(*parsed, expected);
}

TEST(RoutingFile, ReadsEveryConditionAndAction) {
  const auto parsed = parse_routing(R"(
tiers = ["mini", "heavy"]
prompt_tokens.heavy = 100000
prompt_passages.mini = 2
when_unsure = "{source}: {quote}"
when_unsupported = "Nobody says so."
price.heavy = { prompt_million = 3, answer_million = 15.5 }
calibration.mini = [[0.5, 0.25], [1, 1]]
[[rule]]
name = "all"
start = "mini"
escalate = ["heavy"]
confidence_min = { mini = 1, heavy = 0.5 }
sample = "sampled"
temperature = 0.75
top_p = 0.5
second_opinion = ["heavy"]
cost_max = 2
[rule.when]
requested = ["mini", "heavy"]
assurance = ["high", "draft"]
priority = ["batch", "standard"]
latency_budget_ms_max = 86400000000
prompt_tokens_min = 1
prompt_tokens_max = 2
grounded = false
kind = ["follow_up", "unknown"]
tenant = ["archive", "press"]
retrieval_confidence_below = 0.6
kind_confidence_below = 0.7
[[rule]]
name = "otherwise"
start = "mini"
)",
                                    "p.toml");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->prompt_tokens, (policy::PerTier<std::int32_t>{1280, 1536, 100000}));
  EXPECT_EQ(parsed->prompt_passages, (policy::PerTier<std::int32_t>{2, 4, 5}));
  const policy::RouteRule& rule = parsed->rules.at(0);
  EXPECT_EQ(rule.when, (policy::RouteConditions{.requested = {Tier::mini, Tier::heavy},
                                                .assurance = {policy::Assurance::high, policy::Assurance::draft},
                                                .priority = {policy::Priority::batch, policy::Priority::standard},
                                                .latency_budget_ms_max = 86400000000,
                                                .prompt_tokens_min = 1,
                                                .prompt_tokens_max = 2,
                                                .grounded = false,
                                                .kind = {"follow_up", "unknown"},
                                                .tenant = {"archive", "press"},
                                                .retrieval_confidence_below = 0.6,
                                                .kind_confidence_below = 0.7}));
  EXPECT_EQ(rule.escalate, std::vector{Tier::heavy});
  EXPECT_EQ(rule.confidence_min, (policy::PerTier<double>{1, 0, 0.5}));
  EXPECT_EQ(rule.sample, policy::SampleAs::sampled);
  EXPECT_EQ(rule.sampling, (policy::Sampling{.temperature = 0.75F, .top_k = 0, .top_p = 0.5F, .min_p = 0}));
  EXPECT_EQ(rule.second_opinion, std::vector{Tier::heavy});
  EXPECT_EQ(rule.cost_max, 2);
  EXPECT_EQ(parsed->when_unsure, "{source}: {quote}");
  EXPECT_EQ(parsed->when_unsupported, "Nobody says so.");
  EXPECT_EQ(parsed->price[2], (policy::TokenPrice{3, 15.5}));
  EXPECT_EQ(parsed->calibration[0].points, (std::vector<policy::Calibration::Point>{{0.5, 0.25}, {1, 1}}));
}

TEST(RoutingFile, NamesTheLineTheKeyWhatWasSeenAndWhatIsExpected) {
  expect_refused("recent_tokens = \"many\"\n" + otherwise, {"p.toml:1:", "recent_tokens is \"many\"", "whole number"});
  expect_refused("\npassages_max = -1\n" + otherwise, {"p.toml:2:", "passages_max is -1"});
  expect_refused("passages_max = 2147483648\n" + otherwise, {"passages_max is 2147483648", "2147483647"});
  expect_refused("passages_max = 1.5\n" + otherwise, {"passages_max is 1.5"});
  expect_refused("passages_mx = 1\n" + otherwise, {"p.toml:1:", "passages_mx is not known", "passages_max"});
  expect_refused("tiers = \"mini\"\n" + otherwise, {"tiers is \"mini\"", "a list of mini, medium, heavy"});
  expect_refused("tiers = [\"tiny\"]\n" + otherwise, {"tiers is an array", "mini, medium, heavy"});
  expect_refused("prompt_tokens = 5\n" + otherwise, {"prompt_tokens is 5", "a table"});
  expect_refused("[prompt_tokens]\ntiny = 5\n" + otherwise, {"p.toml:2:", "prompt_tokens.tiny is not known"});
  expect_refused("when_all_failed = 2024-01-01\n" + otherwise, {"when_all_failed is a date"});
  expect_refused(otherwise + "start_with = 1\n", {"p.toml:4:", "rule[1].start_with is not known"});
  expect_refused(otherwise + "sample = \"loudly\"\n", {"p.toml:4:", "rule[1].sample is \"loudly\"", "as_asked, greedy"});
  expect_refused(otherwise + "confidence_min = { mini = 1.5 }\n", {"rule[1].confidence_min.mini is 1.5", "0 to 1"});
  expect_refused(otherwise + "confidence_min = { mini = nan }\n", {"rule[1].confidence_min.mini is nan"});
  expect_refused(otherwise + "when = { grounded = 1 }\n", {"rule[1].when.grounded is 1", "true or false"});
  expect_refused(otherwise + "when = { tier = \"mini\" }\n", {"rule[1].when.tier is not known", "requested"});
  expect_refused("price.mini = 3\n" + otherwise, {"price.mini is 3", "a table"});
  expect_refused("price.mini = { prompt_million = -3 }\n" + otherwise, {"price.mini.prompt_million is -3", "0 or more"});
  expect_refused("price.mini = { prompt_million = nan }\n" + otherwise, {"price.mini.prompt_million is nan"});
  expect_refused("calibration.mini = [[0, 2]]\n" + otherwise, {"calibration.mini is an array", "pairs of numbers from 0 to 1"});
  expect_refused("calibration.mini = [0.5]\n" + otherwise, {"calibration.mini is an array"});
  expect_refused(otherwise + "cost_max = \"cheap\"\n", {"rule[1].cost_max is \"cheap\""});
  expect_refused(otherwise + "when = { kind = [\"idea\"] }\n", {"rule[1].when.kind is an array", "lookup"});
  expect_refused(otherwise + "when = { kind = [\"chat\", \"idea\"] }\n",
                 {"p.toml:4:", "an array with \"idea\"", "out_of_scope, unknown"});
  expect_refused(otherwise + "when = { kind_confidence_below = 2 }\n", {"rule[1].when.kind_confidence_below is 2"});
  expect_refused("[[rule]]\nstart = \"mini\"\n", {"p.toml:1:", "rule[1].name is missing"});
  expect_refused("[[rule]]\nname = \"x\"\n", {"rule[1].start is missing"});
  expect_refused("rule = 5\n", {"rule is 5", "[[rule]]"});
  expect_refused("rule = [1, {}]\n", {"rule is an array", "tables"});
}

TEST(RoutingFile, IsCheckedAsAPolicyToo) {
  expect_refused("", {"p.toml", "0 rules"});
  expect_refused(otherwise + otherwise, {"p.toml", "\"otherwise\"", "twice"});
  expect_refused(otherwise + "escalate = [\"mini\"]\n", {"p.toml", "\"otherwise\"", "mini to mini"});
}

TEST(RoutingFile, RefusesWhatIsNoTomlAndWhatIsTooLong) {
  expect_refused("a = \nb = 1\n", {"p.toml:1:", "not TOML"});
  expect_refused("\xff\xfe", {"p.toml:1:", "not TOML"});
  expect_refused(std::string(4, '\0'), {"p.toml:1:", "not TOML"});
  expect_refused("a = " + std::string(20000, '['), {"not TOML"});
  const auto large = parse_routing(std::string(routing_file_bytes_max + 1, '#'), "p.toml");
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::too_large);
  std::string rules;
  for (int i = 0; i < 65; ++i) rules += "[[rule]]\nname = \"r" + std::to_string(i) + "\"\nstart = \"mini\"\n";
  expect_refused(rules, {"1 to 64 tables"});
}

TEST(RoutingFile, ReadsShadows) {
  const auto parsed = parse_routing(otherwise + R"(
[[shadow]]
name = "heavy for all"
share = 0.05
tier = "heavy"
[[shadow]]
name = "strict"
share = 1
policy = "strict.toml"
when = { tenant = ["press"], assurance = ["standard"] }
)",
                                    "p.toml");
  ASSERT_TRUE(parsed) << parsed.error().message;
  ASSERT_EQ(parsed->shadow.size(), 2U);
  EXPECT_EQ(parsed->shadow[0], (policy::ShadowExperiment{"heavy for all", 0.05, Tier::heavy, "", {}, {}}));
  EXPECT_EQ(parsed->shadow[1],
            (policy::ShadowExperiment{"strict", 1, std::nullopt, "strict.toml", {policy::Assurance::standard}, {"press"}}));
}

TEST(RoutingFile, NamesWhatIsWrongWithAShadow) {
  const std::string begun = otherwise + "[[shadow]]\nname = \"a\"\n";
  expect_refused(begun, {"p.toml:4: shadow[1].share is missing; every shadow has one"});
  expect_refused(begun + "share = 2\n", {"p.toml:6: shadow[1].share is 2, expected a number from 0 to 1"});
  expect_refused(begun + "share = 1\ntier = \"giant\"\n", {"p.toml:7: shadow[1].tier is \"giant\", expected one of mini"});
  expect_refused(begun + "share = 1\n", {"shadow \"a\" has neither a tier nor a policy"});
  expect_refused(begun + "share = 1\nwhen.kind = [\"chat\"]\n", {"shadow[1].when.kind is not known here", "assurance, tenant"});
  expect_refused(otherwise + "shadow = 1\n", {"shadow"});
  std::string many = otherwise;
  for (int i = 0; i < 5; ++i) many += "[[shadow]]\nname = \"" + std::to_string(i) + "\"\nshare = 1\ntier = \"mini\"\n";
  expect_refused(many, {"1 to 4 tables [[shadow]]"});
}

TEST(RoutingFile, IsPrintedSoThatItReadsTheSame) {
  RoutingPolicy policy = policy::default_policy();
  policy.portfolio = {Tier::mini, Tier::heavy};
  std::erase_if(policy.rules, [](const policy::RouteRule& rule) { return rule.start == Tier::medium; });
  policy.rules.back().uncited_min = {0.875, 1, 0};
  policy.when_all_failed = "a \"quote\", a \\, a line\nand \x01\x7f \xC2\xA7";
  policy.rules[0].name = "odd ]] name";
  policy.rules[0].when.priority = {policy::Priority::batch};
  policy.rules[0].when.requested = {Tier::medium, Tier::heavy};
  policy.rules[0].when.grounded = true;
  policy.rules[1].when.prompt_tokens_max = 5000;
  policy.rules[1].confidence_min = {0, 0, 1e-9};
  policy.rules[2].sample = policy::SampleAs::sampled;
  policy.rules[2].sampling.temperature = 0.1F;
  policy.rules[2].sampling.top_p = 0.9F;
  policy.rules[2].cost_max = 0.25;
  policy.rules[2].when.kind = {"multi_step"};
  policy.rules[2].when.tenant = {"a \"b\""};
  policy.rules[2].when.retrieval_confidence_below = 0.6;
  policy.rules[2].when.kind_confidence_below = 0.7;
  policy.intent.prompt = "Say \"what\" it is:\n";
  policy.intent.confidence_min = 0.25;
  policy.intent.out_of_scope_confidence_min = 0.125;
  policy.intent.tier = Tier::heavy;
  policy.intent.unknown = {"unknown", false, false, true};
  policy.intent.labels.push_back({"a \"b\"", false, true, true});
  policy.intent.out_of_scope_answer = "{quote}\n";
  policy.rules.back().second_opinion = {Tier::medium};
  policy.prompt_passages = {0, 3, 64};
  policy.when_unsure = "\"{quote}\" {source}";
  policy.when_unsupported.clear();
  policy.price = {policy::TokenPrice{0.1, 0}, {}, {3, 15}};
  policy.calibration[2].points = {{0.1, 0.05}, {1, 0.9}};
  policy.shadow = {{"all \"of\" it", 0.05, Tier::heavy, "", {}, {}},
                   {"other", 1, std::nullopt, "other.toml", {policy::Assurance::draft}, {"press", "archive"}}};
  policy.contracts[policy::place_of(policy::Stage::intent)] = {1, 100, 4, policy::Fallback::unknown};
  policy.contracts[policy::place_of(policy::Stage::reasoning)] = {8000, 1792, 64, policy::Fallback::quote};
  policy.contracts[policy::place_of(policy::Stage::retrieval)].fallback = policy::Fallback::refuse;
  policy.contracts[policy::place_of(policy::Stage::summary)].fallback = policy::Fallback::wait;
  ASSERT_TRUE(policy::validate(policy));
  for (const RoutingPolicy& each : {policy, policy::default_policy()}) {
    const auto parsed = parse_routing(to_toml(each), "printed");
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(*parsed, each) << to_toml(each);
  }
}

TEST(RoutingFile, ReadsAnIntentWithLabelsOfItsOwn) {
  const auto parsed = parse_routing(R"(
[intent]
prompt = "You name the intent."
labels = ["translate", "transfer", "greeting", "oos"]
ungrounded = ["greeting", "unknown"]
out_of_scope = ["oos", "unknown"]
confidence_min = 0.5
tier = "medium"
out_of_scope_answer = ""
[[rule]]
name = "money"
when = { kind = ["transfer", "unknown"], kind_confidence_below = 0.9 }
start = "heavy"
[[rule]]
name = "otherwise"
start = "mini"
)",
                                    "p.toml");
  ASSERT_TRUE(parsed) << parsed.error().message;
  policy::Intent expected;
  expected.prompt = "You name the intent.";
  expected.labels = {{"translate"}, {"transfer"}, {"greeting", false}, {"oos", true, false, true}};
  expected.unknown = {"unknown", false, false, true};
  expected.confidence_min = 0.5;
  expected.out_of_scope_confidence_min = policy::handbook_intent().out_of_scope_confidence_min;
  expected.tier = Tier::medium;
  EXPECT_EQ(parsed->intent, expected);
  EXPECT_EQ(parsed->rules[0].when.kind, (std::vector<std::string>{"transfer", "unknown"}));
}

TEST(RoutingFile, ChangesOfAnIntentWhatItNames) {
  const auto parsed = parse_routing("[intent]\nungrounded = [\"chat\"]\n" + otherwise, "p.toml");
  ASSERT_TRUE(parsed) << parsed.error().message;
  policy::Intent expected = policy::handbook_intent();
  for (policy::IntentLabel& label : expected.labels) label.grounded = label.name != "chat";
  EXPECT_EQ(parsed->intent, expected);
}

TEST(RoutingFile, RefusesAnIntentThatIsNone) {
  const auto intent = [](const std::string& lines) { return "[intent]\n" + lines + otherwise; };
  expect_refused(intent("labels = [\"a\"]\n"), {"p.toml:1:", "intent.prompt is missing", "labels of its own"});
  expect_refused(intent("labels = [5]\nprompt = \"p\"\n"), {"p.toml:2:", "intent.labels is an array with 5"});
  expect_refused(intent("labels = \"a\"\nprompt = \"p\"\n"), {"intent.labels is \"a\", expected a list of names"});
  expect_refused(intent("labels = []\nprompt = \"p\"\n"), {"intent.labels has 0 names"});
  expect_refused(intent("labels = [\"a\", \"a\"]\nprompt = \"p\"\n"), {"\"a\" of intent is there twice"});
  expect_refused(intent("out_of_scope = [\"oos\"]\n"), {"p.toml:2:", "intent.out_of_scope is an array with \"oos\"", "lookup"});
  expect_refused(intent("tier = \"tiny\"\n"), {"intent.tier is \"tiny\"", "mini, medium, heavy"});
  expect_refused(intent("confidence_min = 1.1\n"), {"intent.confidence_min is 1.1", "0 to 1"});
  expect_refused(intent("label = [\"a\"]\n"), {"intent.label is not known", "labels"});
  expect_refused("intent = 3\n" + otherwise, {"intent is 3", "a table"});
  expect_refused("tiers = [\"mini\"]\n" + intent("tier = \"heavy\"\n"), {"intent.tier is heavy, which is not among"});
  std::string many;
  for (int i = 0; i < 256; ++i) many += "\"l" + std::to_string(i) + "\", ";
  expect_refused(intent("labels = [" + many + "]\nprompt = \"p\"\n"), {"intent.labels is an array", "at most 255"});
}

/// The labels that the bundled models were taught beside their own: 151 with a short prompt.
TEST(RoutingFile, HoldsTheLabelsOfAPublicSet) {
  std::ifstream file(TROUPE_SOURCE_DIR "/portfolio/eval/clinc_test.jsonl");
  RoutingPolicy policy = policy::default_policy();
  policy.intent.prompt = "You name the intent.";
  policy.intent.labels.clear();
  const std::string before = "\"answer\":\"";
  for (std::string line; std::getline(file, line);) {
    const std::size_t at = line.find(before) + before.size();
    const std::string label = line.substr(at, line.find('"', at) - at);
    if (!policy.intent.knows(label)) policy.intent.labels.push_back({label, true, false, label == "out_of_scope"});
  }
  ASSERT_EQ(policy.intent.labels.size(), 151U);
  policy.rules = {policy.rules.front(), policy.rules.back()};  // "compare" is none of them
  policy.rules[0].when.kind.assign(1, policy.intent.labels.back().name);
  ASSERT_TRUE(policy::validate(policy)) << policy::validate(policy).error().message;
  const auto parsed = parse_routing(to_toml(policy), "printed");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(*parsed, policy);
  policy.rules[0].when.kind = {"fly_to_the_moon"};
  EXPECT_NE(parse_routing(to_toml(policy), "printed").error().message.find("(151 in all)"), std::string::npos);
}

TEST(RoutingFile, SurvivesDamage) {
  const std::string whole = to_toml(policy::default_policy());
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    std::string text = whole.substr(0, random.below(whole.size() + 1));
    for (std::uint64_t i = random.below(4); i > 0 && !text.empty(); --i) {
      text[random.below(text.size())] = static_cast<char>(random.below(256));
    }
    const auto parsed = parse_routing(text, "damaged");
    if (!parsed) {
      EXPECT_EQ(parsed.error().message.rfind("damaged", 0), 0U) << parsed.error().message;
    } else {
      EXPECT_TRUE(policy::validate(*parsed));
    }
  }
}

}  // namespace
}  // namespace troupe::schemas
