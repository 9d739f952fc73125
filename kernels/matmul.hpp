// output[row, n] = sum over ascending k of input[row, k] * weight[n, k], as one chain of fused multiply-adds that starts
// from zero, for groups of rows that each have their own weights (one group: an ordinary product; several: experts).
// Vectors run across n and the tiling is over rows and n only, so one row or a thousand, one thread or many give the same bits.
// A group of the wrong shape or with missing pointers is a bug and stops the process.
// Floor: one row reads the weights once (2 bytes each); many rows take 2 x rows x n x k operations.
#pragma once

#include <span>

#include "kernels/device.hpp"
#include "kernels/packed_matrix.hpp"

namespace troupe::kernels {

struct MatmulGroup {
  PackedMatrix weight;
  std::int32_t first_row = 0;
  std::int32_t rows = 0;
};

struct Matmul {
  const float* input = nullptr;  ///< [rows, inputs]
  float* output = nullptr;       ///< [rows, outputs], not overlapping the input
  /// Disjoint ranges of rows; all weights have the same inputs and outputs. Host memory.
  std::span<const MatmulGroup> groups;
};

void matmul(Stream& stream, const Matmul& arguments);

}  // namespace troupe::kernels
