// A model with random weights, and the batches that kernels/cuda/decode_step.hpp decodes with it. All that tests and benchmarks
// know of that interface is here.
#pragma once

#include <optional>

#include "kernels/cuda/decode_step.hpp"
#include "tests/gpu/products.hpp"

namespace troupe::kernels::cuda {

struct LayerWeights {
  Matrix qkv;
  Matrix attention_output;
  Matrix gate_up;
  Matrix down;
  DeviceArray<float> attention_norm;
  DeviceArray<float> feed_forward_norm;
  std::optional<DeviceArray<float>> query_norm;
  std::optional<DeviceArray<float>> key_norm;
};

/// What rotates a dimension of a head at a position.
double rope_angle(int position, int dimension, int head_dim);

class DecodeModel {
 public:
  /// Epsilon and the attention's scale are filled in. For sequences of up to `positions` tokens.
  DecodeModel(DecodeShape shape, bool query_key_norms, int positions);

  const DecodeShape& shape() const { return shape_; }
  const std::vector<LayerWeights>& layers() const { return layers_; }
  const Matrix& embedding() const { return embedding_; }
  const Matrix& output_projection() const { return output_projection_; }
  const DeviceArray<float>& final_norm() const { return final_norm_; }
  /// That a step reads, but for the embeddings.
  std::size_t weight_bytes() const;
  std::size_t kv_bytes_per_position() const;
  /// A step of which everything is set that is the model's.
  DecodeStep step() const;

 private:
  DecodeShape shape_;
  std::vector<LayerWeights> layers_;
  DeviceArray<DecodeLayer> layer_table_;
  Matrix embedding_;
  Matrix output_projection_;
  DeviceArray<float> final_norm_;
  DeviceArray<float> cosine_;
  DeviceArray<float> sine_;
};

/// Room for the sequences of a batch, each with as many KV blocks as it may need; the blocks are full of NaN.
class DecodeBatch {
 public:
  DecodeBatch(const DecodeModel& model, int rows, int positions);

  int rows() const { return rows_; }
  int blocks_each() const { return blocks_each_; }
  DeviceArray<bf16>& kv() { return kv_; }
  /// Which of the pool's blocks are whose: [rows, blocks_each], each of rows * blocks_each once.
  void place_blocks(const std::vector<std::int32_t>& blocks) {
    placed_blocks_ = blocks;
    blocks_.write(blocks);
  }
  /// The sequences' next tokens, and where they stand.
  void set(const std::vector<std::int32_t>& tokens, const std::vector<std::int32_t>& positions);
  /// The same of some of the sequences, in this order: those whose blocks are place_blocks' rows `sequences`.
  void set(const std::vector<int>& sequences, const std::vector<std::int32_t>& tokens,
           const std::vector<std::int32_t>& positions);
  void run(cudaStream_t stream) const { check_cuda(decode_step(stream, step_)); }
  std::vector<float> logits(int row) const;
  /// Of all rows, one after another.
  std::vector<float> logits() const { return logits_.read(0, static_cast<std::size_t>(step_.rows * vocabulary_)); }

 private:
  int rows_;
  int vocabulary_;
  int blocks_each_;
  std::vector<std::int32_t> placed_blocks_;
  DecodeStep step_;
  DeviceArray<bf16> kv_;
  DeviceArray<std::int32_t> tokens_;
  DeviceArray<std::int32_t> positions_;
  DeviceArray<std::int32_t> blocks_;
  DeviceArray<std::int32_t> spans_before_;
  DeviceArray<float> logits_;
  DeviceArray<std::byte> workspace_;
};

}  // namespace troupe::kernels::cuda
