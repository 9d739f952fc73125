// What the order of sums of class cuda-sm90-v1 rests on (docs/numerics.md): whichever tensor core instruction adds 16 products
// to a sum, and at whichever place of its tile, the bits are the same. It is no promise of the instruction set, so it is
// tested.
#include <random>

#include "tests/gpu/hopper_test.hpp"
#include "tests/gpu/tensor_core_sums.hpp"

namespace troupe::kernels::cuda {
namespace {

constexpr int left_count = 64;
constexpr int right_count = 256;
constexpr int wgmma_widths[] = {8, 16, 32, 64, 128, 192, 256};

struct Operands {
  const char* name;
  int depth;
  double exponents;  ///< normal numbers times 2 to a random power between minus this and this
};

std::ostream& operator<<(std::ostream& stream, const Operands& operands) { return stream << operands.name; }

/// [rows, depth]
std::vector<bf16> random_rows(const Operands& operands, int rows, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> exponent(-operands.exponents, operands.exponents);
  std::vector<bf16> numbers(static_cast<std::size_t>(rows) * static_cast<std::size_t>(operands.depth));
  for (bf16& number : numbers)
    number = __float2bfloat16(static_cast<float>(normal(generator) * std::exp2(exponent(generator))));
  return numbers;
}

/// The first `columns` of each row.
std::vector<float> first_columns(const std::vector<float>& sums, int width, int columns) {
  std::vector<float> kept;
  for (std::size_t row = 0; row < sums.size() / static_cast<std::size_t>(width); ++row) {
    const auto begin = sums.begin() + static_cast<std::ptrdiff_t>(row) * width;
    kept.insert(kept.end(), begin, begin + columns);
  }
  return kept;
}

std::vector<float> transposed(const std::vector<float>& sums, int width) {
  const std::size_t columns = static_cast<std::size_t>(width);
  const std::size_t rows = sums.size() / columns;
  std::vector<float> turned(sums.size());
  for (std::size_t row = 0; row < rows; ++row)
    for (std::size_t column = 0; column < columns; ++column) turned[column * rows + row] = sums[row * columns + column];
  return turned;
}

class TensorCoreSums : public OnHopper, public testing::WithParamInterface<Operands> {
 protected:
  void SetUp() override {
    OnHopper::SetUp();
    if (IsSkipped()) return;
    left_numbers_ = random_rows(GetParam(), left_count, 7);
    right_numbers_ = random_rows(GetParam(), right_count, 8);
    left_memory_ = DeviceArray<bf16>(left_numbers_);
    right_memory_ = DeviceArray<bf16>(right_numbers_);
    left_ = {left_memory_.data(), left_count, GetParam().depth};
    right_ = {right_memory_.data(), right_count, GetParam().depth};
    widest_ = sums_of_wgmma(right_count, left_, right_, Start::none);
  }
  /// The exact sum of a row's products, and the sum of their magnitudes.
  std::pair<double, double> exact(int left_row, int right_row) const {
    const auto depth = static_cast<std::size_t>(GetParam().depth);
    double sum = 0;
    double magnitudes = 0;
    for (std::size_t i = 0; i < depth; ++i) {
      const double product =
          static_cast<double>(__bfloat162float(left_numbers_[static_cast<std::size_t>(left_row) * depth + i])) *
          static_cast<double>(__bfloat162float(right_numbers_[static_cast<std::size_t>(right_row) * depth + i]));
      sum += product;
      magnitudes += std::abs(product);
    }
    return {sum, magnitudes};
  }

  std::vector<bf16> left_numbers_;
  std::vector<bf16> right_numbers_;
  DeviceArray<bf16> left_memory_;
  DeviceArray<bf16> right_memory_;
  PlainRows left_;
  PlainRows right_;
  std::vector<float> widest_;  ///< of wgmma n256: [left_count, right_count]
};

TEST_P(TensorCoreSums, AreTheProductsSums) {
  // Each step may lose a bit or two of the largest number that it adds.
  const int steps = GetParam().depth / 16;
  const double tolerance = 1e-6 + steps * 1e-6;
  for (int row = 0; row < left_count; ++row) {
    for (int column = 0; column < right_count; ++column) {
      const auto [sum, magnitudes] = exact(row, column);
      ASSERT_NEAR(widest_[static_cast<std::size_t>(row * right_count + column)], sum, tolerance * magnitudes)
          << "row " << row << ", column " << column;
    }
  }
}

TEST_P(TensorCoreSums, OfWgmmaAreTheSameForEveryWidth) {
  for (const int width : wgmma_widths) {
    const auto sums = sums_of_wgmma(width, left_, right_, Start::none);
    EXPECT_EQ(differing(sums, first_columns(widest_, right_count, width)), 0U) << "of " << sums.size() << ", width " << width;
  }
}

TEST_P(TensorCoreSums, BeginWithNothingAsWithZeros) {
  for (const int width : wgmma_widths) {
    const auto sums = sums_of_wgmma(width, left_, right_, Start::zeros);
    EXPECT_EQ(differing(sums, first_columns(widest_, right_count, width)), 0U) << "of " << sums.size() << ", width " << width;
  }
}

TEST_P(TensorCoreSums, OfMmaAreThoseOfWgmma) {
  const auto sums = sums_of_mma(left_, right_);
  EXPECT_EQ(differing(sums, widest_), 0U) << "of " << sums.size();
}

TEST_P(TensorCoreSums, AreTheSameWithOperandsSwapped) {
  const PlainRows right{right_.data, left_count, right_.depth};
  const auto straight = first_columns(widest_, right_count, left_count);
  EXPECT_EQ(differing(transposed(sums_of_wgmma(left_count, right, left_, Start::none), left_count), straight), 0U) << "wgmma";
  EXPECT_EQ(differing(transposed(sums_of_mma(right, left_), left_count), straight), 0U) << "mma.sync";
}

INSTANTIATE_TEST_SUITE_P(All, TensorCoreSums,
                         testing::Values(Operands{"NormalNumbers", 4096, 0}, Operands{"ExponentsOver24Bits", 4096, 12},
                                         Operands{"OneStep", 16, 12}),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace troupe::kernels::cuda
