#include "policy/kv_fetch.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "base/random.hpp"

namespace troupe::policy {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

/// 16 tokens a block, a millisecond a token, a megabyte a block.
MissingPrefix missing(std::size_t blocks) {
  return {.blocks = blocks, .block_bytes = 1'000'000, .block_tokens = 16, .seconds_per_token = 0.001};
}
PrefixSource source(const char* node, std::size_t blocks, double fixed, double rate) {
  return {NodeId{node}, blocks, {fixed, rate}};
}
PrefixSource source_at(const FetchRate& rate) { return {NodeId{"a"}, 99, rate}; }

TEST(KvFetch, TakesTheSourceThatSavesMost) {
  const std::vector<PrefixSource> sources = {source("slow", 10, 0.001, 1e8), source("fast", 10, 0.001, 1e9),
                                             source("short", 2, 0.0, 1e10)};
  const auto plan = plan_fetch(missing(10), sources);
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->source, 1U);
  EXPECT_EQ(plan->blocks, 10U);
  EXPECT_DOUBLE_EQ(plan->fetch_seconds, 0.011);
  EXPECT_DOUBLE_EQ(plan->compute_seconds, 0.16);
}

TEST(KvFetch, ComputesWhatIsComputedSooner) {
  EXPECT_FALSE(plan_fetch(missing(10), std::vector{source("far", 10, 0.2, 1e9)}));
  EXPECT_FALSE(plan_fetch(missing(10), std::vector{source("slow", 10, 0, 5e7)}));
  EXPECT_FALSE(plan_fetch(missing(10), {}));
  EXPECT_FALSE(plan_fetch(missing(10), std::vector{source("empty", 0, 0, 1e9)}));
  EXPECT_FALSE(plan_fetch(missing(0), std::vector{source("a", 10, 0, 1e9)}));
}

TEST(KvFetch, NeverTakesMoreThanIsMissing) {
  EXPECT_EQ(plan_fetch(missing(3), std::vector{source("a", 10, 0, 1e9)})->blocks, 3U);
}

TEST(KvFetch, AsksWhileTheCostOfComputingIsUnknown) {
  MissingPrefix unknown = missing(10);
  unknown.seconds_per_token = 0;
  EXPECT_EQ(plan_fetch(unknown, std::vector{source("a", 2, 1, 1), source("b", 4, 1, 1)})->source, 1U);
}

TEST(KvFetch, BreaksEvenWhereItStartsToSave) {
  const FetchRate rate{.fixed_seconds = 0.1, .bytes_per_second = 1e9};
  const auto blocks = break_even_blocks(missing(0), rate);
  ASSERT_TRUE(blocks);
  EXPECT_EQ(*blocks, 7U) << "0.1 s of asking, 15 ms saved with each block";
  EXPECT_FALSE(plan_fetch(missing(*blocks - 1), std::vector{source_at(rate)}));
  EXPECT_TRUE(plan_fetch(missing(*blocks), std::vector{source_at(rate)}));
  EXPECT_FALSE(break_even_blocks(missing(0), {.fixed_seconds = 0, .bytes_per_second = 1e7})) << "it never does";
}

TEST(KvFetch, MeasuresWhatTransfersTake) {
  MeasuredFetch measured;
  const TimePoint now{hours(1)};
  for (int i = 0; i < 60; ++i) {
    measured.record(1000, 0.0004, now);
    measured.record(20'000'000, 0.0104, now);
  }
  EXPECT_NEAR(measured.rate(now).fixed_seconds, 0.0004, 1e-5);
  EXPECT_NEAR(measured.rate(now).bytes_per_second, 2e9, 5e7);
  // One that hung says something, but not everything.
  measured.record(20'000'000, 2.0, now);
  EXPECT_GT(measured.rate(now).bytes_per_second, 1e9);
}

/// Otherwise one slow moment would be the last that is ever measured of a source.
TEST(KvFetch, TriesASourceAgainThatWasSlowSomeTimeAgo) {
  MeasuredFetch measured;
  const TimePoint slow{hours(1)};
  for (int i = 0; i < 20; ++i) {
    measured.record(1000, 2.0, slow);
    measured.record(20'000'000, 20.0, slow);
  }
  const auto plan = [&](Duration later) {
    return plan_fetch(missing(10), std::vector{source_at(measured.rate(slow + later))});
  };
  EXPECT_FALSE(plan(seconds(0)));
  EXPECT_FALSE(plan(seconds(10)));
  EXPECT_TRUE(plan(minutes(5)));
  // What is measured then begins from there.
  measured.record(1000, 2.0, slow + minutes(5));
  EXPECT_LT(measured.rate(slow + minutes(5)).fixed_seconds, 0.6);
  EXPECT_GT(measured.rate(slow + minutes(5)).fixed_seconds, 0.4);
}

TEST(KvFetch, StaysPositiveWhateverIsMeasured) {
  Random random(3);
  MeasuredFetch measured;
  TimePoint now{hours(1)};
  for (int i = 0; i < 1000; ++i) {
    now += seconds(static_cast<int>(random.below(3)));
    measured.record(random.below(1U << 22U), random.chance(0.1F) ? 0.0 : static_cast<double>(random.uniform()) * 0.1, now);
    ASSERT_GE(measured.rate(now).fixed_seconds, 0);
    ASSERT_GT(measured.rate(now).bytes_per_second, 0);
  }
}

}  // namespace
}  // namespace troupe::policy
