#include "model/random_weights.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "model/weights.hpp"
#include "tests/support/plain_device.hpp"
#include "tests/support/small_checkpoint.hpp"

namespace troupe::model {
namespace {

using kernels::bf16;
using testing::PlainDevice;
using tests::packed_bits;
using tests::SmallCheckpoint;

ModelConfig bundled_config(const std::string& name) {
  auto config = load_config(std::filesystem::path(TROUPE_SOURCE_DIR) / "portfolio" / name / "config.json");
  EXPECT_TRUE(config) << config.error().message;
  return config.value_or(ModelConfig{});
}

std::vector<std::byte> all_bytes(const Weights& weights) {
  const auto* begin = reinterpret_cast<const std::byte*>(weights.embedding().data);  // the first piece
  return {begin, begin + weights.bytes()};
}

TEST(RandomWeights, AreAFunctionOfTheSeed) {
  const auto config = bundled_config("heavy");
  PlainDevice device;
  const auto first = Weights::random(config, 1, device);
  const auto again = Weights::random(config, 1, device);
  const auto other = Weights::random(config, 2, device);
  ASSERT_TRUE(first && again && other);
  EXPECT_EQ(first->bytes(), weights_bytes(config));
  EXPECT_EQ(all_bytes(*first), all_bytes(*again));
  EXPECT_NE(all_bytes(*first), all_bytes(*other));
}

struct Moments {
  double mean = 0;
  double variance = 0;
  double kurtosis = 0;
};

Moments moments_of(const PackedMatrix& matrix) {
  double sum = 0;
  double squares = 0;
  double fourths = 0;
  for (std::int64_t output = 0; output < matrix.outputs; ++output) {
    for (std::int64_t input = 0; input < matrix.inputs; ++input) {
      const double value = kernels::widen({packed_bits(matrix, output, input)});
      sum += value;
      squares += value * value;
      fourths += value * value * value * value;
    }
  }
  const double count = static_cast<double>(matrix.outputs) * matrix.inputs;
  const double variance = squares / count;
  return {sum / count, variance, fourths / count / (variance * variance)};
}

TEST(RandomWeights, AreNormalLikeAndScaledToTheirInputs) {
  const auto config = bundled_config("medium");
  PlainDevice device;
  const auto weights = Weights::random(config, 5, device);
  ASSERT_TRUE(weights);
  const LayerWeights& layer = weights->layers()[3];
  const double branches = 2 * config.layers;
  const std::pair<PackedMatrix, double> expected[] = {
      {layer.qkv, 1.0 / config.hidden},
      {layer.feed_forward.gate_up, 1.0 / config.hidden},
      {layer.feed_forward.down, 1.0 / config.intermediate / branches},
      {layer.attention_output, 1.0 / config.query_width() / branches},
      {weights->embedding(), 6.25 / config.hidden},
  };
  for (const auto& [matrix, variance] : expected) {
    const Moments seen = moments_of(matrix);
    const double count = static_cast<double>(matrix.outputs) * matrix.inputs;
    EXPECT_LT(std::abs(seen.mean), 5 * std::sqrt(variance / count));
    EXPECT_NEAR(seen.variance / variance, 1, 0.02);
    EXPECT_GT(seen.kurtosis, 2);  // 1.8 if it were uniform, 3 if its tails were not cut
    EXPECT_LT(seen.kurtosis, 3);
  }
  for (int i = 0; i < config.hidden; ++i) EXPECT_NEAR(weights->final_norm()[i], 1, 0.25);
  EXPECT_NE(weights->final_norm()[0], weights->final_norm()[1]);
}

TEST(RandomWeights, PadTheLastPanelWithZeros) {
  SmallCheckpoint small;
  const auto weights = Weights::random(small.config, 3, small.device);
  ASSERT_TRUE(weights);
  const PackedMatrix& table = weights->embedding();
  ASSERT_EQ(table.outputs, 5);
  for (int input = 0; input < table.inputs; ++input) {
    for (int output = 0; output < 32; ++output) EXPECT_EQ(packed_bits(table, output, input) == 0, output >= 5);
  }
}

TEST(RandomWeights, DifferBetweenTensors) {
  PlainDevice device;
  const auto weights = Weights::random(bundled_config("heavy"), 3, device);
  ASSERT_TRUE(weights);
  const auto& experts = weights->layers()[0].experts;
  EXPECT_NE(std::memcmp(experts[0].gate_up.data, experts[1].gate_up.data, experts[0].gate_up.elements() * sizeof(bf16)), 0);
  const auto& next = weights->layers()[1].experts;
  EXPECT_NE(std::memcmp(experts[0].gate_up.data, next[0].gate_up.data, experts[0].gate_up.elements() * sizeof(bf16)), 0);
}

}  // namespace
}  // namespace troupe::model
