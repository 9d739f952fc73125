// What happens to a tile's sums once they are complete, in the layout in which a warpgroup holds them (wgmma.cuh): 64 outputs
// by N rows of the batch. The same code ends products of few and of many rows, so both give the same bits.
#pragma once

#include <cstdint>

#include "kernels/cuda/matmul.hpp"
#include "kernels/cuda/tiles.hpp"

namespace troupe::kernels::cuda {

inline constexpr int warpgroup = 128;

/// Waits for the other threads of the warpgroup; each has a barrier of its own.
__device__ __forceinline__ void warpgroup_sync() {
  asm volatile("bar.sync %0, %1;" ::"r"(1 + static_cast<int>(threadIdx.x) / warpgroup), "n"(warpgroup) : "memory");
}

__device__ __forceinline__ float silu(float x) { return x / (1.0f + __expf(-x)); }

/// silu of several numbers, side by side, by all lanes of a warp. A division has a branch for operands of extreme size, so that
/// divisions do not overlap; where none is extreme, this takes the steps that the compiler takes, which round to the same bits,
/// and branches once.
template <int Count>
__device__ __forceinline__ void silu_each(float (&x)[Count]) {
  constexpr float least = 0x1p-60f;
  constexpr float most = 40;  // whose exponential is far from the largest number, too
  float result[Count];
  bool plain = true;
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    plain = plain && fabsf(x[i]) >= least && fabsf(x[i]) <= most;
    const float divisor = 1.0f + __expf(-x[i]);
    float inverse;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(inverse) : "f"(divisor));
    inverse = fmaf(inverse, fmaf(-divisor, inverse, 1.0f), inverse);
    const float quotient = x[i] * inverse;
    result[i] = fmaf(inverse, fmaf(-divisor, quotient, x[i]), quotient);
  }
  if (__any_sync(0xFFFFFFFF, !plain)) {
#pragma unroll
    for (int i = 0; i < Count; ++i) result[i] = silu(x[i]);
    __syncwarp();  // together again
  }
#pragma unroll
  for (int i = 0; i < Count; ++i) x[i] = result[i];
}

/// Calls visit(row, output, upper, lower) for each pair of sums that this thread holds: of one row, outputs `output` and
/// `output + 8` of the tile.
template <int N, class Visit>
__device__ __forceinline__ void for_each_pair(const float (&sums)[N / 2], const Visit& visit) {
  const int thread = static_cast<int>(threadIdx.x) % warpgroup;
  const int output = thread / 32 * 16 + thread % 32 / 4;
  const int row = thread % 4 * 2;
#pragma unroll
  for (int j = 0; j < N / 8; ++j) {
    visit(j * 8 + row, output, sums[4 * j], sums[4 * j + 2]);
    visit(j * 8 + row + 1, output, sums[4 * j + 1], sums[4 * j + 3]);
  }
}

/// The outputs of a tile as plain rows; `target` is the first row at the tile's first output.
template <int N>
__device__ __forceinline__ void write_rows(const float (&sums)[N / 2], float* target, std::size_t stride, int rows, int outputs,
                                           const float* row_scales) {
  for_each_pair<N>(sums, [&](int row, int output, float upper, float lower) {
    if (row >= rows) return;
    const float scale = row_scales == nullptr ? 1.0f : row_scales[row];
    float* const place = target + static_cast<std::size_t>(row) * stride + output;
    if (output < outputs) place[0] = upper * scale;
    if (output + 8 < outputs) place[8] = lower * scale;
  });
}

/// silu(gate) * up: a tile of eight gates, eight ups, ... gives half as many outputs, from `first_output` on.
template <int N>
__device__ __forceinline__ void write_gated(const float (&sums)[N / 2], const RowTiles& target, int first_row, int first_output,
                                            int rows, const float* row_scales) {
  for_each_pair<N>(sums, [&](int row, int output, float gate, float up) {
    if (row >= rows) return;
    const float scale = row_scales == nullptr ? 1.0f : row_scales[row];
    const int place = first_output + output / 16 * 8 + output % 8;
    target.data[target.offset(first_row + row, place)] = __float2bfloat16_rn(silu(gate * scale) * (up * scale));
  });
}

/// Adds a tile to the residual rows (ResidualRows).
template <int N>
__device__ __forceinline__ void add_residual(const float (&sums)[N / 2], const ResidualRows& target, int first_row, int tile,
                                             int rows) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for_each_pair<N>(sums, [&](int row, int output, float upper, float lower) {
    float square = 0;
    const int dim = tile * tile_outputs + output;
    if (row < rows) {
      const std::size_t at = static_cast<std::size_t>(first_row + row) * static_cast<std::size_t>(target.hidden) + dim;
      float first = 0;
      float second = 0;
      if (dim < target.hidden) {
        first = __ldcg(target.x + at) + upper;
        target.x[at] = first;
        target.normed.data[target.normed.offset(first_row + row, dim)] = __float2bfloat16_rn(first * target.weights[dim]);
      }
      if (dim + 8 < target.hidden) {
        second = __ldcg(target.x + at + 8) + lower;
        target.x[at + 8] = second;
        target.normed.data[target.normed.offset(first_row + row, dim + 8)] =
            __float2bfloat16_rn(second * target.weights[dim + 8]);
      }
      square = fmaf(second, second, first * first);
    }
    square += __shfl_xor_sync(0xFFFFFFFF, square, 4);
    square += __shfl_xor_sync(0xFFFFFFFF, square, 8);
    square += __shfl_xor_sync(0xFFFFFFFF, square, 16);
    if (lane < 4 && row < rows && dim < target.hidden) {  // slices beyond it have no place
      target.squares[static_cast<std::size_t>(dim / 16) * static_cast<std::size_t>(target.normed.capacity) + first_row + row] =
          square;
    }
  });
}

/// Of a row with this sum of squares.
__device__ __forceinline__ float norm_scale(float sum, int hidden, float epsilon) {
  return rsqrtf(sum / static_cast<float>(hidden) + epsilon);
}

/// 1 / sqrt(mean square + epsilon) of a row, by four lanes: one adds the slices 0, 4, 8, ..., the next one 1, 5, 9, ...; then
/// (0 + 1) + (2 + 3). load(squares, first) loads the squares of slices first, first + 4, ..., zeros beyond the last.
inline constexpr int slices_at_once = 16;
template <class Load>
__device__ __forceinline__ float norm_scale(const Load& load, int slices, int hidden, float epsilon) {
  float sum = 0;
  for (int first = 0; first < slices; first += 4 * slices_at_once) {  // as often in all lanes
    float square[slices_at_once];
    load(square, first + static_cast<int>(threadIdx.x) % 4);
#pragma unroll
    for (int i = 0; i < slices_at_once; ++i) sum += square[i];
  }
  sum += __shfl_xor_sync(0xFFFFFFFF, sum, 1);
  sum += __shfl_xor_sync(0xFFFFFFFF, sum, 2);
  return norm_scale(sum, hidden, epsilon);
}
/// `squares` is the row's first slice.
__device__ __forceinline__ float norm_scale(const float* squares, std::size_t stride, int slices, int hidden, float epsilon) {
  const auto load = [&](float(&square)[slices_at_once], int first) {
#pragma unroll
    for (int i = 0; i < slices_at_once; ++i)
      square[i] = first + 4 * i < slices ? __ldcg(squares + static_cast<std::size_t>(first + 4 * i) * stride) : 0.0f;
  };
  return norm_scale(load, slices, hidden, epsilon);
}

}  // namespace troupe::kernels::cuda
