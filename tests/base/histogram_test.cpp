#include "base/histogram.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;

/// A duration whose size is uniform over the powers of two, as service times are more or less.
Duration random_duration(Random& random) {
  const auto bits = random.below(62);
  return Duration(static_cast<Duration::rep>((std::uint64_t{1} << bits) + random.below(std::uint64_t{1} << bits)));
}

/// The nearest rank, by its definition.
Duration true_quantile(const std::vector<Duration>& sorted, double fraction) {
  const auto rank = std::ceil(fraction * static_cast<double>(sorted.size()));
  return sorted[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

void expect_close(Duration measured, Duration expected, const std::string& what) {
  const auto error = std::abs(static_cast<double>((measured - expected).count()));
  EXPECT_LE(error, static_cast<double>(expected.count()) * Histogram::relative_error) << what;
}

TEST(Histogram, CountsSumsAndKeepsTheLargest) {
  Histogram histogram;
  histogram.record(milliseconds(3));
  histogram.record(microseconds(10));
  histogram.record(milliseconds(3));
  EXPECT_EQ(histogram.count(), 3U);
  EXPECT_EQ(histogram.sum(), microseconds(6010));
  EXPECT_EQ(histogram.max(), milliseconds(3));
  EXPECT_EQ(histogram.quantile(1), milliseconds(3));
  expect_close(histogram.quantile(0), microseconds(10), "the smallest");
  expect_close(histogram.quantile(0.5), milliseconds(3), "the median");
}

TEST(Histogram, OfNothingIsZero) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.max(), Duration::zero());
  EXPECT_EQ(histogram.quantile(0.99), Duration::zero());
}

TEST(Histogram, IsExactForAFewNanoseconds) {
  Histogram histogram;
  for (int value = 0; value < 64; ++value) histogram.record(Duration(value));
  for (int value = 0; value < 64; ++value) EXPECT_EQ(histogram.quantile((value + 1) / 64.0), Duration(value));
}

TEST(Histogram, TakesTheLargestDurationAndNegativeOnes) {
  Histogram histogram;
  histogram.record(Duration::max());
  histogram.record(hours(1));
  histogram.record(Duration(-5));
  EXPECT_EQ(histogram.max(), Duration::max());
  EXPECT_EQ(histogram.sum(), Duration::max()) << "the sum stays at its largest value instead of turning negative";
  EXPECT_EQ(histogram.quantile(0), Duration::zero()) << "a negative duration counts as zero";
  expect_close(histogram.quantile(0.6), hours(1), "the middle one");
  Histogram other = histogram;
  other.merge(histogram);
  EXPECT_EQ(other.sum(), Duration::max());
}

TEST(Histogram, IsOffByLessThanItSaysAroundEveryPowerOfTwo) {
  for (int bit = 0; bit < 63; ++bit) {
    for (const std::int64_t by : {-1, 0, 1}) {
      const auto value = Duration((std::int64_t{1} << bit) + by);
      Histogram histogram;
      histogram.record(value);
      histogram.record(Duration::max());  // else the answer is max(), which is exact
      expect_close(histogram.quantile(0.5), value, std::to_string(value.count()) + " ns");
    }
  }
}

TEST(Histogram, QuantilesOfRandomDurationsAreWithinTheStatedError) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Random random(seed);
    Histogram histogram;
    std::vector<Duration> all;
    for (auto left = random.between(1, 400); left > 0; --left) {
      all.push_back(random_duration(random));
      histogram.record(all.back());
    }
    std::sort(all.begin(), all.end());
    Duration before{};
    for (const double fraction : {0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0}) {
      const auto measured = histogram.quantile(fraction);
      expect_close(measured, true_quantile(all, fraction), "seed " + std::to_string(seed) + ", " + std::to_string(fraction));
      EXPECT_GE(measured, before) << "seed " << seed;
      before = measured;
    }
    EXPECT_EQ(before, all.back()) << "seed " << seed;
  }
}

TEST(Histogram, MergedIsAsIfRecordedInOne) {
  Random random(7);
  Histogram left;
  Histogram right;
  Histogram whole;
  for (int i = 0; i < 1000; ++i) {
    const auto duration = random_duration(random) / 1000000;
    (random.chance(0.3F) ? left : right).record(duration);
    whole.record(duration);
  }
  left.merge(right);
  EXPECT_EQ(left.count(), whole.count());
  EXPECT_EQ(left.sum(), whole.sum());
  EXPECT_EQ(left.max(), whole.max());
  for (int percent = 0; percent <= 100; ++percent) EXPECT_EQ(left.quantile(percent / 100.0), whole.quantile(percent / 100.0));
}

TEST(HistogramDeathTest, RefusesAFractionOutsideOfZeroToOne) {
  EXPECT_DEATH(Histogram{}.quantile(95), "fraction in");
  EXPECT_DEATH(Histogram{}.quantile(std::nan("")), "fraction in");
}

}  // namespace
}  // namespace troupe
