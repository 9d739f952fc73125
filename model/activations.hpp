// The memory that one forward pass on a CPU computes in: one allocation, cut into the arrays that its operations read and
// write.
#pragma once

#include <cstdint>

#include "base/result.hpp"
#include "kernels/device.hpp"
#include "kernels/log_sum_exp.hpp"
#include "model/config.hpp"
#include "model/forward.hpp"

namespace troupe::model {

/// Owns the memory. All arrays are in device memory, 64-byte aligned; shapes are [rows, what is said].
class Activations {
 public:
  static Result<Activations> create(const ModelConfig& config, const ForwardLimits& limits, kernels::Device& device);
  /// What `create` allocates.
  static std::size_t bytes(const ModelConfig& config, const ForwardLimits& limits);

  float* x = nullptr;         ///< [hidden], the residual stream
  float* normed = nullptr;    ///< [hidden]
  float* branch = nullptr;    ///< [hidden], what attention or a feed-forward adds to x
  float* qkv = nullptr;       ///< [qkv_width]
  float* attended = nullptr;  ///< [query_width]
  float* gate_up = nullptr;   ///< [2 * intermediate]
  float* inner = nullptr;     ///< [intermediate]
  // Of a mixture of experts.
  float* router = nullptr;         ///< [experts]
  std::int32_t* expert = nullptr;  ///< [experts_per_token]
  float* expert_weight = nullptr;  ///< [experts_per_token]
  float* expert_output = nullptr;  ///< [experts_per_token, hidden]
  // Of the rows that want logits.
  float* logits = nullptr;  ///< [vocabulary]
  kernels::LogitSummary* summaries = nullptr;

 private:
  /// Sets the arrays if there is a base, and returns how many bytes they take.
  std::size_t lay_out(const ModelConfig& config, const ForwardLimits& limits, std::byte* base);

  kernels::Memory memory_;
};

}  // namespace troupe::model
