#include "model/weights.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "model/safetensors.hpp"
#include "model/tensor_values.hpp"
#include "tests/support/plain_device.hpp"
#include "tests/support/safetensors_writer.hpp"
#include "tests/support/small_checkpoint.hpp"

namespace troupe::model {
namespace {

namespace fs = std::filesystem;
using kernels::bf16;
using testing::PlainDevice;
using tests::expect_refused;
using tests::packed_bits;
using tests::SmallCheckpoint;
using tests::TensorToWrite;

const fs::path portfolio = fs::path(TROUPE_SOURCE_DIR) / "portfolio";

ModelConfig bundled_config(const std::string& name) {
  auto config = load_config(portfolio / name / "config.json");
  EXPECT_TRUE(config) << config.error().message;
  return config.value_or(ModelConfig{});
}

/// Compares weights with the file that they came from.
class FileComparison {
 public:
  explicit FileComparison(const SafetensorsFile& file) : file_(file) {}

  void matrix(const PackedMatrix& matrix, const std::vector<std::string>& tensors) {
    std::int64_t output = 0;
    std::int64_t differing = 0;
    for (const std::string& name : tensors) {
      const auto tensor = file_.find(name);
      ASSERT_TRUE(tensor) << tensor.error().message;
      ASSERT_EQ(tensor->shape[1], matrix.inputs) << name;
      for (std::int64_t row = 0; row < tensor->shape[0]; ++row, ++output) {
        for (std::int64_t input = 0; input < matrix.inputs; ++input) {
          differing += packed_bits(matrix, output, input) != bits(*tensor, row * matrix.inputs + input);
        }
      }
    }
    EXPECT_EQ(output, matrix.outputs) << tensors.front();
    EXPECT_EQ(differing, 0) << tensors.front();
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(matrix.data) % 64, 0U) << tensors.front();
    for (std::int64_t padding = output; padding < std::int64_t{matrix.panels()} * 32; ++padding) {
      for (std::int64_t input = 0; input < matrix.inputs; ++input) ASSERT_EQ(packed_bits(matrix, padding, input), 0);
    }
    compared += output * matrix.inputs;
  }

  void vector(const float* values, const std::string& name) {
    const auto tensor = file_.find(name);
    ASSERT_TRUE(tensor) << tensor.error().message;
    ASSERT_NE(values, nullptr) << name;
    for (std::int64_t i = 0; i < tensor->elements(); ++i) ASSERT_EQ(values[i], kernels::widen({bits(*tensor, i)})) << name;
    compared += tensor->elements();
  }

  void feed_forward(const FeedForwardWeights& weights, const std::string& prefix) {
    matrix(weights.gate_up, {prefix + "gate_proj.weight", prefix + "up_proj.weight"});
    matrix(weights.down, {prefix + "down_proj.weight"});
  }

  void layer(const LayerWeights& layer, int index, const ModelConfig& config) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const std::string attention = prefix + "self_attn.";
    vector(layer.attention_norm, prefix + "input_layernorm.weight");
    matrix(layer.qkv, {attention + "q_proj.weight", attention + "k_proj.weight", attention + "v_proj.weight"});
    matrix(layer.attention_output, {attention + "o_proj.weight"});
    vector(layer.feed_forward_norm, prefix + "post_attention_layernorm.weight");
    if (config.query_key_norm) {
      vector(layer.query_norm, attention + "q_norm.weight");
      vector(layer.key_norm, attention + "k_norm.weight");
    } else {
      EXPECT_EQ(layer.query_norm, nullptr);
      EXPECT_EQ(layer.key_norm, nullptr);
    }
    if (!config.moe) {
      feed_forward(layer.feed_forward, prefix + "mlp.");
      EXPECT_TRUE(layer.experts.empty());
      return;
    }
    matrix(layer.router, {prefix + "mlp.gate.weight"});
    ASSERT_EQ(layer.experts.size(), static_cast<std::size_t>(config.moe->experts));
    for (std::size_t expert = 0; expert < layer.experts.size(); ++expert) {
      feed_forward(layer.experts[expert], prefix + "mlp.experts." + std::to_string(expert) + ".");
    }
  }

  std::int64_t compared = 0;

 private:
  static std::uint16_t bits(const TensorView& tensor, std::int64_t index) {
    std::uint16_t value = 0;
    std::memcpy(&value, tensor.bytes.data() + 2 * index, 2);
    return value;
  }

  const SafetensorsFile& file_;
};

void expect_equal_to_file(const Weights& weights, const ModelConfig& config, const fs::path& folder) {
  const auto file = SafetensorsFile::open(folder / "model.safetensors");
  ASSERT_TRUE(file) << file.error().message;
  FileComparison comparison(*file);
  comparison.matrix(weights.embedding(), {"model.embed_tokens.weight"});
  comparison.vector(weights.final_norm(), "model.norm.weight");
  if (config.tied_embeddings) {
    EXPECT_EQ(weights.output_projection().data, weights.embedding().data);
  } else {
    comparison.matrix(weights.output_projection(), {"lm_head.weight"});
  }
  ASSERT_EQ(weights.layers().size(), static_cast<std::size_t>(config.layers));
  for (int layer = 0; layer < config.layers; ++layer) {
    comparison.layer(weights.layers()[static_cast<std::size_t>(layer)], layer, config);
  }
  EXPECT_EQ(comparison.compared, count_parameters(config).total) << "every parameter is somewhere";
}

TEST(Weights, HoldEveryElementOfTheBundledModels) {
  for (const char* name : {"mini", "medium", "heavy"}) {
    SCOPED_TRACE(name);
    PlainDevice device;
    const auto config = bundled_config(name);
    const auto weights = Weights::load(portfolio / name, config, device);
    ASSERT_TRUE(weights) << weights.error().message;
    EXPECT_EQ(device.allocations(), 1);
    EXPECT_EQ(device.stream().bytes_copied(), 0U) << "the host writes a CPU's memory in place";
    EXPECT_EQ(weights->bytes(), weights_bytes(config));
    expect_equal_to_file(*weights, config, portfolio / name);
  }
}

TEST(Weights, StayWhereTheyAreWhenMoved) {
  PlainDevice device;
  const auto config = bundled_config("mini");
  auto loaded = Weights::load(portfolio / "mini", config, device);
  ASSERT_TRUE(loaded);
  const auto* before = loaded->embedding().data;
  const Weights moved = *std::move(loaded);
  EXPECT_EQ(moved.embedding().data, before);
  expect_equal_to_file(moved, config, portfolio / "mini");
}

TEST(Weights, ReportProgressUpToTheEnd) {
  PlainDevice device;
  std::vector<double> told;
  ASSERT_TRUE(Weights::load(portfolio / "medium", bundled_config("medium"), device, [&](double f) { told.push_back(f); }));
  ASSERT_GT(told.size(), 5U);
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.back(), 1);
}

TEST(Weights, SayWhenTheDeviceHasNoRoom) {
  PlainDevice device(1 << 20);
  const auto weights = Weights::load(portfolio / "mini", bundled_config("mini"), device);
  ASSERT_FALSE(weights);
  EXPECT_EQ(weights.error().code, ErrorCode::overloaded);
}

TEST(Weights, PadTheLastPanelWithZeros) {
  SmallCheckpoint small;
  const auto weights = small.load();
  ASSERT_TRUE(weights) << weights.error().message;
  expect_equal_to_file(*weights, small.config, small.folder.path());
}

TEST(Weights, AreReadFromOddAddresses) {
  SmallCheckpoint small;
  const auto weights = small.load(3);
  ASSERT_TRUE(weights) << weights.error().message;
  expect_equal_to_file(*weights, small.config, small.folder.path());
}

TEST(Weights, NameTheTensorThatIsMissing) {
  SmallCheckpoint small;
  small.erase("model.layers.0.self_attn.k_proj.weight");
  const std::string message =
      small.folder.path().string() +
      ": the weights have no tensor \"model.layers.0.self_attn.k_proj.weight\"; config.json implies one "
      "of BF16 [16, 16]";
  const auto loaded = small.load();
  expect_refused(loaded, ErrorCode::not_found, {message});
  EXPECT_EQ(loaded.error().message, message) << "the folder is named once";
  EXPECT_EQ(small.device.allocations(), 0) << "nothing is allocated for a checkpoint that does not fit";
}

TEST(Weights, NameTheTensorOfTheWrongShape) {
  SmallCheckpoint small;
  small["model.layers.0.mlp.down_proj.weight"].shape = {48, 16};
  expect_refused(small.load(), ErrorCode::invalid_argument,
                 {"model.layers.0.mlp.down_proj.weight", "BF16 [48, 16]", "BF16 [16, 48]"});
  SmallCheckpoint flat;
  flat["model.norm.weight"].shape = {1, 16};
  expect_refused(flat.load(), ErrorCode::invalid_argument, {"model.norm.weight", "BF16 [1, 16]", "BF16 [16]"});
}

TEST(Weights, NameTheTensorThatDoesNotBelong) {
  SmallCheckpoint small;
  small.add("model.layers.0.self_attn.q_proj.bias", {32});
  expect_refused(small.load(), ErrorCode::invalid_argument, {"model.layers.0.self_attn.q_proj.bias", "LlamaForCausalLM"});
}

TEST(Weights, IgnoreWhatChangesNothing) {
  SmallCheckpoint small;
  small.add("model.layers.0.self_attn.rotary_emb.inv_freq", {8});
  auto copy = small["model.embed_tokens.weight"];
  copy.name = "lm_head.weight";
  small.tensors.push_back(copy);
  const auto weights = small.load();
  ASSERT_TRUE(weights) << weights.error().message;
  EXPECT_EQ(weights->output_projection().data, weights->embedding().data);
  small["lm_head.weight"].bytes[0] = static_cast<char>(small["lm_head.weight"].bytes[0] ^ 1);
  expect_refused(small.load(), ErrorCode::invalid_argument, {"lm_head.weight", "tie_word_embeddings"});
}

/// The same numbers in another type. `widen` gives the bytes of one value.
void retype(TensorToWrite& tensor, const std::string& dtype, const std::function<std::string(float)>& bytes) {
  std::string converted;
  for (std::size_t i = 0; i < tensor.bytes.size(); i += 2) {
    bf16 value;
    std::memcpy(&value, tensor.bytes.data() + i, 2);
    converted += bytes(kernels::widen(value));
  }
  tensor.dtype = dtype;
  tensor.bytes = converted;
}

std::string float_bytes(float value) { return tests::bytes_of(std::vector{value}); }

TEST(Weights, TakeOtherTypesOnlyIfNothingIsLost) {
  SmallCheckpoint small;
  const auto original = small.load();
  ASSERT_TRUE(original) << original.error().message;
  SmallCheckpoint wide;
  for (auto& tensor : wide.tensors) retype(tensor, "F32", float_bytes);
  const auto loaded = wide.load(1);
  ASSERT_TRUE(loaded) << loaded.error().message;
  ASSERT_EQ(loaded->bytes(), original->bytes());
  EXPECT_EQ(std::memcmp(loaded->embedding().data, original->embedding().data, original->bytes()), 0);

  const float finer = 1 + 0x1p-8F;
  wide["model.layers.0.mlp.up_proj.weight"].bytes.replace(4 * 17, 4, float_bytes(finer));
  expect_refused(wide.load(), ErrorCode::unsupported,
                 {"model.layers.0.mlp.up_proj.weight", "F32 [48, 16]", "element 17 is 1.00390625", "bfloat16"});
}

TEST(Weights, NameTheFirstElementThatIsInfiniteOrNoNumber) {
  constexpr float infinite = std::numeric_limits<float>::infinity();
  constexpr float largest_bf16 = 0x1.FEp127F;
  for (const float value : {largest_bf16, -largest_bf16, infinite, -infinite, std::nanf("")}) {
    SmallCheckpoint model;
    std::vector<bf16> matrix(16 * 48, kernels::narrow(1));
    matrix[700] = matrix[710] = kernels::narrow(value);
    model["model.layers.0.mlp.down_proj.weight"].bytes = tests::bytes_of(matrix);
    SmallCheckpoint other;
    std::vector<float> norm(16, 1.0F);
    norm[3] = value;
    other["model.norm.weight"] = {"model.norm.weight", "F32", {16}, tests::bytes_of(norm)};
    if (std::isfinite(value)) {
      EXPECT_TRUE(model.load() && other.load()) << value;
    } else {
      expect_refused(model.load(), ErrorCode::corrupt, {"\"model.layers.0.mlp.down_proj.weight\"", "element 700"});
      expect_refused(other.load(), ErrorCode::corrupt, {"\"model.norm.weight\"", "element 3"});
    }
  }
}

TEST(Weights, AreLookedThroughToTheLastOne) {
  for (std::size_t count = 1; count <= 9; ++count) {
    std::vector<bf16> values(count, kernels::narrow(-1));
    EXPECT_TRUE(check_finite(values, "a", 0));
    values.back() = kernels::narrow(std::numeric_limits<float>::infinity());
    const auto found = check_finite(values, "a", 7);
    ASSERT_FALSE(found);
    EXPECT_NE(found.error().message.find("element " + std::to_string(count + 6) + " is"), std::string::npos);
  }
}

TEST(Weights, ReadNormsOfAnyTypeExactly) {
  SmallCheckpoint small;
  small["model.norm.weight"] = {"model.norm.weight", "F32", {16}, tests::bytes_of(std::vector<float>(16, 1.1F))};
  small["model.layers.0.input_layernorm.weight"] = {
      "model.layers.0.input_layernorm.weight", "F16", {16}, tests::bytes_of(std::vector<std::uint16_t>(16, 0x3C01))};
  const auto weights = small.load();
  ASSERT_TRUE(weights) << weights.error().message;
  EXPECT_EQ(weights->final_norm()[15], 1.1F);
  EXPECT_EQ(weights->layers()[0].attention_norm[7], 1 + 0x1p-10F);
}

TEST(Weights, RefuseTypesThatAreNoWeights) {
  SmallCheckpoint small;
  auto& tensor = small["model.layers.0.self_attn.o_proj.weight"];
  tensor.dtype = "F8_E4M3";
  tensor.bytes.resize(16 * 32);
  expect_refused(small.load(), ErrorCode::unsupported, {"model.layers.0.self_attn.o_proj.weight", "F8_E4M3 [16, 32]", "BF16"});
}

TEST(TensorValues, WidenEveryHalfExactly) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = widen_half(static_cast<std::uint16_t>(bits));
    const int exponent = static_cast<int>(bits >> 10 & 31);
    const auto fraction = static_cast<float>(bits & 1023);
    const bool negative = bits >> 15 != 0;
    ASSERT_EQ(std::signbit(value), negative) << bits;
    if (exponent == 31) {
      ASSERT_EQ(std::isnan(value), fraction != 0) << bits;
      ASSERT_EQ(std::isinf(value), fraction == 0) << bits;
    } else {
      const float expected = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
      ASSERT_EQ(std::abs(value), expected) << bits;
    }
  }
}

}  // namespace
}  // namespace troupe::model
