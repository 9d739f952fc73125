#include "kernels/math.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "kernels/targets.hpp"
#include "tests/support/kernel_cases.hpp"

namespace troupe {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// Every `step`th of all 2^32 floats: all exponents, both signs, denormals, infinities and NaN.
std::vector<float> floats_apart(std::uint64_t step) {
  std::vector<float> values;
  for (std::uint64_t bits = 0; bits < std::uint64_t{1} << 32; bits += step) {
    values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  }
  for (const float special :
       {0.0F,      -0.0F,  1.0F,  -1.0F, infinity,   -infinity, nan,     0x1p-149F, 0x1p-126F, 0x1.fffffep127F, 88.72283F,
        88.72284F, 88.73F, 89.0F, 90.0F, -87.33654F, -87.4F,    -103.9F, -103.97F,  -103.98F,  -104.0F,         -105.0F}) {
    values.push_back(special);
  }
  return values;
}

/// The distance in units of the last place that a float of the true value's size has.
double error_in_ulps(float actual, long double truth) {
  if (std::isnan(truth)) return std::isnan(actual) ? 0 : infinity;
  const auto rounded = static_cast<float>(truth);
  if (std::isinf(rounded) || std::isinf(actual)) return actual == rounded ? 0 : infinity;
  int exponent = 0;
  std::frexp(truth, &exponent);
  return static_cast<double>(std::fabs(actual - truth) / std::ldexp(1.0L, std::max(exponent, -125) - 24));
}

TEST(Math, ExpIsWithinOneUnitInTheLastPlace) {
  double worst = 0;
  for (const float x : floats_apart(1009)) {
    const double error = error_in_ulps(kernels::exp(x), std::exp(static_cast<long double>(x)));
    ASSERT_LT(error, 1) << "exp of " << std::hexfloat << x;
    worst = std::max(worst, error);
  }
  std::cout << "largest error of exp: " << worst << " units in the last place\n";
}

TEST(Math, LogIsWithinOneUnitInTheLastPlace) {
  double worst = 0;
  for (const float x : floats_apart(1009)) {
    const double error = error_in_ulps(kernels::log(x), std::log(static_cast<long double>(x)));
    ASSERT_LT(error, 1) << "log of " << std::hexfloat << x;
    worst = std::max(worst, error);
  }
  std::cout << "largest error of log: " << worst << " units in the last place\n";
}

TEST(Math, ExpHasItsSpecialValues) {
  EXPECT_EQ(kernels::exp(0.0F), 1.0F);
  EXPECT_EQ(kernels::exp(-0.0F), 1.0F);
  EXPECT_EQ(kernels::exp(infinity), infinity);
  EXPECT_EQ(kernels::exp(88.73F), infinity);
  EXPECT_LT(kernels::exp(88.72F), infinity);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(kernels::exp(-infinity)), 0U);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(kernels::exp(-103.98F)), 0U);
  EXPECT_EQ(std::bit_cast<std::uint32_t>(kernels::exp(-103.9F)), 1U) << "the smallest denormal";
  EXPECT_TRUE(std::isnan(kernels::exp(nan)));
}

TEST(Math, LogHasItsSpecialValues) {
  EXPECT_EQ(std::bit_cast<std::uint32_t>(kernels::log(1.0F)), 0U);
  EXPECT_EQ(kernels::log(0.0F), -infinity);
  EXPECT_EQ(kernels::log(-0.0F), -infinity);
  EXPECT_EQ(kernels::log(infinity), infinity);
  EXPECT_TRUE(std::isnan(kernels::log(-0x1p-149F)));
  EXPECT_TRUE(std::isnan(kernels::log(-infinity)));
  EXPECT_TRUE(std::isnan(kernels::log(nan)));
}

TEST(Math, SineAndCosineAreWithinTheirBoundBelowTwoToThe24) {
  Random random(1);
  for (int i = 0; i < 300000; ++i) {
    const double x = std::ldexp(2.0 * random.next() / 0x1p32 - 1, static_cast<int>(random.below(25)));
    ASSERT_LT(std::fabs(kernels::sine(x) - std::sin(static_cast<long double>(x))), 1e-15L) << std::hexfloat << x;
    ASSERT_LT(std::fabs(kernels::cosine(x) - std::cos(static_cast<long double>(x))), 1e-15L) << std::hexfloat << x;
  }
  for (int n = 0; n < 200000; ++n) {  // near multiples of a quarter turn, where reduction loses most
    const double x = n * 0x1.921fb54442d18p0;
    ASSERT_LT(std::fabs(kernels::sine(x) - std::sin(static_cast<long double>(x))), 1e-15L) << n;
    ASSERT_LT(std::fabs(kernels::cosine(x) - std::cos(static_cast<long double>(x))), 1e-15L) << n;
  }
  EXPECT_EQ(kernels::sine(0), 0);
  EXPECT_EQ(kernels::cosine(0), 1);
  EXPECT_TRUE(std::isnan(kernels::sine(std::numeric_limits<double>::quiet_NaN())));
}

TEST(Math, PowIsWithinItsBoundFromRopeTablesToTheEndsOfTheRange) {
  Random random(2);
  for (int i = 0; i < 300000; ++i) {
    const double base = std::exp2((2.0 * random.next() / 0x1p32 - 1) * (i % 2 == 0 ? 20 : 1000));
    const double exponent = (2.0 * random.next() / 0x1p32 - 1) * (i % 3 == 0 ? 40 : 2);
    const long double truth = std::pow(static_cast<long double>(base), static_cast<long double>(exponent));
    if (truth > 1e308L || truth < 1e-307L) continue;
    ASSERT_LT(std::fabs(kernels::pow(base, exponent) - truth) / truth, 1e-15L) << std::hexfloat << base << " " << exponent;
  }
  EXPECT_EQ(kernels::pow(10000, 0), 1);
  EXPECT_EQ(kernels::pow(10000, 1), 10000);
  EXPECT_EQ(kernels::pow(1, -0.75), 1);
  EXPECT_EQ(kernels::pow(2, 2000), std::numeric_limits<double>::infinity());
  EXPECT_EQ(kernels::pow(2, -2000), 0);
}

TEST(MathDeathTest, RefusesWhatItCannotAnswer) {
  EXPECT_DEATH(kernels::sine(0x1p24), "angles below");
  EXPECT_DEATH(kernels::pow(-2, 0.5), "normal and positive");
  EXPECT_DEATH(kernels::pow(2, std::numeric_limits<double>::infinity()), "finite");
}

void expect_lanes_equal_scalars(const kernels::CpuOps& operations, std::uint64_t step) {
  const std::vector<float> x = floats_apart(step);
  std::vector<float> lanes(x.size());
  std::vector<float> scalars(x.size());
  operations.exp(x.data(), lanes.data(), static_cast<std::int32_t>(x.size()));
  for (std::size_t i = 0; i < x.size(); ++i) scalars[i] = kernels::exp(x[i]);
  EXPECT_TRUE(tests::same_bits(lanes, scalars)) << "exp";
  operations.log(x.data(), lanes.data(), static_cast<std::int32_t>(x.size()));
  for (std::size_t i = 0; i < x.size(); ++i) scalars[i] = kernels::log(x[i]);
  EXPECT_TRUE(tests::same_bits(lanes, scalars)) << "log";
}

TEST(Math, ExpAndLogAreTheSameInPlainLanesAndAlone) {
  expect_lanes_equal_scalars(kernels::operations(kernels::InstructionSet::plain), 3001);
}

class MathBits : public tests::AcrossInstructionSets {};

TEST_P(MathBits, ExpAndLogAreTheSameInLanesAndAlone) { expect_lanes_equal_scalars(kernels::operations(GetParam()), 307); }

TROUPE_ACROSS_INSTRUCTION_SETS(MathBits);

}  // namespace
}  // namespace troupe
