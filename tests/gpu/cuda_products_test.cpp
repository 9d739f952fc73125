// Matrix products on a GPU: right, and with the same bits however many rows are multiplied at once and however they are cut
// into tiles.
#include <sstream>

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

/// Counts on both sides of every tile's number of rows.
constexpr int edge_counts[] = {rows_max, 1, 9, 63, 64, 65, 127, 129, 193, 257, 385, 513};

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

  /// Calls compare(plan, rows) for each plan that fits and each of edge_counts. Few rows' tiles have the bits of many rows'
  /// tiles, too.
  template <class Compare>
  void for_plans(const Compare& compare) const {
    int fitting = 0;
    for (const ProductPlan& plan : product_plans) {
      if (!fits(plan, matrix_->weights)) continue;
      ++fitting;
      for (const int rows : edge_counts) {
        compare(plan, rows);
        if (HasFatalFailure()) return;
      }
    }
    ASSERT_GE(fitting, 7);
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
  std::vector<float> run(int rows, const std::optional<ProductPlan>& plan = std::nullopt, const float* row_scales = nullptr) {
    const auto width = static_cast<std::size_t>(GetParam().outputs);
    if (output_.count() == 0) output_ = DeviceArray<float>(width * (rows_max + 1));
    output_.fill_bytes(0xFF);
    multiply(nullptr, matrix_->weights, input_->tiles, rows, output_.data(), plan, row_scales);
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

TEST_P(PlainProducts, HaveTheSameBitsByEveryPlan) {
  const auto all = run(rows_max);
  for_plans([&](const ProductPlan& plan, int rows) {
    auto some = run(rows, plan);
    const auto written = static_cast<std::size_t>(rows) * static_cast<std::size_t>(GetParam().outputs);
    for (std::size_t i = written; i < some.size(); ++i)
      ASSERT_TRUE(std::isnan(some[i])) << plan << " writes the row after " << rows;
    some.resize(written);
    ASSERT_FALSE(has_nan(some)) << plan << " leaves something out of " << rows << " rows";
    ASSERT_EQ(differing(some, all), 0U) << "of " << written << " by " << plan << ", for " << rows << " rows";
  });
}

TEST_P(PlainProducts, MultiplyEachRowByItsScale) {
  std::vector<float> scales;
  for (int row = 0; row < rows_max; ++row) scales.push_back(0.5f + noise(static_cast<std::uint64_t>(row), 7));
  const DeviceArray<float> memory(scales);
  auto all = run(rows_max);
  const auto width = static_cast<std::size_t>(GetParam().outputs);
  for (std::size_t i = 0; i < width * rows_max; ++i) all[i] *= scales[i / width];
  for_plans([&](const ProductPlan& plan, int rows) {
    auto some = run(rows, plan, memory.data());
    some.resize(static_cast<std::size_t>(rows) * width);
    ASSERT_EQ(differing(some, all), 0U) << "of " << some.size() << " by " << plan << ", for " << rows << " rows";
  });
}

class GatedProducts : public CudaProducts {
 protected:
  int width() const { return GetParam().outputs / 2; }
  /// [rows, width]
  std::vector<bf16> run(int rows, const std::optional<ProductPlan>& plan = std::nullopt, const float* row_scales = nullptr) {
    if (!output_) output_.emplace(rows_max, width());
    output_->memory.fill_bytes(0xFF);
    multiply_gated(nullptr, matrix_->weights, input_->tiles, rows, output_->tiles, plan, row_scales);
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

TEST_P(GatedProducts, HaveTheSameBitsByEveryPlan) {
  const auto all = run(rows_max);
  for_plans([&](const ProductPlan& plan, int rows) {
    const auto some = run(rows, plan);
    ASSERT_EQ(differing(some, all), 0U) << "of " << some.size() << " by " << plan << ", for " << rows << " rows";
  });
}

TEST_P(GatedProducts, OfScaledRowsHaveTheSameBitsByEveryPlan) {
  // Gates of every size: also those whose exponential is infinite, or of which nothing is left beside 1.
  constexpr float sizes[] = {1, 0, 1e-25f, 0.25f, 150, 1e-15f, 3e4f};
  std::vector<float> scales;
  for (int row = 0; row < rows_max; ++row)
    scales.push_back(sizes[row % std::size(sizes)] * (1 + noise(static_cast<std::uint64_t>(row), 7) / 2));
  const DeviceArray<float> memory(scales);
  const auto all = run(rows_max, ProductPlan{64, 8, k_chunks(matrix_->weights) > 1}, memory.data());
  for_plans([&](const ProductPlan& plan, int rows) {
    const auto some = run(rows, plan, memory.data());
    for (std::size_t i = 0; i < some.size(); ++i) {
      ASSERT_EQ(std::memcmp(&some[i], &all[i], sizeof(bf16)), 0)
          << __bfloat162float(some[i]) << " for " << __bfloat162float(all[i]) << " at row "
          << i / static_cast<std::size_t>(width()) << " (scale " << scales[i / static_cast<std::size_t>(width())]
          << "), element " << i % static_cast<std::size_t>(width()) << " by " << plan << ", for " << rows << " rows";
    }
  });
}

/// What is left after a product was added to residual rows.
struct Left {
  std::vector<float> x;
  std::vector<bf16> normed;
  std::vector<float> squares;
};

class ResidualProducts : public CudaProducts {
 protected:
  int width() const { return GetParam().outputs; }
  void SetUp() override {
    CudaProducts::SetUp();
    if (IsSkipped()) return;
    for (std::size_t i = 0; i < static_cast<std::size_t>(rows_max) * static_cast<std::size_t>(width()); ++i)
      before_.push_back(noise(i, 3));
    for (std::size_t i = 0; i < static_cast<std::size_t>(width()); ++i) weights_of_norm_.push_back(1 + noise(i, 4) / 2);
    residual_.emplace(rows_max, width());
    residual_->weights.write(weights_of_norm_);
  }
  /// Everything of all rows, so that also what nobody is to write is compared.
  Left run(int rows, const std::optional<ProductPlan>& plan = std::nullopt) {
    residual_->x.write(before_);
    residual_->normed.memory.fill_bytes(0);
    residual_->squares.fill_bytes(0xFF);
    multiply_residual(nullptr, matrix_->weights, input_->tiles, rows, *residual_, plan);
    return {residual_->x.read(), residual_->normed.memory.read(), residual_->squares.read()};
  }
  /// The first `rows` rows as in `all`, the others as they were before.
  void expect_rows(const Left& some, const Left& all, int rows, const std::string& by) {
    const RowTiles& tiles = residual_->normed.tiles;
    std::size_t wrong_x = 0;
    std::size_t wrong_normed = 0;
    std::size_t wrong_squares = 0;
    for (int row = 0; row < rows_max; ++row) {
      for (int i = 0; i < width(); ++i) {
        const std::size_t at = static_cast<std::size_t>(row) * static_cast<std::size_t>(width()) + static_cast<std::size_t>(i);
        const std::size_t place = tiles.offset(row, i);
        wrong_x += bits_differ(some.x[at], row < rows ? all.x[at] : before_[at]);
        wrong_normed += bits_differ(some.normed[place], row < rows ? all.normed[place] : bf16{});
      }
      for (int slice = 0; slice < divided_up(width(), 16); ++slice) {
        const std::size_t at =
            static_cast<std::size_t>(slice) * static_cast<std::size_t>(tiles.capacity) + static_cast<std::size_t>(row);
        wrong_squares += row < rows ? bits_differ(some.squares[at], all.squares[at]) : !std::isnan(some.squares[at]);
      }
    }
    ASSERT_EQ(wrong_x, 0U) << "rows of " << rows << by;
    ASSERT_EQ(wrong_normed, 0U) << "rows times weights of " << rows << by;
    ASSERT_EQ(wrong_squares, 0U) << "squares of " << rows << by;
  }
  template <class Element>
  static bool bits_differ(const Element& left, const Element& right) {
    return std::memcmp(&left, &right, sizeof(Element)) != 0;
  }

  std::vector<float> before_;
  std::vector<float> weights_of_norm_;
  std::optional<Residual> residual_;
};

TEST_P(ResidualProducts, AgreeWithDoubles) {
  const Left left = run(rows_max);
  RelativeError x;
  RelativeError normed;
  for_samples(width(), [&](int row, int element) {
    const std::size_t at =
        static_cast<std::size_t>(row) * static_cast<std::size_t>(width()) + static_cast<std::size_t>(element);
    const double sum = before_[at] + exact(row, element);
    x.add(sum, left.x[at]);
    normed.add(sum * weights_of_norm_[static_cast<std::size_t>(element)],
               __bfloat162float(left.normed[residual_->normed.tiles.offset(row, element)]));
  });
  EXPECT_LT(x.value(), tolerance);
  EXPECT_LT(normed.value(), gated_tolerance);
  RelativeError squares;
  for (int row = 0; row < rows_max; ++row) {
    for (int slice = 0; slice < divided_up(width(), 16); ++slice) {
      double sum = 0;
      for (int i = slice * 16; i < std::min(width(), slice * 16 + 16); ++i) {
        const double value =
            left.x[static_cast<std::size_t>(row) * static_cast<std::size_t>(width()) + static_cast<std::size_t>(i)];
        sum += value * value;
      }
      squares.add(sum,
                  left.squares[static_cast<std::size_t>(slice) * static_cast<std::size_t>(residual_->normed.tiles.capacity) +
                               static_cast<std::size_t>(row)]);
    }
  }
  EXPECT_LT(squares.value(), tolerance);
}

TEST_P(ResidualProducts, HaveTheSameBitsForEveryNumberOfRows) {
  const Left all = run(rows_max);
  for (const int rows : {1, 7, 8, 16, 31, 33, 64, 65, 128, 129, 192, 255, 256, 384, 511}) {
    expect_rows(run(rows), all, rows, "");
    if (HasFatalFailure()) return;
  }
}

TEST_P(ResidualProducts, HaveTheSameBitsByEveryPlan) {
  const Left all = run(rows_max);
  for_plans([&](const ProductPlan& plan, int rows) {
    std::ostringstream by;
    by << " by " << plan;
    expect_rows(run(rows, plan), all, rows, by.str());
  });
}

TEST(ProductPlans, OfRealShapesFit) {
  const Shape shapes[] = {{6144, 4096}, {4096, 4096}, {28672, 4096}, {4096, 14336}, {3072, 2048},   {16384, 2048},
                          {2048, 8192}, {4096, 1024}, {1024, 2048},  {6144, 1024},  {128256, 4096}, {1, 1}};
  for (const Shape& shape : shapes) {
    const WeightTiles weight{nullptr, shape.outputs, shape.inputs};
    for (const Ending ending : {Ending::rows, Ending::residual, Ending::gated}) {
      for (int rows = 1; rows <= 8192; ++rows) {
        const ProductPlan plan = pick(weight, rows, 132, ending);
        ASSERT_TRUE(fits(plan, weight)) << plan << " for " << shape << ", " << rows << " rows";
        ASSERT_GE(plan.rows, std::min(rows, 64)) << plan << " for " << shape << ", " << rows << " rows";
      }
    }
  }
}

// Where one was clearly faster than the others on an H200 (gpu_kernels_bench --plans).
TEST(ProductPlans, AreTheOnesMeasuredFastest) {
  struct Fastest {
    Shape shape;
    Ending ending;
    int rows;
    ProductPlan plan;
  };
  const Fastest all[] = {
      {{6144, 4096}, Ending::rows, 1024, {128, 128, false}},      {{6144, 4096}, Ending::rows, 4096, {128, 128, false}},
      {{4096, 4096}, Ending::residual, 1024, {128, 128, false}},  {{4096, 4096}, Ending::residual, 4096, {128, 128, false}},
      {{2048, 2048}, Ending::residual, 256, {128, 128, true}},    {{2048, 2048}, Ending::residual, 1024, {128, 128, false}},
      {{1024, 2048}, Ending::residual, 512, {128, 128, true}},    {{6144, 1024}, Ending::gated, 512, {128, 128, false}},
      {{16384, 2048}, Ending::gated, 4096, {128, 128, false}},    {{28672, 4096}, Ending::gated, 192, {128, 192, false}},
      {{28672, 4096}, Ending::gated, 1024, {128, 256, false}},    {{4096, 14336}, Ending::residual, 1024, {128, 128, false}},
      {{4096, 14336}, Ending::residual, 4096, {128, 128, false}}, {{3072, 2048}, Ending::rows, 1024, {128, 128, true}},
      {{3072, 2048}, Ending::rows, 4096, {128, 128, false}},      {{2048, 2048}, Ending::residual, 4096, {128, 128, false}},
      {{2048, 8192}, Ending::residual, 1024, {128, 128, false}},  {{2048, 8192}, Ending::residual, 4096, {128, 128, false}},
      {{4096, 1024}, Ending::rows, 1024, {128, 128, false}},      {{4096, 1024}, Ending::rows, 4096, {128, 128, false}},
      {{1024, 2048}, Ending::residual, 1024, {128, 128, true}},   {{1024, 2048}, Ending::residual, 4096, {128, 128, false}},
      {{6144, 1024}, Ending::gated, 1024, {128, 128, false}},     {{6144, 1024}, Ending::gated, 4096, {128, 128, false}},
      {{1024, 3072}, Ending::residual, 1024, {128, 128, true}},   {{1024, 3072}, Ending::residual, 4096, {128, 128, false}},
  };
  for (const Fastest& each : all) {
    const ProductPlan plan = pick({nullptr, each.shape.outputs, each.shape.inputs}, each.rows, 132, each.ending);
    EXPECT_EQ(plan, each.plan) << each.shape << ", " << each.rows << " rows";
  }
}

std::string name_of(const testing::TestParamInfo<Shape>& info) {
  return std::to_string(info.param.outputs) + "By" + std::to_string(info.param.inputs);
}

// Of models, and some that are no multiples of anything; with one chunk of inputs and with two; and for each way to end, shapes
// of which blocks of many rows have several tiles, also of rows that cannot be copied in bulk.
INSTANTIATE_TEST_SUITE_P(Shapes, PlainProducts,
                         testing::Values(Shape{6144, 4096}, Shape{4096, 14336}, Shape{2048, 2048}, Shape{1024, 3072},
                                         Shape{4104, 320}, Shape{3001, 520}, Shape{3003, 65}, Shape{288, 224}, Shape{128, 192},
                                         Shape{96, 160}, Shape{1001, 3331}, Shape{997, 333}, Shape{65, 63}, Shape{1, 1}),
                         name_of);
// Gates and ups come in eights.
INSTANTIATE_TEST_SUITE_P(Shapes, GatedProducts,
                         testing::Values(Shape{6144, 1024}, Shape{1024, 192}, Shape{320, 320}, Shape{1008, 3331},
                                         Shape{336, 333}, Shape{4112, 333}, Shape{5008, 520}, Shape{16, 1}),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Shapes, ResidualProducts,
                         testing::Values(Shape{2048, 2048}, Shape{4096, 1024}, Shape{6144, 1024}, Shape{1000, 3331},
                                         Shape{1032, 1024}, Shape{6152, 192}, Shape{72, 333}, Shape{8, 1}),
                         name_of);

}  // namespace
}  // namespace troupe::kernels::cuda
