// Root mean square normalisation (Zhang and Sennrich, 2019), with the residual sum before it.
//
//   x[row, :] += addend[row, :]                             (if there is an addend)
//   output[row, d] = (x[row, d] * r) * weight[d],  r = 1 / sqrt(sum(x[row, :]^2) / dim + epsilon)
//
// The sum of squares runs in sixteen lanes (lane l takes d = l, l + 16, ...) as fused multiply-adds, and the lanes are
// added in a tree: lane i and lane i + 8, then i + 4, i + 2, i + 1. Any dim will do: lanes past the end add nothing.
// A row knows nothing of other rows. Moves rows x dim x 8 bytes, 20 with an addend.
#pragma once

#include "kernels/device.hpp"

namespace troupe::kernels {

struct RmsNorm {
  float* x = nullptr;             ///< [rows, dim], updated only if there is an addend
  const float* addend = nullptr;  ///< [rows, dim] or null
  const float* weight = nullptr;  ///< [dim]
  float* output = nullptr;        ///< [rows, dim], not x
  std::int32_t rows = 0;
  std::int32_t dim = 0;
  float epsilon = 0;
};

void rms_norm(Stream& stream, const RmsNorm& arguments);

}  // namespace troupe::kernels
