// output[row, i] = silu(gate) * up with gate = input[row, i], up = input[row, dim + i] (Shazeer, "GLU Variants", 2020).
// silu(g) = g / (1 + exp(-g)), with our exp (math.hpp) and IEEE division; each element is computed alone.
#pragma once

#include "kernels/device.hpp"

namespace troupe::kernels {

struct Swiglu {
  const float* input = nullptr;  ///< [rows, 2 * dim]: gates, then ups
  float* output = nullptr;       ///< [rows, dim]
  std::int32_t rows = 0;
  std::int32_t dim = 0;
};

void swiglu(Stream& stream, const Swiglu& arguments);

}  // namespace troupe::kernels
