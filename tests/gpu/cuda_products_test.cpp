// Matrix products on a GPU: right, and with the same bits however many rows are multiplied at once.
#include "tests/gpu/hopper_test.hpp"
#include "tests/gpu/products.hpp"

namespace troupe::kernels::cuda {
namespace {

constexpr int rows_max = 700;
constexpr int samples = 3000;
/// Of a product's elements, as a share of their length: products are exact, and sums are of floats.
constexpr double tolerance = 4e-5;
/// The same where the result is rounded to bf16, which has eight bits.
constexpr double gated_tolerance = 1e-2;

/// Each count that chooses a tile's width or crosses one, and what is far above all.
std::vector<int> row_counts() {
  std::vector<int> counts;
  for (int rows = 1; rows <= 272; ++rows) counts.push_back(rows);
  for (const int rows : {384, 511, 512, 513, rows_max}) counts.push_back(rows);
  return counts;
}

struct Shape {
  int outputs;
  int inputs;
};

std::ostream& operator<<(std::ostream& stream, const Shape& shape) { return stream << shape.outputs << " x " << shape.inputs; }

class CudaProducts : public OnHopper, public testing::WithParamInterface<Shape> {
 protected:
  void SetUp() override {
    OnHopper::SetUp();
    if (IsSkipped()) return;
    matrix_.emplace(GetParam().outputs, GetParam().inputs, 1, 0.03f);
    input_.emplace(Rows::random(rows_max, GetParam().inputs, 2));
    weights_ = matrix_->memory.read();
    inputs_ = input_->memory.read();
  }
  /// An element of the product, in double.
  double exact(int row, int output) const {
    double sum = 0;
    for (int i = 0; i < GetParam().inputs; ++i) {
      sum += static_cast<double>(__bfloat162float(weights_[matrix_->weights.offset(output, i)])) *
             static_cast<double>(__bfloat162float(inputs_[input_->tiles.offset(row, i)]));
    }
    return sum;
  }
  double exact_gated(int row, int element) const {
    const double gate = exact(row, gate_place(element).gate);
    return gate / (1 + std::exp(-gate)) * exact(row, gate_place(element).up);
  }

  std::optional<Matrix> matrix_;
  std::optional<Rows> input_;
  std::vector<bf16> weights_;
  std::vector<bf16> inputs_;
};

/// Places all over rows_max rows of `width` elements.
template <class Visit>
void for_samples(int width, const Visit& visit) {
  for (int i = 0; i < samples; ++i) {
    visit(static_cast<int>(i * 7919LL % rows_max), static_cast<int>((i * 104729LL + 13) % width));
  }
}

class PlainProducts : public CudaProducts {
 protected:
  /// [rows, outputs], and a row more, which nobody is to write.
  std::vector<float> run(int rows) {
    const auto width = static_cast<std::size_t>(GetParam().outputs);
    if (output_.count() == 0) output_ = DeviceArray<float>(width * (rows_max + 1));
    output_.fill_bytes(0xFF);
    multiply(nullptr, matrix_->weights, input_->tiles, rows, output_.data());
    return output_.read(0, width * static_cast<std::size_t>(rows + 1));
  }

 private:
  DeviceArray<float> output_;
};

TEST_P(PlainProducts, AgreeWithDoubles) {
  const auto output = run(rows_max);
  RelativeError error;
  for_samples(GetParam().outputs, [&](int row, int element) {
    error.add(exact(row, element), output[static_cast<std::size_t>(row) * static_cast<std::size_t>(GetParam().outputs) +
                                          static_cast<std::size_t>(element)]);
  });
  EXPECT_LT(error.value(), tolerance);
}

TEST_P(PlainProducts, HaveTheSameBitsForEveryNumberOfRows) {
  const auto all = run(rows_max);
  for (const int rows : row_counts()) {
    auto some = run(rows);
    const auto written = static_cast<std::size_t>(rows) * static_cast<std::size_t>(GetParam().outputs);
    for (std::size_t i = written; i < some.size(); ++i)
      ASSERT_TRUE(std::isnan(some[i])) << "the row after " << rows << " is written";
    some.resize(written);
    ASSERT_FALSE(has_nan(some)) << "something is not written, for " << rows << " rows";
    ASSERT_EQ(differing(some, all), 0U) << "of " << written << ", for " << rows << " rows";
  }
}

class GatedProducts : public CudaProducts {
 protected:
  int width() const { return GetParam().outputs / 2; }
  /// [rows, width]
  std::vector<bf16> run(int rows) {
    if (!output_) output_.emplace(rows_max, width());
    output_->memory.fill_bytes(0xFF);
    multiply_gated(nullptr, matrix_->weights, input_->tiles, rows, output_->tiles);
    const auto tiles = output_->memory.read();
    std::vector<bf16> plain;
    for (int row = 0; row < rows; ++row)
      for (int element = 0; element < width(); ++element) plain.push_back(tiles[output_->tiles.offset(row, element)]);
    return plain;
  }

 private:
  std::optional<Rows> output_;
};

TEST_P(GatedProducts, AgreeWithDoubles) {
  const auto output = run(rows_max);
  RelativeError error;
  for_samples(width(), [&](int row, int element) {
    error.add(
        exact_gated(row, element),
        __bfloat162float(
            output[static_cast<std::size_t>(row) * static_cast<std::size_t>(width()) + static_cast<std::size_t>(element)]));
  });
  EXPECT_LT(error.value(), gated_tolerance);
}

TEST_P(GatedProducts, HaveTheSameBitsForEveryNumberOfRows) {
  const auto all = run(rows_max);
  for (const int rows : row_counts()) {
    const auto some = run(rows);
    ASSERT_EQ(differing(some, all), 0U) << "of " << some.size() << ", for " << rows << " rows";
  }
}

std::string name_of(const testing::TestParamInfo<Shape>& info) {
  return std::to_string(info.param.outputs) + "By" + std::to_string(info.param.inputs);
}

// Of models, and some that are no multiples of anything; with one chunk of inputs and with two.
INSTANTIATE_TEST_SUITE_P(Shapes, PlainProducts,
                         testing::Values(Shape{6144, 4096}, Shape{4096, 14336}, Shape{2048, 2048}, Shape{1024, 3072},
                                         Shape{4104, 320}, Shape{288, 224}, Shape{128, 192}, Shape{96, 160}, Shape{1001, 3331},
                                         Shape{997, 333}, Shape{65, 63}, Shape{1, 1}),
                         name_of);
// Gates and ups come in eights.
INSTANTIATE_TEST_SUITE_P(Shapes, GatedProducts,
                         testing::Values(Shape{6144, 1024}, Shape{1024, 192}, Shape{320, 320}, Shape{1008, 3331},
                                         Shape{336, 333}, Shape{16, 1}),
                         name_of);

}  // namespace
}  // namespace troupe::kernels::cuda
