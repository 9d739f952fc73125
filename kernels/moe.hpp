// The parts of a mixture-of-experts layer around the experts themselves: choosing them, moving rows to and from them, and
// adding what they answer in ascending expert id.
#pragma once

#include "kernels/device.hpp"

namespace troupe::kernels {

inline constexpr std::int32_t moe_experts_max = 1024;

/// For each row: gates = softmax over all experts (max; exp(x - max); their sum in sixteen lanes over ascending experts and
/// rms_norm's tree; division), the `chosen` largest gates (of equal ones the lower id), written in ascending id. With
/// `normalize`, each weight is its gate divided by the sum of the chosen gates, added in ascending id.
/// A row with a NaN chooses the lowest ids, and all its weights are NaN.
struct MoeRoute {
  const float* logits = nullptr;   ///< [rows, experts]
  std::int32_t* expert = nullptr;  ///< [rows, chosen], ascending in a row
  float* weight = nullptr;         ///< [rows, chosen]
  std::int32_t rows = 0;
  std::int32_t experts = 0;  ///< at most moe_experts_max
  std::int32_t chosen = 0;
  bool normalize = true;
};
void moe_route(Stream& stream, const MoeRoute& arguments);

/// target[i, :] = source[index[i], :] (gather), or target[index[i], :] = source[i, :] (scatter; no index twice).
struct MoveRows {
  const float* source = nullptr;
  float* target = nullptr;
  const std::int32_t* index = nullptr;  ///< [rows], host memory
  std::int32_t rows = 0;
  std::int32_t dim = 0;
};
void gather_rows(Stream& stream, const MoveRows& arguments);
void scatter_rows(Stream& stream, const MoveRows& arguments);

/// output[row, d] = w[0] * e[0, d], then fma(w[c], e[c, d], ...) over ascending c, the order of the expert ids.
struct MoeCombine {
  const float* expert_output = nullptr;  ///< [rows, chosen, dim]
  const float* weight = nullptr;         ///< [rows, chosen]
  float* output = nullptr;               ///< [rows, dim]
  std::int32_t rows = 0;
  std::int32_t chosen = 0;
  std::int32_t dim = 0;
};
void moe_combine(Stream& stream, const MoeCombine& arguments);

}  // namespace troupe::kernels
