// What happens to a tile's sums of many rows once they are complete: the same as in fragments.cuh, with the same bits. There
// each lane goes on with what it holds, which for hundreds of rows is a program longer than the processor's instruction cache,
// and scattered accesses. Here a warp ends 32 rows of its 16 outputs at a time, through shared memory (row_staging.cuh).
#pragma once

#include <cstdint>

#include "kernels/cuda/product_plan.hpp"
#include "kernels/cuda/row_staging.cuh"

namespace troupe::kernels::cuda {

inline constexpr int ended_rows = 32;              ///< together
inline constexpr int ended_each = ended_rows / 8;  ///< of them, that a lane takes up
using EndStaging = RowStaging<ended_rows>;

/// For each group of 32 rows of a warp's tile that has some of the first `rows`: calls begin(first row) while the group is
/// still to be laid down, and then end(row, i, sums) for each i-th row that the lane takes up, also for rows that are not
/// there, so that `end` may exchange numbers between lanes. All lanes of a warp call it with the same `rows`. `Ahead` rows are
/// worked on side by side.
template <int N, int Ahead, class Begin, class End>
__device__ __forceinline__ void for_staged_rows(const float (&sums)[N / 2], EndStaging& staging, int rows, const Begin& begin,
                                                const End& end) {
#pragma unroll 1
  for (int first = 0; first < rows; first += ended_rows) {
    begin(first);
    __syncwarp();  // all have taken up the last group
    stage_group<N>(sums, first / ended_rows, staging);
    __syncwarp();
#pragma unroll Ahead
    for (int i = 0; i < ended_each; ++i) end(first + staged_first_row() + i * 8, i, staged_sums(staging, i));
  }
  __syncwarp();  // the staging is free again
}

/// As write_rows.
template <int N>
__device__ __forceinline__ void write_staged_rows(const float (&sums)[N / 2], EndStaging& staging, float* target,
                                                  std::size_t stride, int rows, int outputs, const float* row_scales) {
  const int output = staged_output();
  const bool together =
      (stride | static_cast<std::size_t>(outputs) | reinterpret_cast<std::size_t>(target) / sizeof(float)) % 2 == 0;
  for_staged_rows<N, ended_each>(
      sums, staging, rows, [](int) {},
      [&](int row, int, const RowSums& of) {
        if (row >= rows) return;
        const float scale = row_scales == nullptr ? 1.0f : row_scales[row];
        float* const place = target + static_cast<std::size_t>(row) * stride + output;
        store_pair(place, {of.upper.x * scale, of.upper.y * scale}, outputs - output, together);
        store_pair(place + 8, {of.lower.x * scale, of.lower.y * scale}, outputs - output - 8, together);
      });
}

/// As write_gated. Elements come in eights, so both of a lane's are there or none is.
template <int N>
__device__ __forceinline__ void write_staged_gated(const float (&sums)[N / 2], EndStaging& staging, const RowTiles& target,
                                                   int first_row, int first_output, int rows, const float* row_scales) {
  const int output = staged_output();
  const int place = first_output + output / 16 * 8 + output % 8;
  for_staged_rows<N, 1>(
      sums, staging, rows, [](int) {},
      [&](int row, int, const RowSums& of) {
        if (row >= rows) return;
        const float scale = row_scales == nullptr ? 1.0f : row_scales[row];
        __nv_bfloat162 pair;
        pair.x = __float2bfloat16_rn(silu(of.upper.x * scale) * (of.lower.x * scale));
        pair.y = __float2bfloat16_rn(silu(of.upper.y * scale) * (of.lower.y * scale));
        *reinterpret_cast<__nv_bfloat162*>(target.data + target.offset(first_row + row, place)) = pair;
      });
}

/// As add_residual. Rows are of eights, so both of a lane's pairs are there or none is.
template <int N>
__device__ __forceinline__ void add_staged_residual(const float (&sums)[N / 2], EndStaging& staging, const ResidualRows& target,
                                                    int first_row, int tile, int rows) {
  const int dim = tile * tile_outputs + staged_output();
  const bool upper_there = dim < target.hidden;
  const bool lower_there = dim + 8 < target.hidden;
  const auto hidden = static_cast<std::size_t>(target.hidden);
  float* const x = target.x + static_cast<std::size_t>(first_row) * hidden + dim;
  const float2 upper_weights = load_pair(target.weights + dim, upper_there);
  const float2 lower_weights = load_pair(target.weights + dim + 8, lower_there);
  RowSums old[ended_each];
  RowSums next[ended_each];
  const auto load = [&](int first) {
#pragma unroll
    for (int i = 0; i < ended_each; ++i) {
      const int row = first + staged_first_row() + i * 8;
      const float* const place = x + static_cast<std::size_t>(row) * hidden;
      next[i] = {load_pair(place, row < rows && upper_there), load_pair(place + 8, row < rows && lower_there)};
    }
  };
  const auto store = [&](float* place, int row, int at, float2 sum, float2 weights) {
    *reinterpret_cast<float2*>(place) = sum;
    __nv_bfloat162 normed;
    normed.x = __float2bfloat16_rn(sum.x * weights.x);
    normed.y = __float2bfloat16_rn(sum.y * weights.y);
    *reinterpret_cast<__nv_bfloat162*>(target.normed.data + target.normed.offset(row, at)) = normed;
  };
  load(0);
  for_staged_rows<N, ended_each>(
      sums, staging, rows,
      [&](int first) {  // a group's reads are on their way while the one before it ends
#pragma unroll
        for (int i = 0; i < ended_each; ++i) old[i] = next[i];
        load(first + ended_rows);
      },
      [&](int row, int i, const RowSums& of) {
        // What is not there is zero: so are its weights' products and its square.
        const float2 upper{old[i].upper.x + of.upper.x, old[i].upper.y + of.upper.y};
        const float2 lower{old[i].lower.x + of.lower.x, old[i].lower.y + of.lower.y};
        float* const place = x + static_cast<std::size_t>(row) * hidden;
        if (row < rows && upper_there) store(place, first_row + row, dim, upper, upper_weights);
        if (row < rows && lower_there) store(place + 8, first_row + row, dim + 8, lower, lower_weights);
        float square = fmaf(lower.x, lower.x, upper.x * upper.x) + fmaf(lower.y, lower.y, upper.y * upper.y);
        square += __shfl_xor_sync(0xFFFFFFFF, square, 1);
        square += __shfl_xor_sync(0xFFFFFFFF, square, 2);
        if (threadIdx.x % 4 == 0 && row < rows && upper_there) {
          target.squares[static_cast<std::size_t>(dim / 16) * static_cast<std::size_t>(target.normed.capacity) + first_row +
                         row] = square;
        }
      });
}

/// Does with a tile's sums, of rows from first_row on, what the product is for.
template <int N, Ending E>
__device__ __forceinline__ void end_staged_tile(const Product& p, int tile, int first_row, const float (&sums)[N / 2],
                                                EndStaging& staging) {
  const int rows = min(N, p.rows - first_row);
  const float* const scales = p.row_scales == nullptr ? nullptr : p.row_scales + first_row;
  if constexpr (E == Ending::rows) {
    const auto stride = static_cast<std::size_t>(p.output_stride);
    float* const target = p.output + static_cast<std::size_t>(first_row) * stride + tile * tile_outputs;
    write_staged_rows<N>(sums, staging, target, stride, rows, p.weight.outputs - tile * tile_outputs, scales);
  } else if constexpr (E == Ending::residual) {
    add_staged_residual<N>(sums, staging, p.residual, first_row, tile, rows);
  } else {
    write_staged_gated<N>(sums, staging, p.gated, first_row, tile * tile_outputs / 2, rows, scales);
  }
}

}  // namespace troupe::kernels::cuda
