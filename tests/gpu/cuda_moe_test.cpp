// A mixture-of-experts layer on a GPU: right, and a row gets the same bits alone and in any batch.
#include <numeric>
#include <random>

#include "tests/gpu/hopper_test.hpp"
#include "tests/gpu/moe_model.hpp"

namespace troupe::kernels::cuda {
namespace {

constexpr int rows_max = 300;
/// Of the experts' answers, as a share of their length: what lies between the two products is rounded to bf16.
constexpr double tolerance = 1e-2;

std::vector<int> rows_from(int first, int count) {
  std::vector<int> rows(static_cast<std::size_t>(count));
  std::iota(rows.begin(), rows.end(), first);
  return rows;
}

class CudaMoe : public OnHopper, public testing::WithParamInterface<MoeShape> {
 protected:
  void SetUp() override {
    OnHopper::SetUp();
    if (IsSkipped()) return;
    layer_.emplace(GetParam());
    rows_ = random_moe_rows(GetParam(), rows_max, 9);
    batch_.emplace(*layer_, rows_max);
  }
  const MoeShape& shape() const { return GetParam(); }
  std::size_t hidden() const { return static_cast<std::size_t>(shape().hidden); }
  std::size_t chosen() const { return static_cast<std::size_t>(shape().chosen); }

  /// How often an element of a part of two rows' results differs, or nothing if all are the same and none is a NaN.
  template <class Element>
  static std::string difference(const char* what, const std::vector<Element>& all, int all_row,
                                const std::vector<Element>& some, int some_row, std::size_t width) {
    const Element* const left = all.data() + static_cast<std::size_t>(all_row) * width;
    const Element* const right = some.data() + static_cast<std::size_t>(some_row) * width;
    std::size_t count = 0;
    std::size_t first = width;
    for (std::size_t i = 0; i < width; ++i) {
      if (std::memcmp(left + i, right + i, sizeof(Element)) == 0) continue;
      ++count;
      first = std::min(first, i);
    }
    if (count == 0) return "";
    return std::string(" ") + what + ": " + std::to_string(count) + " of " + std::to_string(width) + ", the first at " +
           std::to_string(first) + ";";
  }
  std::string difference(const MoeResult& all, int all_row, const MoeResult& some, int some_row) const {
    return difference("expert", all.expert, all_row, some.expert, some_row, chosen()) +
           difference("weight", all.weight, all_row, some.weight, some_row, chosen()) +
           difference("outputs", all.outputs, all_row, some.outputs, some_row, chosen() * hidden()) +
           difference("x", all.x, all_row, some.x, some_row, hidden()) +
           difference("normed", all.normed, all_row, some.normed, some_row, hidden()) +
           difference("squares", all.squares, all_row, some.squares, some_row, hidden() / 16);
  }
  /// That rows of the batch `order` got the bits that they got in the batch of all rows.
  void expect_same_bits(const MoeResult& all, const std::vector<int>& order, const std::string& how) {
    const MoeResult some = batch_->run(rows_, order);
    int wrong = 0;
    std::string first;
    for (std::size_t i = 0; i < order.size(); ++i) {
      const std::string what = difference(all, order[i], some, static_cast<int>(i));
      if (what.empty()) continue;
      if (wrong++ == 0) first = "row " + std::to_string(i) + " (" + std::to_string(order[i]) + "):" + what;
    }
    EXPECT_EQ(wrong, 0) << "of " << order.size() << " rows differ, " << how << "; " << first;
  }
  /// What an expert answers to all rows by `product`, [rows_max, hidden].
  std::vector<float> answers_alone(int expert) const {
    const Rows gated(rows_max, shape().intermediate);
    const DeviceArray<float> output(static_cast<std::size_t>(rows_max) * hidden());
    Product first;
    first.weight = layer_->gate_up(expert);
    first.input = batch_->input();
    first.rows = rows_max;
    first.row_scales = batch_->scales();
    first.gated = gated.tiles;
    check_cuda(product(nullptr, first));
    multiply(nullptr, layer_->down(expert), gated.tiles, rows_max, output.data());
    return output.read();
  }
  void expect_answers_as_alone(const MoeResult& all, int expert) const {
    const auto alone = answers_alone(expert);
    int rows = 0;
    int wrong = 0;
    std::string first;
    for (int row = 0; row < rows_max; ++row) {
      for (int choice = 0; choice < shape().chosen; ++choice) {
        const int slot = row * shape().chosen + choice;
        if (all.expert[static_cast<std::size_t>(slot)] != expert) continue;
        ++rows;
        const std::string what = difference("answers", all.outputs, slot, alone, row, hidden());
        if (!what.empty() && wrong++ == 0) first = "row " + std::to_string(row) + ":" + what;
      }
    }
    EXPECT_EQ(wrong, 0) << "of " << rows << " rows of expert " << expert << " differ; " << first;
  }
  /// All rows choose the same experts, the last ones, but for the first row.
  void skew() {
    for (int row = 1; row < rows_max; ++row)
      for (int expert = 0; expert < shape().experts; ++expert)
        rows_.logits[static_cast<std::size_t>(row * shape().experts + expert)] = static_cast<float>(expert) / 8;
  }

  std::optional<MoeLayer> layer_;
  std::optional<MoeBatch> batch_;
  MoeRows rows_;
};

TEST_P(CudaMoe, AgreesWithDoubles) {
  for (const int rows : {5, 40}) {
    const MoeResult result = batch_->run(rows_, rows_from(0, rows));
    ASSERT_FALSE(has_nan(result.outputs)) << "an answer is not written, of " << rows << " rows";
    RelativeError error;
    for (int row = 0; row < rows; row += rows / 5) {
      const auto slot = static_cast<std::size_t>(row) * chosen() + static_cast<std::size_t>(row) % chosen();
      const int expert = result.expert[slot];
      const auto read = [](const WeightTiles& tiles) {
        std::vector<bf16> weights(tiles.elements());
        check_cuda(cudaMemcpy(weights.data(), tiles.data, weights.size() * sizeof(bf16), cudaMemcpyDeviceToHost));
        return weights;
      };
      const WeightTiles gate_up = layer_->gate_up(expert);
      const WeightTiles down = layer_->down(expert);
      const auto gate_up_weights = read(gate_up);
      const auto down_weights = read(down);
      const auto normed = [&](int output) {
        double sum = 0;
        for (int i = 0; i < shape().hidden; ++i)
          sum += static_cast<double>(__bfloat162float(gate_up_weights[gate_up.offset(output, i)])) *
                 static_cast<double>(
                     __bfloat162float(rows_.input[static_cast<std::size_t>(row) * hidden() + static_cast<std::size_t>(i)]));
        return sum * static_cast<double>(rows_.scales[static_cast<std::size_t>(row)]);
      };
      std::vector<double> gated;
      for (int i = 0; i < shape().intermediate; ++i) {
        const double gate = normed(gate_place(i).gate);
        gated.push_back(gate / (1 + std::exp(-gate)) * normed(gate_place(i).up));
      }
      for (int output = 0; output < shape().hidden; ++output) {
        double sum = 0;
        for (int i = 0; i < shape().intermediate; ++i)
          sum +=
              static_cast<double>(__bfloat162float(down_weights[down.offset(output, i)])) * gated[static_cast<std::size_t>(i)];
        error.add(sum, result.outputs[slot * hidden() + static_cast<std::size_t>(output)]);
      }
    }
    EXPECT_LT(error.value(), tolerance) << "of " << rows << " rows";
    std::printf("error of %d rows: %.2e\n", rows, error.value());
  }
}

TEST_P(CudaMoe, ExpertsAnswerAsTheyDoAlone) {
  const MoeResult all = batch_->run(rows_, rows_from(0, rows_max));
  for (int expert = 0; expert < shape().experts; expert += std::max(1, shape().experts / 8))
    expect_answers_as_alone(all, expert);
}

TEST_P(CudaMoe, GivesARowTheSameBitsInEveryBatch) {
  const MoeResult all = batch_->run(rows_, rows_from(0, rows_max));
  for (int rows = 1; rows <= 17; ++rows) expect_same_bits(all, rows_from(rows * 3, rows), std::to_string(rows) + " rows");
  for (const int rows : {31, 32, 33, 63, 64, 65, 100, 128, 129, 200, 255, 256})
    expect_same_bits(all, rows_from(rows_max - rows, rows), std::to_string(rows) + " rows");
  std::mt19937 random(5);
  for (const int rows : {2, 5, 8, 9, 30, 77, rows_max}) {
    auto order = rows_from(0, rows_max);
    std::shuffle(order.begin(), order.end(), random);
    order.resize(static_cast<std::size_t>(rows));
    expect_same_bits(all, order, std::to_string(rows) + " rows, shuffled");
  }
}

TEST_P(CudaMoe, GivesTheSameBitsWhenAllChooseTheSame) {
  skew();
  const MoeResult all = batch_->run(rows_, rows_from(0, rows_max));
  for (const int expert : {shape().experts - shape().chosen, shape().experts - 1}) expect_answers_as_alone(all, expert);
  for (const int rows : {1, 2, 7, 8, 9, 33, 65, 129, 193, 257}) expect_same_bits(all, rows_from(0, rows), "skewed");
}

TEST_P(CudaMoe, LeavesWhatTheNextNormNeeds) {
  for (const int rows : {3, 33}) {
    const MoeResult result = batch_->run(rows_, rows_from(0, rows));
    std::size_t wrong_x = 0;
    std::size_t wrong_normed = 0;
    std::size_t wrong_squares = 0;
    for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row) {
      const float* const weights = &result.weight[row * chosen()];
      for (std::size_t slice = 0; slice < hidden() / 16; ++slice) {
        float x[16];
        for (std::size_t i = 0; i < 16; ++i) {
          const std::size_t dim = slice * 16 + i;
          const float* const answers = &result.outputs[row * chosen() * hidden() + dim];
          float sum = weights[0] * answers[0];
          for (std::size_t choice = 1; choice < chosen(); ++choice)
            sum = std::fma(weights[choice], answers[choice * hidden()], sum);
          x[i] = rows_.x[row * hidden() + dim] + sum;
          const bf16 normed = __float2bfloat16(x[i] * layer_->next_norm()[dim]);
          wrong_x += std::memcmp(&x[i], &result.x[row * hidden() + dim], sizeof(float)) != 0;
          wrong_normed += std::memcmp(&normed, &result.normed[row * hidden() + dim], sizeof(bf16)) != 0;
        }
        float pairs[8];
        for (int i = 0; i < 8; ++i) pairs[i] = std::fma(x[i + 8], x[i + 8], x[i] * x[i]);
        const float squares = ((pairs[0] + pairs[1]) + (pairs[2] + pairs[3])) + ((pairs[4] + pairs[5]) + (pairs[6] + pairs[7]));
        wrong_squares += std::memcmp(&squares, &result.squares[row * (hidden() / 16) + slice], sizeof(float)) != 0;
      }
    }
    EXPECT_EQ(wrong_x, 0U) << "of " << result.x.size() << ", " << rows << " rows";
    EXPECT_EQ(wrong_normed, 0U) << "of " << result.normed.size() << ", " << rows << " rows";
    EXPECT_EQ(wrong_squares, 0U) << "of " << result.squares.size() << ", " << rows << " rows";
  }
}

TEST_P(CudaMoe, KeepsANanInItsRow) {
  const MoeResult all = batch_->run(rows_, rows_from(0, rows_max));
  const MoeRows clean = rows_;
  for (const int row : {2, 50}) {
    rows_.logits[static_cast<std::size_t>(row * shape().experts)] = std::nanf("");
    rows_.input[static_cast<std::size_t>(row) * hidden()] = __float2bfloat16(std::nanf(""));
  }
  for (const int rows : {4, 60}) {
    const MoeResult result = batch_->run(rows_, rows_from(0, rows));
    for (int row = 0; row < rows; ++row) {
      const auto at = static_cast<std::size_t>(row);
      if (row != 2 && row != 50) {
        EXPECT_EQ(difference(all, row, result, row), "") << "row " << row << " of " << rows;
        continue;
      }
      for (std::size_t i = 0; i < chosen(); ++i) {
        EXPECT_EQ(result.expert[at * chosen() + i], static_cast<int>(i)) << "row " << row << " of " << rows;
        EXPECT_TRUE(std::isnan(result.weight[at * chosen() + i])) << "row " << row << " of " << rows;
      }
      EXPECT_TRUE(std::isnan(result.x[at * hidden()])) << "row " << row << " of " << rows;
    }
  }
  rows_ = clean;
  for (const int rows : {4, 60}) expect_same_bits(all, rows_from(0, rows), "after NaN");
}

std::string name_of(const testing::TestParamInfo<MoeShape>& info) {
  const MoeShape& shape = info.param;
  return std::to_string(shape.hidden) + "By" + std::to_string(shape.intermediate) + "Choose" + std::to_string(shape.chosen) +
         "Of" + std::to_string(shape.experts);
}

// Qwen3-30B-A3B, the bundled heavy model, and what is no multiple of a tile; with one chunk of inputs, with two, and with two
// of different lengths; with experts in groups of four, and some left over.
INSTANTIATE_TEST_SUITE_P(Shapes, CudaMoe,
                         testing::Values(MoeShape{2048, 768, 128, 8, true}, MoeShape{320, 160, 8, 2, true},
                                         MoeShape{224, 112, 6, 3, false}, MoeShape{256, 1536, 16, 4, true},
                                         MoeShape{1024, 1024, 4, 1, false}, MoeShape{128, 48, 200, 16, true},
                                         MoeShape{16, 16, 2, 2, true}, MoeShape{1152, 576, 20, 5, true},
                                         MoeShape{4096, 1536, 32, 6, true}),
                         name_of);

struct RouteCase {
  int experts;
  int chosen;
  bool normalize;
};

class CudaMoeRoute : public OnHopper, public testing::WithParamInterface<RouteCase> {};

/// Softmax, the largest gates and their weights, in double.
struct Routed {
  std::vector<int> expert;
  std::vector<double> weight;
};
Routed route_in_doubles(const float* logits, const RouteCase& route) {
  const auto experts = static_cast<std::size_t>(route.experts);
  const double highest = *std::max_element(logits, logits + experts);
  double sum = 0;
  for (std::size_t i = 0; i < experts; ++i) sum += std::exp(static_cast<double>(logits[i]) - highest);
  std::vector<int> order(experts);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int left, int right) { return logits[left] > logits[right]; });
  order.resize(static_cast<std::size_t>(route.chosen));
  std::sort(order.begin(), order.end());
  Routed routed{order, {}};
  double chosen_sum = 0;
  for (const int expert : order) {
    routed.weight.push_back(std::exp(static_cast<double>(logits[expert]) - highest) / sum);
    chosen_sum += routed.weight.back();
  }
  if (route.normalize)
    for (double& weight : routed.weight) weight /= chosen_sum;
  return routed;
}

TEST_P(CudaMoeRoute, ChoosesTheLargestAndOfEqualOnesTheLower) {
  constexpr int rows = 131;
  constexpr int nan_row = 77;
  const RouteCase& route = GetParam();
  const auto chosen = static_cast<std::size_t>(route.chosen);
  std::vector<float> logits(static_cast<std::size_t>(rows * route.experts));
  // Row 0 has equal logits; others repeat a few dozen values.
  for (std::size_t i = 0; i < logits.size(); ++i)
    logits[i] = i < static_cast<std::size_t>(route.experts) ? 1.0f : std::round(noise(i, 3) * 20) / 4;
  logits[static_cast<std::size_t>(nan_row * route.experts + route.experts / 2)] = std::nanf("");
  const DeviceArray<float> logits_memory(logits);
  DeviceArray<std::int32_t> expert(static_cast<std::size_t>(rows) * chosen);
  DeviceArray<float> weight(static_cast<std::size_t>(rows) * chosen);
  expert.fill_bytes(0xFF);
  weight.fill_bytes(0xFF);
  check_cuda(moe_route(
      nullptr, {logits_memory.data(), expert.data(), weight.data(), rows, route.experts, route.chosen, route.normalize}));
  const auto experts = expert.read();
  const auto weights = weight.read();
  for (int row = 0; row < rows; ++row) {
    const Routed wanted =
        row == nan_row ? Routed{} : route_in_doubles(&logits[static_cast<std::size_t>(row * route.experts)], route);
    for (std::size_t i = 0; i < chosen; ++i) {
      const std::size_t at = static_cast<std::size_t>(row) * chosen + i;
      if (row == nan_row) {
        ASSERT_EQ(experts[at], static_cast<int>(i)) << "of a row with a NaN";
        ASSERT_TRUE(std::isnan(weights[at])) << "of a row with a NaN";
        continue;
      }
      ASSERT_EQ(experts[at], wanted.expert[i]) << "choice " << i << " of row " << row;
      ASSERT_NEAR(weights[at], wanted.weight[i], 4e-6 * wanted.weight[i]) << "choice " << i << " of row " << row;
    }
  }
}

TEST_F(OnHopper, MoeRouteRefusesWhatItIsNotFor) {
  for (const RouteCase& route :
       {RouteCase{1025, 8, true}, RouteCase{128, 17, true}, RouteCase{4, 5, true}, RouteCase{4, 0, true}})
    EXPECT_EQ(moe_route(nullptr, {nullptr, nullptr, nullptr, 1, route.experts, route.chosen, route.normalize}),
              cudaErrorInvalidValue)
        << route.chosen << " of " << route.experts;
}

std::string name_of_route(const testing::TestParamInfo<RouteCase>& info) {
  return std::to_string(info.param.chosen) + "Of" + std::to_string(info.param.experts) +
         (info.param.normalize ? "Normalized" : "");
}

INSTANTIATE_TEST_SUITE_P(Counts, CudaMoeRoute,
                         testing::Values(RouteCase{1, 1, true}, RouteCase{2, 1, false}, RouteCase{8, 2, true},
                                         RouteCase{31, 16, true}, RouteCase{32, 8, false}, RouteCase{33, 3, true},
                                         RouteCase{64, 6, false}, RouteCase{128, 8, true}, RouteCase{129, 8, true},
                                         RouteCase{512, 10, false}, RouteCase{1000, 16, true}, RouteCase{1024, 16, true}),
                         name_of_route);

}  // namespace
}  // namespace troupe::kernels::cuda
