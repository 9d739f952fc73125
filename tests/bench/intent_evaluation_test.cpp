#include "bench/intent_evaluation.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "bench/intent_page.hpp"
#include "tests/support/page_check.hpp"

namespace troupe::bench {
namespace {

struct Case {
  std::string label;
  std::string said;
  double confidence = 0;
};

IntentSet set_of(const std::vector<Case>& cases, std::string prompt = "Name it.") {
  IntentSet set{std::move(prompt), {}};
  for (const Case& each : cases) {
    const int line = static_cast<int>(set.rows.size()) + 1;
    set.rows.push_back({line, std::to_string(line), "play", each.label});
  }
  return set;
}

IntentScores scores_of(const std::vector<Case>& cases, const IntentJudge& judge = {}) {
  std::vector<IntentReply> replies;
  for (const Case& each : cases) replies.push_back({each.said, each.confidence, 10, {}});
  replies.front().latency = std::chrono::milliseconds(4);
  replies.back().latency = std::chrono::milliseconds(2);
  return sum_up("mini", set_of(cases), replies, judge, 3);
}

const std::vector<Case> mixed = {{"music", "music", 0.9},        {"music", "timer", 0.6},
                                 {"timer", "timer", 0.8},        {"timer", "out_of_scope", 0.4},
                                 {"out_of_scope", "music", 0.3}, {"out_of_scope", "out_of_scope", 0.95}};

TEST(IntentScores, CountWhatIsRightAndWhatIsOutOfScope) {
  const IntentScores scores = scores_of(mixed);
  EXPECT_EQ(scores.tier, "mini");
  EXPECT_EQ(scores.rows, 6U);
  EXPECT_DOUBLE_EQ(scores.accuracy, 0.5);
  EXPECT_DOUBLE_EQ(*scores.accuracy_in_scope, 0.5);
  EXPECT_DOUBLE_EQ(*scores.out_of_scope_recall, 0.5);
  EXPECT_DOUBLE_EQ(*scores.out_of_scope_precision, 0.5);
  EXPECT_EQ(scores.no_label, 0U);
  EXPECT_EQ(scores.cost, 180U);
  EXPECT_EQ(scores.latencies_ms, (std::vector<double>{2, 4}));
  EXPECT_EQ(scores.p50_ms, 2);
  EXPECT_EQ(scores.p95_ms, 4);
  EXPECT_EQ(scores.labels.at("music").rows, 2U);
  EXPECT_EQ(scores.labels.at("music").said, 2U);
  EXPECT_EQ(scores.labels.at("music").right, 1U);
  EXPECT_EQ(scores.labels.at("music").instead, (std::map<std::string, std::size_t>{{"timer", 1}}));
  EXPECT_FALSE(scores.by_policy) << "the set's labels are not the policy's";
  // In scope, by rising confidence: 0.6, 0.8, 0.9, and one that is said to be out; out of scope: 0.3, and one that is said to
  // be.
  EXPECT_DOUBLE_EQ(*scores.out_of_scope_auroc, 7.0 / 8.0);
}

TEST(IntentScores, ShowWhatComesOfTakingTheUnsureForOutOfScope) {
  const IntentScores scores = scores_of(mixed);
  ASSERT_GT(scores.cuts.size(), 3U);
  EXPECT_EQ(scores.cuts.front().confidence_min, 0);
  EXPECT_EQ(scores.cuts.front().out_of_scope_recall, scores.out_of_scope_recall);
  for (const IntentCut& cut : scores.cuts) {
    if (cut.confidence_min != 0.5) continue;
    EXPECT_DOUBLE_EQ(*cut.out_of_scope_recall, 1);
    EXPECT_DOUBLE_EQ(*cut.accuracy_in_scope, 0.5);
    EXPECT_DOUBLE_EQ(*cut.out_of_scope_precision, 2.0 / 3.0);
  }
  for (std::size_t i = 1; i < scores.cuts.size(); ++i) {
    EXPECT_LT(scores.cuts[i - 1].confidence_min, scores.cuts[i].confidence_min);
    EXPECT_LE(scores.cuts[i - 1].out_of_scope_recall, scores.cuts[i].out_of_scope_recall);
    EXPECT_GE(scores.cuts[i - 1].accuracy_in_scope, scores.cuts[i].accuracy_in_scope);
  }
}

TEST(IntentScores, OfNothingOutOfScopeSayNothingOfIt) {
  const IntentScores scores = scores_of({{"music", "music", 0.5}, {"timer", "alarm clock", 0.5}});
  EXPECT_FALSE(scores.out_of_scope_recall);
  EXPECT_FALSE(scores.out_of_scope_precision);
  EXPECT_FALSE(scores.out_of_scope_auroc);
  EXPECT_TRUE(scores.cuts.empty());
  EXPECT_EQ(scores.no_label, 1U);
  EXPECT_DOUBLE_EQ(scores.calibration_error, 0);
}

TEST(IntentScores, SayWhatThePolicyMakesOfTheReplies) {
  policy::Intent intent;
  intent.prompt = "Name it.";
  intent.labels = {{"music"}, {"timer"}, {"nonsense", false, false, true}};
  intent.confidence_min = 0.5;
  intent.out_of_scope_confidence_min = 0.9;
  const std::vector<Case> cases = {{"music", "music", 0.6},        {"music", "music", 0.4},       {"timer", "nonsense", 0.95},
                                   {"nonsense", "nonsense", 0.95}, {"nonsense", "nonsense", 0.8}, {"timer", "no label", 0.9}};
  const auto judge = judge_of(set_of(cases), intent, "f.jsonl");
  ASSERT_TRUE(judge) << judge.error().message;
  const IntentScores scores = scores_of(cases, *judge);
  ASSERT_TRUE(scores.by_policy);
  EXPECT_DOUBLE_EQ(scores.by_policy->accuracy, 2.0 / 6.0);
  EXPECT_EQ(scores.by_policy->unknown, 3U);
  EXPECT_DOUBLE_EQ(*scores.by_policy->refused, 0.5);
  EXPECT_EQ(scores.by_policy->refused_in_scope, 1U);
  EXPECT_DOUBLE_EQ(*scores.out_of_scope_recall, 1) << "as the model said it, whatever the policy makes of that";
  intent.unknown.out_of_scope = true;
  const IntentScores refusing = scores_of(cases, *judge);
  EXPECT_EQ(refusing.by_policy->refused_in_scope, 3U) << "what is unknown is answered so too";
  EXPECT_EQ(refusing.no_label, 1U);
  EXPECT_EQ(refusing.out_of_scope_precision, scores.out_of_scope_precision) << "what is no label was not said to be anything";
}

TEST(IntentScores, AreOfThePolicyOnlyIfItsPromptIsTheSets) {
  policy::Intent intent;
  intent.prompt = "Another.";
  intent.labels = {{"music"}};
  EXPECT_EQ(judge_of(set_of(mixed), intent, "f.jsonl")->intent, nullptr);
  intent.prompt = "Name it.";
  const auto judge = judge_of(set_of(mixed), intent, "f.jsonl");
  ASSERT_FALSE(judge);
  EXPECT_EQ(judge.error().code, ErrorCode::not_found);
  EXPECT_NE(judge.error().message.find("f.jsonl:3: answer is \"timer\""), std::string::npos) << judge.error().message;
}

TEST(IntentPage, ShowsFewLabelsAllWithAllAndOfManyTheWorst) {
  const IntentSetting setting{"f.jsonl", "Name <it>.", "default", "cpu"};
  const std::string small = page_of(setting, std::vector{scores_of(mixed)});
  EXPECT_NE(small.find("is, and was taken for"), std::string::npos);
  EXPECT_NE(small.find("Name &lt;it&gt;."), std::string::npos);
  EXPECT_EQ(tests::count_of(small, "<svg"), 2U);
  EXPECT_EQ(tests::problems_of_page(small), std::vector<std::string>());
  std::vector<Case> many = mixed;
  for (int i = 0; i < 20; ++i) many.push_back({"label" + std::to_string(i), i < 3 ? "" : "label" + std::to_string(i), 0.5});
  const IntentScores scores = scores_of(many);
  const auto worst = worst_labels(scores, 2);
  ASSERT_EQ(worst.size(), 2U);
  EXPECT_EQ(worst[0].name, "label0");
  EXPECT_EQ(worst[0].mostly, "nothing");
  EXPECT_EQ(worst_labels(scores, 100).size(), 6U) << "those that are all right are not among them";
  const std::string large = page_of(setting, std::vector{scores});
  EXPECT_EQ(large.find("is, and was taken for"), std::string::npos);
  EXPECT_NE(large.find("mostly taken for"), std::string::npos);
  EXPECT_EQ(tests::problems_of_page(large), std::vector<std::string>());
}

}  // namespace
}  // namespace troupe::bench
