// A checkpoint small enough to be written anew for each kind of damage (one layer, 16 wide), and what its tests look at.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "kernels/bf16.hpp"
#include "model/weights.hpp"
#include "tests/support/plain_device.hpp"
#include "tests/support/safetensors_writer.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::tests {

/// The documented packing, written out once more: [outputs / 32][inputs][32].
inline std::uint16_t packed_bits(const kernels::PackedMatrix& matrix, std::int64_t output, std::int64_t input) {
  return matrix.data[(output / 32 * matrix.inputs + input) * 32 + output % 32].bits;
}

/// A Llama with tied embeddings. Its tensors are public: tests damage them before they load.
class SmallCheckpoint {
 public:
  SmallCheckpoint() {
    config.vocabulary = 5;
    config.layers = 1;
    config.hidden = 16;
    config.intermediate = 48;
    config.heads = 2;
    config.kv_heads = 1;
    config.head_dim = 16;
    config.positions_max = 64;
    config.tied_embeddings = true;
    add("model.embed_tokens.weight", {5, 16});
    add("model.layers.0.input_layernorm.weight", {16});
    add("model.layers.0.mlp.down_proj.weight", {16, 48});
    add("model.layers.0.mlp.gate_proj.weight", {48, 16});
    add("model.layers.0.mlp.up_proj.weight", {48, 16});
    add("model.layers.0.post_attention_layernorm.weight", {16});
    add("model.layers.0.self_attn.k_proj.weight", {16, 16});
    add("model.layers.0.self_attn.o_proj.weight", {16, 32});
    add("model.layers.0.self_attn.q_proj.weight", {32, 16});
    add("model.layers.0.self_attn.v_proj.weight", {16, 16});
    add("model.norm.weight", {16});
  }

  TensorToWrite& operator[](const std::string& name) {
    for (auto& tensor : tensors) {
      if (tensor.name == name) return tensor;
    }
    add(name, {1});
    return tensors.back();
  }

  void add(const std::string& name, std::vector<std::int64_t> shape) {
    std::vector<kernels::bf16> values;
    std::int64_t count = 1;
    for (const auto size : shape) count *= size;
    for (std::int64_t i = 0; i < count; ++i) values.push_back(kernels::narrow(static_cast<float>(++last_ % 251 - 125) / 64));
    tensors.push_back({name, "BF16", std::move(shape), bytes_of(values)});
  }

  void erase(const std::string& name) {
    std::erase_if(tensors, [&](const TensorToWrite& tensor) { return tensor.name == name; });
  }

  Result<model::Weights> load(std::size_t header_padding = 0) {
    write_file(folder.path() / "model.safetensors", safetensors_bytes(tensors, header_padding));
    return model::Weights::load(folder.path(), config, device);
  }

  model::ModelConfig config;
  std::vector<TensorToWrite> tensors;
  TemporaryFolder folder;
  testing::PlainDevice device;

 private:
  int last_ = 0;
};

inline void expect_refused(const Result<model::Weights>& weights, ErrorCode code, const std::vector<std::string>& parts) {
  ASSERT_FALSE(weights) << "accepted, expected an error about " << parts.front();
  EXPECT_EQ(to_string(weights.error().code), to_string(code)) << weights.error().message;
  for (const auto& part : parts) {
    EXPECT_NE(weights.error().message.find(part), std::string::npos)
        << "\"" << part << "\" is not in: " << weights.error().message;
  }
}

}  // namespace troupe::tests
