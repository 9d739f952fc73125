#include "policy/intent.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "policy/routing.hpp"
#include "policy/routing_check.hpp"

namespace troupe::policy {
namespace {

TEST(Intent, OfTheBundledModelsIsWhatTheyWereTrainedOn) {
  const Intent intent = handbook_intent();
  EXPECT_TRUE(check(intent).empty());
  const std::vector<std::pair<std::string, bool>> labels = {{"lookup", true},       {"compare", true},    {"multi_step", true},
                                                            {"chat", false},        {"summarize", false}, {"follow_up", true},
                                                            {"out_of_scope", false}};
  ASSERT_EQ(intent.labels.size(), labels.size());
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const IntentLabel& label = intent.labels[i];
    EXPECT_EQ(label.name, labels[i].first);
    EXPECT_EQ(label.grounded, labels[i].second) << label.name;
    EXPECT_EQ(label.follow_up, label.name == "follow_up");
    EXPECT_EQ(label.out_of_scope, label.name == "out_of_scope");
  }
  EXPECT_TRUE(intent.unknown.grounded) << "with passages that do not help, the models say so";
  std::ifstream file(TROUPE_SOURCE_DIR "/portfolio/training/chat.py");
  std::stringstream profile;
  profile << file.rdbuf();
  EXPECT_NE(profile.str().find("\"classify\": \"" + intent.prompt + "\","), std::string::npos);
  std::ifstream replies(TROUPE_SOURCE_DIR "/portfolio/training/smalltalk.py");
  std::stringstream taught;
  taught << replies.rdbuf();
  EXPECT_NE(taught.str().find("\"out_of_scope\": \"" + intent.out_of_scope_answer + "\","), std::string::npos)
      << "what comes to stand in later prompts is what the models know";
}

TEST(Intent, IsAskedForWithThePolicysPrompt) {
  EXPECT_EQ(classify_messages("You name the intent.", "Why?"),
            (std::vector<Message>{{"system", "You name the intent."}, {"user", "Why?"}}));
  EXPECT_EQ(classify_messages("", "Why?")[0].content, handbook_intent().prompt) << "a home of an older version says none";
}

TEST(Intent, ReadsAReplyThatIsALabelAndNothingElse) {
  const Intent intent = handbook_intent();
  for (const IntentLabel& label : intent.labels) EXPECT_EQ(intent.read(label.name, 0.99), (TakenFor{label.name, "", 0.99}));
  EXPECT_EQ(intent.read(" lookup\n", 0.01), (TakenFor{"lookup", "", 0.01})) << "by default any label is sure enough";
  for (const char* reply : {"", "unknown", "Lookup", "lookup compare", "look"})
    EXPECT_EQ(intent.read(reply, 0.9), (TakenFor{"unknown", "", std::nullopt})) << reply;
}

TEST(Intent, TakesWhatIsNotSureEnoughForUnknownAndKeepsWhatWasSaid) {
  Intent intent = handbook_intent();
  intent.out_of_scope_confidence_min = 0.75;
  EXPECT_EQ(intent.read("out_of_scope", 0.75).label, "out_of_scope");
  EXPECT_EQ(intent.read("out_of_scope", 0.74), (TakenFor{"unknown", "out_of_scope", 0.74}));
  EXPECT_EQ(intent.read("chat", 0.1).label, "chat");
  intent.confidence_min = 0.5;
  EXPECT_EQ(intent.read("chat", 0.5).label, "chat");
  EXPECT_EQ(intent.read("chat", 0.49), (TakenFor{"unknown", "chat", 0.49}));
  EXPECT_EQ(intent.read("chat", std::nan("")).label, "unknown");
  intent.confidence_min = 0.9;
  EXPECT_EQ(intent.read("out_of_scope", 0.8).label, "unknown") << "what any label needs, this one needs too";
  EXPECT_EQ(intent.judge("chat", std::nullopt).label, "unknown");
}

TEST(Intent, FindsALabelOrTreatsItAsUnknown) {
  Intent intent = handbook_intent();
  intent.unknown.grounded = false;
  EXPECT_EQ(intent.label("chat").name, "chat");
  EXPECT_EQ(intent.label("of another policy"), intent.unknown);
  EXPECT_TRUE(intent.knows("unknown"));
  EXPECT_FALSE(intent.knows("of another policy"));
}

TEST(Intent, LetsAReplyBeAsLongAsItsLongestLabel) {
  Intent intent = handbook_intent();
  EXPECT_EQ(intent.reply_tokens_max(), 16);
  intent.labels.push_back({std::string(40, 'x')});
  EXPECT_EQ(intent.reply_tokens_max(), 41) << "a token is a byte at least, and the end is one";
}

TEST(Intent, AnswersWhatIsOutOfScopeItselfIfItIsToBeChecked) {
  Intent intent = handbook_intent();
  Ask ask;
  EXPECT_EQ(answer_out_of_scope(intent, ask, "out_of_scope"), intent.out_of_scope_answer);
  for (const char* other : {"lookup", "chat", "unknown", "of another policy"})
    EXPECT_FALSE(answer_out_of_scope(intent, ask, other)) << other;
  ask.assurance = Assurance::draft;
  EXPECT_FALSE(answer_out_of_scope(intent, ask, "out_of_scope"));
  ask.assurance = Assurance::standard;
  for (const Grounding grounding : {Grounding::always, Grounding::never}) {
    ask.grounding = grounding;
    EXPECT_FALSE(answer_out_of_scope(intent, ask, "out_of_scope")) << "the client has decided";
  }
  ask.grounding = Grounding::automatic;
  intent.unknown.out_of_scope = true;
  EXPECT_TRUE(answer_out_of_scope(intent, ask, "unknown")) << "if the policy says so";
  intent.out_of_scope_answer.clear();
  EXPECT_FALSE(answer_out_of_scope(intent, ask, "out_of_scope"));
}

TEST(Intent, SaysWhatIsWrongWithIt) {
  const auto faults = [](const auto& spoil) {
    Intent intent = handbook_intent();
    spoil(intent);
    std::string all;
    for (const Error& error : check(intent)) all += error.message + "\n";
    return all;
  };
  const auto expect = [&](const auto& spoil, const std::string& words) {
    EXPECT_NE(faults(spoil).find(words), std::string::npos) << words << " in " << faults(spoil);
  };
  expect([](Intent& i) { i.prompt = " \n"; }, "intent.prompt is empty");
  expect([](Intent& i) { i.prompt.assign(4097, 'x'); }, "intent.prompt has 4097 bytes");
  expect([](Intent& i) { i.out_of_scope_answer.assign(4097, 'x'); }, "intent.out_of_scope_answer has 4097 bytes");
  expect([](Intent& i) { i.labels.clear(); }, "intent.labels has 0 names");
  expect([](Intent& i) { i.labels.assign(256, {"x"}); }, "intent.labels has 256 names, expected 1 to 255");
  expect([](Intent& i) { i.labels.push_back({"chat"}); }, "\"chat\" of intent is there twice");
  expect([](Intent& i) { i.labels.push_back({"unknown"}); }, "choose another name");
  expect([](Intent& i) { i.labels.push_back({""}); }, "has 0 bytes");
  expect([](Intent& i) { i.labels.push_back({std::string(65, 'x')}); }, "has 65 bytes, expected 1 to 64");
  expect([](Intent& i) { i.labels.push_back({std::string(100000, 'x')}); }, "xxx...\" of intent has 100000 bytes");
  EXPECT_LT(faults([](Intent& i) { i.labels.push_back({std::string(100000, 'x')}); }).size(), 300U);
  expect([](Intent& i) { i.labels.push_back({"a\xef\xbf\xbd"}); }, "cannot be a reply: it has bytes that are no text");
  expect([](Intent& i) { i.labels.push_back({"a\xff"}); }, "cannot be a reply: it has bytes that are no text");
  expect([](Intent& i) { i.labels.push_back({" chat"}); }, "cannot be a reply");
  expect([](Intent& i) { i.labels.push_back({"a\tb"}); }, "cannot be a reply");
  expect([](Intent& i) { i.confidence_min = 1.5; }, "intent.confidence_min is 1.5");
  expect([](Intent& i) { i.out_of_scope_confidence_min = std::numeric_limits<double>::quiet_NaN(); },
         "intent.out_of_scope_confidence_min is");
}

TEST(Intent, OfAPolicyIsCheckedWithIt) {
  RoutingPolicy policy = default_policy();
  EXPECT_EQ(policy.classifier(), Tier::mini);
  policy.intent.tier = Tier::heavy;
  EXPECT_EQ(policy.classifier(), Tier::heavy);
  policy.portfolio = {Tier::mini};
  policy.rules.resize(1);
  policy.rules[0].when = {};
  EXPECT_NE(validate(policy).error().message.find("intent.tier is heavy"), std::string::npos);
  policy = default_policy();
  policy.rules[0].when.kind = {"lookup", "idea"};
  const std::string unknown = validate(policy).error().message;
  EXPECT_NE(unknown.find("\"tight\""), std::string::npos) << unknown;
  EXPECT_NE(unknown.find("\"idea\", which is no label of intent; it has lookup, compare"), std::string::npos) << unknown;
  policy = default_policy();
  policy.intent.labels.assign(300, {"x"});
  EXPECT_FALSE(validate(policy)) << "and nothing grows with what is too many";
}

/// One label may begin as another: a reply is one or the other, whole.
TEST(Intent, TellsALabelFromOneThatItBegins) {
  Intent intent = handbook_intent();
  intent.labels = {{"transfer"}, {"transfer abroad"}, {"Transfer"}};
  EXPECT_TRUE(check(intent).empty());
  EXPECT_EQ(intent.read("transfer", 0.9).label, "transfer");
  EXPECT_EQ(intent.read("transfer abroad", 0.9).label, "transfer abroad");
  EXPECT_EQ(intent.read("Transfer", 0.9).label, "Transfer");
  EXPECT_EQ(intent.read("transfer abr", 0.9).label, "unknown");
  EXPECT_EQ(intent.read("transfer\ntransfer", 0.9).label, "unknown");
}

TEST(Intent, IsWarnedOfWhereItsKindsWouldAlwaysBeUnknown) {
  const auto warned = [](const RoutingPolicy& policy) {
    EXPECT_TRUE(validate(policy));
    const auto findings = check(policy);
    return findings.empty() ? std::string() : findings[0].message;
  };
  RoutingPolicy policy = default_policy();
  policy.intent.prompt.assign(4000, 'x');
  EXPECT_NE(warned(policy).find("intent.prompt has about 1334 tokens, and mini, which classifies, reads at most 1280"),
            std::string::npos)
      << warned(policy);
  policy.intent.tier = Tier::heavy;
  EXPECT_EQ(warned(policy), "") << "heavy reads more";
  Contract& contract = policy.contracts[place_of(Stage::intent)];
  contract.prompt_tokens_max = 1700;
  EXPECT_EQ(warned(policy), "") << "of whoever classifies";
  contract.prompt_tokens_max.reset();
  policy.intent.prompt = "You name the intent.";
  contract.answer_tokens_max = 16;
  EXPECT_EQ(warned(policy), "");
  policy.intent.labels.push_back({"a label of more than sixteen bytes"});
  EXPECT_NE(warned(policy).find("a label of 34 bytes may take as many tokens and one for its end"), std::string::npos)
      << warned(policy);
}

TEST(Intent, NamesItsLabelsButNotHundreds) {
  Intent intent = handbook_intent();
  EXPECT_EQ(names_of(intent), "lookup, compare, multi_step, chat, summarize, follow_up, out_of_scope, unknown");
  intent.labels.clear();
  for (int i = 0; i < 151; ++i) intent.labels.push_back({"label_" + std::to_string(i)});
  EXPECT_NE(names_of(intent).find("label_11, ... (151 in all), unknown"), std::string::npos) << names_of(intent);
}

TEST(Intent, DecidesTheRouteByHowSureItIs) {
  RoutingPolicy policy = default_policy();
  RouteRule rule;
  rule.name = "vague";
  rule.when.kind_confidence_below = 0.6;
  rule.start = Tier::heavy;
  policy.rules.insert(policy.rules.begin(), rule);
  ASSERT_TRUE(validate(policy));
  EXPECT_TRUE(policy.asks_for_kind());
  RouteFacts facts;
  facts.kind = "chat";
  facts.served = {tiers.begin(), tiers.end()};
  facts.kind_confidence = 0.59321;
  EXPECT_EQ(route(policy, facts)->rule, "vague");
  EXPECT_NE(route(policy, facts)->why.find("the confidence of its kind is 0.5932 (below 0.6)"), std::string::npos);
  facts.kind_confidence = 0.6;
  EXPECT_EQ(route(policy, facts)->rule, "standard");
  facts.kind_confidence.reset();
  EXPECT_EQ(route(policy, facts)->rule, "standard") << "nothing is known of it";
  policy.rules[0].when.kind_confidence_below = 0;
  EXPECT_NE(validate(policy).error().message.find("kind_confidence_below is 0"), std::string::npos);
}

}  // namespace
}  // namespace troupe::policy
