#include "bench/dialogue_evaluation.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace troupe::bench {
namespace {

TEST(DialogueEvaluation, SumsUpProbes) {
  const std::vector<JudgedProbe> probes = {
      {.recalled = true, .early = true, .whole = true, .pinned = true, .verbatim = true, .prompt_tokens = 100},
      {.recalled = false, .early = true, .whole = true, .prompt_tokens = 200},
      {.recalled = true, .whole = false, .prompt_tokens = 300},
      {.recalled = true, .whole = false, .prompt_tokens = 200}};
  const DialogueRow row = sum_up(with_pins, 10, probes);
  EXPECT_EQ(row.method, "pinned");
  EXPECT_EQ(row.exchanges, 10U);
  EXPECT_EQ(row.probes, 4U);
  EXPECT_DOUBLE_EQ(row.recall, 0.75);
  EXPECT_EQ(row.early_probes, 2U);
  EXPECT_DOUBLE_EQ(*row.early_recall, 0.5);
  EXPECT_DOUBLE_EQ(row.prompt_tokens, 200);
  EXPECT_EQ(row.prompt_tokens_max, 300);
  EXPECT_DOUBLE_EQ(row.whole, 0.5);
  EXPECT_DOUBLE_EQ(*row.verbatim, 1);
  const DialogueRow none = sum_up(with_summaries, 10, {});
  EXPECT_FALSE(none.early_recall);
  EXPECT_FALSE(none.verbatim);
}

DialogueRow row_of(const char* method, std::size_t exchanges, double recall, double tokens) {
  DialogueRow row;
  row.method = method;
  row.exchanges = exchanges;
  row.probes = 1;
  row.recall = recall;
  row.prompt_tokens = tokens;
  return row;
}

TEST(DialogueEvaluation, ComparesSummariesWithEverythingAfterThirtyExchanges) {
  const std::vector<DialogueRow> rows = {row_of(with_summaries, 10, 0, 900), row_of(with_summaries, 30, 0.95, 700),
                                         row_of(with_everything, 30, 0.97, 1000)};
  const auto comparison = compare(rows);
  ASSERT_TRUE(comparison);
  EXPECT_NEAR(comparison->points, 2, 1e-9);
  EXPECT_NEAR(comparison->tokens_share, 0.7, 1e-9);
  EXPECT_TRUE(comparison->holds());
  EXPECT_NE(sentence_of(*comparison).find("2.0 points less"), std::string::npos);
  EXPECT_FALSE((DialogueComparison{3.1, 0.7}.holds()));
  EXPECT_FALSE((DialogueComparison{0, 0.76}.holds()));
  EXPECT_NE(sentence_of({4, 1}).find("missed"), std::string::npos);
  EXPECT_FALSE(compare(std::vector{rows[0], rows[2]}));
}

}  // namespace
}  // namespace troupe::bench
