#include "kernels/log_sum_exp.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "tests/reference/log_sum_exp.hpp"
#include "tests/support/kernel_cases.hpp"

namespace troupe {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

std::vector<kernels::LogitSummary> run(kernels::CpuDevice& device, std::span<const float> logits, std::int32_t rows) {
  std::vector<kernels::LogitSummary> summary(static_cast<std::size_t>(rows));
  kernels::log_sum_exp(device.stream(), {.logits = logits.data(),
                                         .summary = summary.data(),
                                         .rows = rows,
                                         .vocabulary = static_cast<std::int32_t>(logits.size()) / rows});
  return summary;
}

kernels::LogitSummary run_one(std::span<const float> logits) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 1);
  return run(*device, logits, 1)[0];
}

bool same(const kernels::LogitSummary& a, const kernels::LogitSummary& b) {
  const float left[] = {a.max, a.log_sum_exp};
  const float right[] = {b.max, b.log_sum_exp};
  return a.best == b.best && tests::same_bits(left, right);
}

TEST(LogSumExp, IsCloseToTheTruthInDouble) {
  Random random(3);
  for (const std::size_t vocabulary : {1U, 2U, 15U, 16U, 17U, 1000U, 4096U}) {
    const std::vector<float> logits = tests::random_floats(random, vocabulary, 15);
    const kernels::LogitSummary summary = run_one(logits);
    const double truth = reference::log_sum_exp(logits);
    // The sum: vocabulary / 16 + 4 roundings and exp's two, which the logarithm turns into an absolute error; then the
    // logarithm's own, and that of the last sum.
    const double roundings = static_cast<double>(vocabulary) / 16 + 6 + 2 * std::fabs(truth - summary.max) + std::fabs(truth);
    EXPECT_NEAR(summary.log_sum_exp, truth, roundings * tests::unit_roundoff) << vocabulary;
    EXPECT_EQ(summary.max, *std::max_element(logits.begin(), logits.end()));
    EXPECT_EQ(logits[static_cast<std::size_t>(summary.best)], summary.max);
  }
}

TEST(LogSumExp, GivesTheLowerIdWhereLogitsAreEqual) {
  for (const std::size_t first : {0U, 3U, 15U, 16U, 30U}) {
    std::vector<float> logits(40, -1.0F);
    logits[first] = logits[33] = logits[39] = 2;
    EXPECT_EQ(run_one(logits).best, static_cast<std::int32_t>(first));
  }
  EXPECT_EQ(run_one(std::vector<float>(37, -3.0F)).best, 0);
  std::vector<float> zeros = {-1, -0.0F, 0.0F};  // equal, so the first; and the max is that one's
  EXPECT_EQ(run_one(zeros).best, 1);
  EXPECT_TRUE(std::signbit(run_one(zeros).max));
}

TEST(LogSumExp, NeverLetsANaNWinAndSaysThatThereWasOne) {
  for (const std::size_t where : {0U, 5U, 16U, 18U}) {
    std::vector<float> logits(19, 1.0F);
    logits[7] = 4;
    logits[where] = nan;
    const kernels::LogitSummary summary = run_one(logits);
    EXPECT_EQ(summary.best, 7) << where;
    EXPECT_EQ(summary.max, 4) << where;
    EXPECT_TRUE(std::isnan(summary.log_sum_exp)) << where;
  }
  const kernels::LogitSummary nothing = run_one(std::vector<float>(20, nan));
  EXPECT_EQ(nothing.best, 0);
  EXPECT_EQ(nothing.max, -infinity);
  EXPECT_TRUE(std::isnan(nothing.log_sum_exp));
}

TEST(LogSumExp, IsInfiniteWhereTheMaximumIs) {
  EXPECT_EQ(run_one(std::vector<float>{1, infinity, infinity}).best, 1);
  EXPECT_EQ(run_one(std::vector<float>{1, infinity, infinity}).log_sum_exp, infinity);
  EXPECT_EQ(run_one(std::vector<float>(18, -infinity)).log_sum_exp, -infinity);
  EXPECT_TRUE(std::isnan(run_one(std::vector<float>{nan, infinity}).log_sum_exp));
  EXPECT_EQ(run_one(std::vector<float>{-infinity, 3, -infinity}).log_sum_exp, 3) << "a masked token weighs nothing";
}

TEST(LogSumExp, GivesTheSameBitsForAnyBatchAndNumberOfThreads) {
  Random random(5);
  constexpr std::int32_t rows = 33;
  constexpr std::size_t vocabulary = 3001;
  const std::vector<float> logits = tests::random_floats(random, rows * vocabulary, 9);
  const auto one = tests::cpu_device(kernels::best_instruction_set(), 1);
  const auto four = tests::cpu_device(kernels::best_instruction_set(), 4);
  const auto all = run(*one, logits, rows);
  const auto threaded = run(*four, logits, rows);
  for (std::size_t row = 0; row < rows; ++row) {
    EXPECT_TRUE(same(threaded[row], all[row]));
    EXPECT_TRUE(same(run(*one, std::span(logits).subspan(row * vocabulary, vocabulary), 1)[0], all[row]));
  }
}

class LogSumExpBits : public tests::AcrossInstructionSets {};

TEST_P(LogSumExpBits, AreThoseOfPlainLanes) {
  Random random(6);
  const auto plain = tests::cpu_device(kernels::InstructionSet::plain, 1);
  const auto device = tests::cpu_device(GetParam(), 1);
  for (const std::size_t vocabulary : {1U, 8U, 15U, 16U, 17U, 33U, 4096U, 5003U}) {
    for (const float scale : {0.0F, 1e-3F, 10.0F, 300.0F, 3e38F}) {
      std::vector<float> logits = tests::random_floats(random, vocabulary, scale);
      if (scale > 200) logits[random.below(vocabulary)] = random.chance(0.5F) ? nan : -infinity;
      EXPECT_TRUE(same(run(*device, logits, 1)[0], run(*plain, logits, 1)[0])) << vocabulary << " " << scale;
    }
  }
}

TROUPE_ACROSS_INSTRUCTION_SETS(LogSumExpBits);

}  // namespace
}  // namespace troupe
