#include "kernels/swiglu.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "tests/reference/swiglu.hpp"
#include "tests/support/kernel_cases.hpp"

namespace troupe {
namespace {

std::vector<float> run(kernels::CpuDevice& device, std::span<const float> input, std::int32_t rows, std::int32_t dim) {
  std::vector<float> output(input.size() / 2);
  kernels::swiglu(device.stream(), {.input = input.data(), .output = output.data(), .rows = rows, .dim = dim});
  return output;
}

std::vector<float> random_input(std::int32_t rows, std::int32_t dim, float scale) {
  Random random(static_cast<std::uint64_t>(dim));
  return tests::random_floats(random, 2 * static_cast<std::size_t>(rows) * static_cast<std::size_t>(dim), scale);
}

TEST(Swiglu, IsCloseToTheTruthInDouble) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 1);
  for (const std::int32_t dim : {1, 15, 16, 17, 160, 513}) {
    const std::vector<float> input = random_input(2, dim, 20);
    const std::vector<float> output = run(*device, input, 2, dim);
    for (std::int32_t i = 0; i < 2 * dim; ++i) {
      const std::int32_t gate = i / dim * 2 * dim + i % dim;
      const double truth =
          reference::swiglu(input[static_cast<std::size_t>(gate)], input[static_cast<std::size_t>(gate + dim)]);
      // exp contributes one unit in the last place (two roundings), then a sum, a division and a product.
      EXPECT_NEAR(output[static_cast<std::size_t>(i)], truth, std::fabs(truth) * 6 * tests::unit_roundoff) << dim;
    }
  }
}

TEST(Swiglu, FollowsItsLimits) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 1);
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> input = {0, 200, -200, 1, nan, 3, 3, 3, nan, 3};
  const std::vector<float> output = run(*device, input, 1, 5);
  EXPECT_EQ(output[0], 0);
  EXPECT_EQ(output[1], 600);
  EXPECT_EQ(output[2], 0);
  EXPECT_TRUE(std::isnan(output[3]));
  EXPECT_TRUE(std::isnan(output[4]));
}

TEST(Swiglu, GivesTheSameBitsForAnyBatchAndNumberOfThreads) {
  const auto one = tests::cpu_device(kernels::best_instruction_set(), 1);
  const auto four = tests::cpu_device(kernels::best_instruction_set(), 4);
  constexpr std::int32_t rows = 150;
  constexpr std::int32_t dim = 333;
  const std::vector<float> input = random_input(rows, dim, 8);
  const std::vector<float> all = run(*one, input, rows, dim);
  EXPECT_TRUE(tests::same_bits(run(*four, input, rows, dim), all));
  for (std::size_t row = 0; row < rows; row += 29) {
    const std::vector<float> alone = run(*one, std::span(input).subspan(row * 2 * dim, 2 * dim), 1, dim);
    EXPECT_TRUE(tests::same_bits(alone, std::span(all).subspan(row * dim, dim)));
  }
}

class SwigluBits : public tests::AcrossInstructionSets {};

TEST_P(SwigluBits, AreThoseOfPlainLanes) {
  const auto plain = tests::cpu_device(kernels::InstructionSet::plain, 1);
  const auto device = tests::cpu_device(GetParam(), 2);
  for (const std::int32_t dim : {1, 8, 9, 16, 31, 512}) {
    for (const float scale : {1e-40F, 1.0F, 120.0F, 1e38F}) {
      const std::vector<float> input = random_input(6, dim, scale);
      EXPECT_TRUE(tests::same_bits(run(*device, input, 6, dim), run(*plain, input, 6, dim))) << dim << " " << scale;
    }
  }
}

TROUPE_ACROSS_INSTRUCTION_SETS(SwigluBits);

}  // namespace
}  // namespace troupe
