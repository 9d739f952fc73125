// A mixture-of-experts layer with random weights, and rows to put through it, one by one or in batches of any order. All that
// tests and benchmarks know of kernels/cuda/moe.hpp is here.
#pragma once

#include "kernels/cuda/moe.hpp"
#include "tests/gpu/products.hpp"

namespace troupe::kernels::cuda {

class MoeLayer {
 public:
  explicit MoeLayer(const MoeShape& shape);
  const MoeShape& shape() const { return shape_; }
  WeightTiles gate_up(int expert) const { return shape_.gate_up(gate_up_.data(), expert); }
  WeightTiles down(int expert) const { return shape_.down(down_.data(), expert); }
  const bf16* all_gate_up() const { return gate_up_.data(); }
  const bf16* all_down() const { return down_.data(); }
  const std::vector<float>& next_norm() const { return next_norm_; }
  const float* next_norm_data() const { return next_norm_memory_.data(); }
  double expert_bytes() const { return 6.0 * shape_.hidden * shape_.intermediate; }

 private:
  MoeShape shape_;
  DeviceArray<bf16> gate_up_;
  DeviceArray<bf16> down_;
  std::vector<float> next_norm_;
  DeviceArray<float> next_norm_memory_;
};

/// Rows on the host, plain. Logits are multiples of 1/8, so that equal ones are frequent and others are far apart.
struct MoeRows {
  int count = 0;
  int experts = 0;
  int hidden = 0;
  std::vector<float> logits;  ///< [count, experts]
  std::vector<float> x;       ///< [count, hidden]
  std::vector<bf16> input;    ///< [count, hidden]
  std::vector<float> scales;  ///< [count]
};
MoeRows random_moe_rows(const MoeShape& shape, int count, std::uint32_t seed);

/// What a layer leaves, by the row of the batch; plain.
struct MoeResult {
  std::vector<std::int32_t> expert;  ///< [rows, chosen]
  std::vector<float> weight;         ///< [rows, chosen]
  std::vector<float> outputs;        ///< [rows, chosen, hidden]
  std::vector<float> x;              ///< [rows, hidden]
  std::vector<bf16> normed;          ///< [rows, hidden]
  std::vector<float> squares;        ///< [rows, hidden / 16]
};

/// Room for batches of up to `rows_max` rows. The layer has to live as long as this.
class MoeBatch {
 public:
  MoeBatch(const MoeLayer& layer, int rows_max);
  /// Puts the chosen rows through the layer, in this order. What is to be written is NaN before.
  MoeResult run(const MoeRows& rows, const std::vector<int>& order);
  /// Makes the rows those of later calls of `begin`.
  void set(const MoeRows& rows, const std::vector<int>& order);
  void begin(cudaStream_t stream) const { begin(stream, logits_.data()); }
  void begin(cudaStream_t stream, const float* logits) const;
  std::vector<std::int32_t> experts() const;
  const RowTiles& input() const { return input_.tiles; }
  const float* scales() const { return scales_.data(); }

 private:
  const MoeLayer& layer_;
  int rows_ = 0;
  DeviceArray<std::byte> memory_;
  MoeBuffers buffers_;
  DeviceArray<float> logits_;
  DeviceArray<float> scales_;
  DeviceArray<float> x_;
  DeviceArray<float> squares_;
  Rows input_;
  Rows normed_;
};

}  // namespace troupe::kernels::cuda
