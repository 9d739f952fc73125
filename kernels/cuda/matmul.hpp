// Matrix products on Hopper: output[row, n] = sum over k of input[row, k] * weight[n, k], bf16 operands, float sums.
//
// The order of every sum depends on the weight's shape alone: k is cut into `k_chunks(weight)` chunks of whole panels; in a
// chunk the tensor cores add 16 products at a time over ascending k, from zero (docs/numerics.md says what one such step
// computes); chunks are added in ascending order. One row or thousands, and however the product is cut into tiles
// (product_plan.hpp), give the same bits. Floor: few rows read the weights once (2 bytes each); many rows take 2 x rows x n x k
// operations.
#pragma once

#include "kernels/cuda/tiles.hpp"

namespace troupe::kernels::cuda {

/// Rows that products are added to. Beside the sums they leave what the next norm needs: the rows times its weights, and the
/// sums of the squares of 16 outputs each (of outputs n and n + 8, then over the eight pairs in a tree).
struct ResidualRows {
  float* x = nullptr;              ///< [rows, hidden], 16-byte aligned
  const float* weights = nullptr;  ///< of the next norm, [hidden]
  RowTiles normed;                 ///< x times the weights, not yet divided by the row's length
  float* squares = nullptr;        ///< [hidden / 16, normed.capacity]
  std::int32_t hidden = 0;         ///< the weight's outputs, a multiple of 8
};

struct Product {
  WeightTiles weight;
  RowTiles input;
  std::int32_t rows = 0;
  const float* row_scales = nullptr;  ///< [rows], each row of the product is multiplied by its own; null: by nothing
  /// One of the three is where the product goes: plain rows [rows, output_stride];
  float* output = nullptr;
  std::int32_t output_stride = 0;
  /// of weights whose rows alternate between eight gates and eight ups, the rows silu(gate) * up, half as wide;
  RowTiles gated;
  /// or what it is added to (without scales).
  ResidualRows residual;
};

inline constexpr int k_chunks_max = 2;  ///< processors that share their memory come in pairs
/// Into how many parts a weight's inputs are cut: enough for the tiles times the chunks to occupy the chip when there are few
/// rows.
__host__ __device__ constexpr int k_chunks(const WeightTiles& weight) {
  constexpr int tasks_wanted = 96;
  constexpr int chunk_panels_min = 4;
  int chunks = 1;
  while (chunks < k_chunks_max && weight.tiles() * chunks < tasks_wanted && weight.panels() / (chunks * 2) >= chunk_panels_min)
    chunks *= 2;
  return chunks;
}

/// The panels of a chunk; pairs are not divided.
struct Panels {
  int first;
  int end;
};
__host__ __device__ constexpr Panels panels_of_chunk(int panels, int chunk, int chunks) {
  return {panels / 2 * chunk / chunks * 2, panels / 2 * (chunk + 1) / chunks * 2};
}

/// cudaErrorInvalidValue for residual rows of another width.
cudaError_t product(cudaStream_t stream, const Product& arguments);

/// scales[row] = 1 / sqrt(mean square of a residual row + epsilon), of rows that `product` or `embed` has left.
cudaError_t norm_scales(cudaStream_t stream, const ResidualRows& residual, int rows, float epsilon, float* scales);

}  // namespace troupe::kernels::cuda
