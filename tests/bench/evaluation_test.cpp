#include "bench/evaluation.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "bench/evaluation_page.hpp"
#include "tests/support/page_check.hpp"

namespace troupe::bench {
namespace {

using policy::Tier;
using tests::count_of;
using tests::problems_of_page;

JudgedAnswer answer_of(double confidence, bool right) {
  JudgedAnswer answer;
  answer.id = "q";
  answer.sections = 1;
  answer.verdict = {true, right, right, false, 1, right ? 1 : 0, true};
  answer.attempts = 1;
  answer.confidence = confidence;
  answer.confident = confidence >= 0.8;
  answer.latency = std::chrono::milliseconds(10);
  return answer;
}

JudgedAnswer unanswerable(bool abstained) {
  JudgedAnswer answer = answer_of(0.9, abstained);
  answer.answerable = false;
  answer.sections = 0;
  answer.verdict.abstained = abstained;
  answer.verdict.cited = abstained ? 0 : 2;
  answer.verdict.cited_rightly = 0;
  return answer;
}

TEST(Evaluations, SumUp) {
  std::vector<JudgedAnswer> answers = {answer_of(0.95, true), answer_of(0.85, true), answer_of(0.85, false), unanswerable(true),
                                       unanswerable(false)};
  answers[0].difficulty = answers[2].difficulty = "direct";
  answers[2].verdict.abstained = true;
  answers[2].verdict.cited = 0;
  answers[1].attempts = 2;
  answers[1].tier = Tier::heavy;
  answers[1].work[2] = {10, 1000};
  const EvaluationRow row = sum_up("portfolio", answers, {{{50, 500}, {}, {10, 1000}}});
  EXPECT_EQ(row.tier, "portfolio");
  EXPECT_EQ(row.questions, 5U);
  EXPECT_EQ(row.answered, 5U);
  EXPECT_DOUBLE_EQ(row.accuracy, 0.6);
  EXPECT_DOUBLE_EQ(*row.abstention_recall, 0.5);
  EXPECT_DOUBLE_EQ(*row.abstention_precision, 0.5);
  EXPECT_DOUBLE_EQ(*row.citation_precision, 0.5);  // two of four
  EXPECT_DOUBLE_EQ(*row.citation_recall, 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(row.confident, 1);
  EXPECT_DOUBLE_EQ(*row.confident_accuracy, 0.6);
  EXPECT_EQ(row.cost, 1500U);
  EXPECT_EQ(row.answers_cost, 1000U);
  EXPECT_EQ(row.escalated, 1U);
  EXPECT_EQ(row.answered_by, (policy::PerTier<std::size_t>{4, 0, 1}));
  EXPECT_EQ(row.difficulties, (std::map<std::string, double>{{"direct", 0.5}}));
}

TEST(Evaluations, HaveNoShareOfNothing) {
  const EvaluationRow row = sum_up("mini", std::vector<JudgedAnswer>{unanswerable(true)}, {});
  EXPECT_FALSE(row.citation_precision);
  EXPECT_FALSE(row.citation_recall);
  EXPECT_FALSE(row.found);
  EXPECT_FALSE(sum_up("mini", std::vector<JudgedAnswer>{answer_of(1, true)}, {}).abstention_recall);
  const EvaluationRow none = sum_up("mini", {}, {});
  EXPECT_EQ(none.accuracy, 0);
  EXPECT_EQ(none.p95_ms, 0);
  EXPECT_EQ(none.calibration_error, 0);
}

TEST(Evaluations, CountWhatWasNotAnsweredAsWrong) {
  JudgedAnswer failed;
  failed.sections = 1;
  failed.latency = std::chrono::milliseconds(1);
  failed.error = "it was too long";
  const EvaluationRow row = sum_up("mini", std::vector<JudgedAnswer>{answer_of(1, true), failed}, {});
  EXPECT_EQ(row.first_error, "it was too long");
  EXPECT_DOUBLE_EQ(row.accuracy, 0.5);
  EXPECT_EQ(row.answered, 1U);
  EXPECT_EQ(row.answered_by[0], 1U);
  EXPECT_DOUBLE_EQ(row.calibration_error, 0);  // of what had a confidence
}

// portfolio/training/evaluate.py's calibration_error([0.05, 0.12, 0.18, 0.95, 1.0], [False, True, False, True, True]) is 0.16.
TEST(Evaluations, CalibrateAsTheReferenceDoes) {
  const std::vector<JudgedAnswer> answers = {answer_of(0.05, false), answer_of(0.12, true), answer_of(0.18, false),
                                             answer_of(0.95, true), answer_of(1.0, true)};
  const EvaluationRow row = sum_up("mini", answers, {});
  EXPECT_NEAR(row.calibration_error, 0.16, 1e-12);
  EXPECT_EQ(row.reliability[1].answers, 2U);
  EXPECT_DOUBLE_EQ(row.reliability[1].right, 0.5);
  EXPECT_EQ(row.reliability[9].answers, 2U);
}

TEST(Evaluations, TakeTheNearestRankOfLatencies) {
  std::vector<JudgedAnswer> answers;
  for (int i = 20; i >= 1; --i) {
    answers.push_back(answer_of(1, true));
    answers.back().latency = std::chrono::milliseconds(i);
  }
  const EvaluationRow row = sum_up("mini", answers, {});
  EXPECT_DOUBLE_EQ(row.p50_ms, 10);
  EXPECT_DOUBLE_EQ(row.p95_ms, 19);
  EXPECT_DOUBLE_EQ(sum_up("mini", std::span(answers).first(1), {}).p50_ms, 20);
}

TEST(Evaluations, PayForWhatWasComputed) {
  policy::Turn turn;
  turn.attempts.resize(3);
  turn.attempts[0].result.emplace();
  turn.attempts[0].result->prompt_tokens = 100;
  turn.attempts[0].result->reused_tokens = 40;
  turn.attempts[0].result->generated_tokens = 5;
  turn.attempts[0].result->active_parameters = 10;
  turn.attempts[1] = turn.attempts[0];
  turn.attempts[1].plan.tier = Tier::heavy;
  turn.attempts[1].result->active_parameters = 1000;
  const Work work = work_of(turn);  // the third has no result
  EXPECT_EQ(work[0], (TierWork{65, 650}));
  EXPECT_EQ(work[1], TierWork{});
  EXPECT_EQ(work[2], (TierWork{65, 65000}));
  EXPECT_EQ(cost_of(work), 65650U);

  policy::ClusterView view;
  view.nodes.resize(2);
  view.nodes[0].replicas.resize(1);
  view.nodes[0].replicas[0].tier = Tier::medium;
  view.nodes[0].replicas[0].active_parameters = 7;
  view.nodes[0].replicas[0].prompt_tokens = 10;
  view.nodes[0].replicas[0].reused_tokens = 4;
  view.nodes[0].replicas[0].generated_tokens = 2;
  view.nodes[1] = view.nodes[0];
  const Work before = work_of(view);
  EXPECT_EQ(before[1], (TierWork{16, 112}));
  view.nodes[0].replicas[0].generated_tokens += 1;
  EXPECT_EQ(difference(work_of(view), before)[1], (TierWork{1, 7}));
}

TEST(Evaluations, ReadATurn) {
  Question question;
  question.id = "q";
  question.answer = "Yes.";
  policy::Turn turn;
  turn.attempts.resize(2);
  turn.attempts[1].plan.attempt = 1;
  turn.attempts[1].plan.tier = Tier::medium;
  turn.outcome.emplace();
  turn.outcome->committed = true;
  turn.outcome->answer = "Yes.";
  turn.outcome->attempt = 1;
  turn.outcome->confidence = 1.5;
  turn.outcome->confident = true;
  const JudgedAnswer answer = judged(question, {}, turn, std::chrono::milliseconds(3));
  EXPECT_TRUE(answer.verdict.right);
  EXPECT_EQ(answer.tier, Tier::medium);
  EXPECT_EQ(answer.attempts, 2U);
  EXPECT_EQ(answer.confidence, 1);  // no more than that, whatever came
  turn.outcome->confidence = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(judged(question, {}, turn, {}).confidence, 0);
}

EvaluationRow row_of(const std::string& tier, double accuracy, std::uint64_t cost) {
  EvaluationRow row = sum_up(tier, std::vector<JudgedAnswer>{answer_of(0.9, true)}, {});
  row.accuracy = accuracy;
  row.cost = cost;
  return row;
}

TEST(Evaluations, CompareThePortfolioWithHeavy) {
  const auto comparison = compare(std::vector{row_of("heavy", 0.9, 1000), row_of("portfolio", 0.885, 790)});
  ASSERT_TRUE(comparison);
  EXPECT_NEAR(comparison->points, 1.5, 1e-9);
  EXPECT_DOUBLE_EQ(comparison->cost_share, 0.79);
  EXPECT_TRUE(comparison->holds());
  EXPECT_FALSE(compare(std::vector{row_of("heavy", 0.9, 1000), row_of("portfolio", 0.885, 810)})->holds());
  EXPECT_FALSE(compare(std::vector{row_of("heavy", 0.9, 1000), row_of("portfolio", 0.87, 500)})->holds());
  EXPECT_FALSE(compare(std::vector{row_of("heavy", 0.9, 1000)}));
  EXPECT_FALSE(compare({}));
  EXPECT_EQ(
      sentence_of(*comparison),
      "the portfolio is 1.5 points below heavy alone, at 0.79 of its cost; the mark, at most 2 points below at no more than "
      "0.8, is met");
}

TEST(EvaluationPages, AreWholeAndNeedNothingFromElsewhere) {
  std::vector<EvaluationRow> rows = {row_of("heavy", 0.9, 1000), row_of("portfolio", 0.885, 790)};
  rows[0].difficulties["<odd>"] = 0.5;
  const std::string page = page_of({"<set>.jsonl", "a & b", "default", "cpu"}, rows);
  EXPECT_EQ(problems_of_page(page), std::vector<std::string>());
  for (const char* has : {"&lt;set&gt;.jsonl", "a &amp; b", "&lt;odd&gt;", "<td>90.0</td>", "Reliability", "Latency", "is met"})
    EXPECT_NE(page.find(has), std::string::npos) << has;
  EXPECT_EQ(count_of(page, "<svg"), 3U);
  EXPECT_EQ(problems_of_page(page_of({}, {})), std::vector<std::string>());
}

}  // namespace
}  // namespace troupe::bench
