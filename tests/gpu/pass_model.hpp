// Passes over many rows of a model's sequences, made of kernels/cuda/{rows,matmul,prefill_attention}.hpp. All that tests and
// benchmarks know of how these make a pass is here.
#pragma once

#include "kernels/cuda/prefill_attention.hpp"
#include "kernels/cuda/rows.hpp"
#include "tests/gpu/decode_model.hpp"

namespace troupe::kernels::cuda {

/// Consecutive tokens of one of a batch's sequences.
struct PassPart {
  int sequence = 0;
  int first_position = 0;
  std::vector<std::int32_t> tokens;
};

/// Room for passes of up to `rows_max` rows, and for sequences of up to `positions` tokens, each with as many KV blocks as it
/// may need; the blocks are full of NaN. The model has to live as long as this.
class PassBatch {
 public:
  PassBatch(const DecodeModel& model, int rows_max, int sequences, int positions);

  int blocks_each() const { return blocks_each_; }
  const DeviceArray<bf16>& kv() const { return kv_; }
  /// Which of the pool's blocks are whose: [sequences, blocks_each], each of sequences * blocks_each once.
  void place_blocks(const std::vector<std::int32_t>& blocks) { placed_blocks_ = blocks; }
  /// The rows of the next pass, one part's after the other's; a sequence has one part at most.
  void set(const std::vector<PassPart>& parts);
  /// Through all layers.
  void run(cudaStream_t stream) const;
  /// Of all rows, after `run`.
  void run_logits(cudaStream_t stream) const;
  std::vector<float> logits(int row) const;
  /// Multiplications and additions of `run`.
  double operations() const;

 private:
  ResidualRows residual(const float* next_norm) const;
  void scale_norms(cudaStream_t stream) const;
  /// The product of rows whose norm's scales are known.
  void multiply_normed(cudaStream_t stream, const WeightTiles& weights, float* output) const;
  void multiply_residual(cudaStream_t stream, const WeightTiles& weights, const RowTiles& input, const float* next_norm) const;
  void attend(cudaStream_t stream, int layer) const;

  const DecodeModel& model_;
  DecodeStep step_;  ///< the model's part of it
  int blocks_each_;
  std::vector<std::int32_t> placed_blocks_;
  std::vector<PrefillSequence> parts_;
  int rows_ = 0;

  DeviceArray<bf16> kv_;
  DeviceArray<std::int32_t> tokens_;
  DeviceArray<std::int32_t> positions_;
  DeviceArray<std::int32_t> part_of_row_;
  DeviceArray<std::int32_t> blocks_;  ///< [parts, blocks_each]
  DeviceArray<PrefillSequence> sequences_;
  DeviceArray<PrefillTile> tiles_;
  DeviceArray<float> x_;
  Rows normed_;
  DeviceArray<float> squares_;
  DeviceArray<float> scales_;
  DeviceArray<float> qkv_;
  DeviceArray<bf16> queries_;
  Rows attended_;
  Rows gated_;
  DeviceArray<float> logits_;
};

/// 4 x head_dim x heads for each pair of a row and a position up to its own.
double attention_operations(const PrefillSequence& sequence, int heads, int head_dim);

}  // namespace troupe::kernels::cuda
