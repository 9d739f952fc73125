#include "kernels/rms_norm.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "tests/reference/rms_norm.hpp"
#include "tests/support/kernel_cases.hpp"

namespace troupe {
namespace {

struct Case {
  std::int32_t rows;
  std::int32_t dim;
  bool with_addend;
  std::vector<float> x, addend, weight;

  Case(std::int32_t row_count, std::int32_t width, bool adds, float scale = 4)
      : rows(row_count), dim(width), with_addend(adds) {
    Random random(static_cast<std::uint64_t>(width) * 100 + static_cast<std::uint64_t>(row_count));
    const auto count = static_cast<std::size_t>(rows) * static_cast<std::size_t>(dim);
    x = tests::random_floats(random, count, scale);
    addend = tests::random_floats(random, count, scale);
    weight = tests::random_floats(random, static_cast<std::size_t>(dim), 2);
  }

  struct Result {
    std::vector<float> x, output;
  };
  Result run(kernels::CpuDevice& device) const {
    Result result{x, std::vector<float>(x.size())};
    kernels::rms_norm(device.stream(), {.x = result.x.data(),
                                        .addend = with_addend ? addend.data() : nullptr,
                                        .weight = weight.data(),
                                        .output = result.output.data(),
                                        .rows = rows,
                                        .dim = dim,
                                        .epsilon = 1e-6F});
    return result;
  }
  /// Rows [first, first + count) as a batch of their own.
  Case part(std::int32_t first, std::int32_t count) const {
    Case result = *this;
    const std::ptrdiff_t begin = std::ptrdiff_t{first} * dim;
    const std::ptrdiff_t end = begin + std::ptrdiff_t{count} * dim;
    result.rows = count;
    result.x.assign(x.begin() + begin, x.begin() + end);
    result.addend.assign(addend.begin() + begin, addend.begin() + end);
    return result;
  }
};

constexpr std::int32_t widths[] = {1, 7, 15, 16, 17, 64, 192, 224, 1000};

TEST(RmsNorm, IsCloseToTheTruthInDouble) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 1);
  for (const std::int32_t dim : widths) {
    const Case c(3, dim, true);
    const Case::Result result = c.run(*device);
    // Relative: the sum of squares is rounded dim / 16 + 4 times, halved by the root; eight more roundings follow.
    const double tolerance = (dim / 32.0 + 10) * tests::unit_roundoff;
    for (std::int32_t row = 0; row < c.rows; ++row) {
      const auto start = static_cast<std::size_t>(row * dim);
      const std::span<const float> x(result.x.data() + start, static_cast<std::size_t>(dim));
      const std::vector<double> truth = reference::rms_norm(x, c.weight, 1e-6F);
      for (std::size_t d = 0; d < truth.size(); ++d) {
        EXPECT_EQ(x[d], c.x[start + d] + c.addend[start + d]);
        EXPECT_NEAR(result.output[start + d], truth[d], std::fabs(truth[d]) * tolerance) << dim;
      }
    }
  }
}

TEST(RmsNorm, LeavesXAsItIsWithoutAnAddend) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 1);
  const Case c(2, 33, false);
  EXPECT_TRUE(tests::same_bits(c.run(*device).x, c.x));
}

TEST(RmsNorm, OfZerosIsZeroAndOfTheSmallestNumbersExact) {
  const auto device = tests::cpu_device(kernels::best_instruction_set(), 1);
  Case c(1, 16, false);
  std::fill(c.x.begin(), c.x.end(), 0.0F);
  for (const float value : c.run(*device).output) EXPECT_EQ(value, 0);
  std::fill(c.x.begin(), c.x.end(), 0x1p-149F);  // a denormal read as zero would give zero
  std::fill(c.weight.begin(), c.weight.end(), 0x1p20F);
  for (const float value : c.run(*device).output) EXPECT_NEAR(value, 0x1p-129F * 1e3, 0x1p-149);
}

TEST(RmsNorm, GivesTheSameBitsForAnyBatchAndNumberOfThreads) {
  const auto one = tests::cpu_device(kernels::best_instruction_set(), 1);
  const auto four = tests::cpu_device(kernels::best_instruction_set(), 4);
  const Case all(300, 501, true);
  const Case::Result expected = all.run(*one);
  EXPECT_TRUE(tests::same_bits(all.run(*four).output, expected.output));
  EXPECT_TRUE(tests::same_bits(all.run(*four).x, expected.x));
  for (std::int32_t row = 0; row < all.rows; row += 37) {
    const std::span<const float> whole(expected.output.data() + row * all.dim, static_cast<std::size_t>(all.dim));
    EXPECT_TRUE(tests::same_bits(all.part(row, 1).run(*one).output, whole)) << row;
  }
}

class RmsNormBits : public tests::AcrossInstructionSets {};

TEST_P(RmsNormBits, AreThoseOfPlainLanes) {
  const auto plain = tests::cpu_device(kernels::InstructionSet::plain, 1);
  const auto device = tests::cpu_device(GetParam(), 2);
  for (const std::int32_t dim : widths) {
    for (const float scale : {1e-22F, 1.0F, 1e19F}) {
      const Case c(5, dim, dim % 2 == 0, scale);
      EXPECT_TRUE(tests::same_bits(c.run(*device).output, c.run(*plain).output)) << dim << " " << scale;
      EXPECT_TRUE(tests::same_bits(c.run(*device).x, c.run(*plain).x)) << dim;
    }
  }
}

TROUPE_ACROSS_INSTRUCTION_SETS(RmsNormBits);

}  // namespace
}  // namespace troupe
