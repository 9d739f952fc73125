// Rows that decode, with what kernels/cuda/decode_attention.hpp wants to know of them, in device memory. The same rows can go
// through prefill attention, one at a time. All that tests and benchmarks know of that interface is here.
#pragma once

#include "kernels/cuda/decode_attention.hpp"
#include "kernels/cuda/prefill_attention.hpp"
#include "tests/gpu/products.hpp"

namespace troupe::kernels::cuda {

struct AttentionShape {
  int head_dim = 128;
  int kv_heads = 0;
  int group = 0;
  int layers = 1;
  int heads() const { return kv_heads * group; }
  int width() const { return heads() * head_dim; }
};

/// Room for so many rows and KV blocks. Queries, keys and values are noise.
class AttentionRows {
 public:
  /// `positions_max` bounds a sequence, `entries` is what blocks of the GPU can leave to each other.
  AttentionRows(const AttentionShape& shape, int rows, int kv_blocks, int positions_max, int entries);

  /// The position of each row, or -1. Which row is whose and which KV block holds what is shuffled by the seed. What KV blocks
  /// hold after a row's position becomes NaN. Where all that lies does not change, so that a graph stays as it is.
  void set(const std::vector<int>& positions, unsigned seed);
  void plan(cudaStream_t stream) const { check_cuda(plan_decode_attention(stream, decode_)); }
  void attend(cudaStream_t stream, int layer) const;
  void prefill(cudaStream_t stream, int layer) const;
  /// Every byte of the output.
  void clear_output() { attended_.memory.fill_bytes(untouched); }
  /// All rows of the output that there is room for, [rows, heads, head_dim].
  std::vector<bf16> output() const;
  /// Of one row's head, from its queries, keys and values in double, [head_dim].
  std::vector<double> exact(const DecodeRow& row, int layer, int head) const;

  const std::vector<DecodeRow>& rows() const { return rows_; }
  const AttentionShape& shape() const { return shape_; }
  /// Of the keys and values that the rows see in one layer.
  double bytes() const;

  static constexpr int untouched = 0x77;

 private:
  AttentionShape shape_;
  int blocks_stride_;
  std::vector<DecodeRow> rows_;
  std::vector<std::int32_t> blocks_;  ///< [sequences, blocks_stride]
  DeviceArray<bf16> kv_memory_;
  DeviceArray<bf16> queries_;
  Rows attended_;
  DeviceArray<DecodeRow> row_memory_;
  DeviceArray<std::int32_t> block_memory_;
  DeviceArray<DecodeShare> shares_;
  DeviceArray<std::int32_t> counters_;
  DeviceArray<float> values_;
  DeviceArray<float2> sums_;
  DecodeAttention decode_;
};

}  // namespace troupe::kernels::cuda
