// What happens to a tile's sums of many rows once they are complete: the same as in fragments.cuh, with the same bits. There
// each lane goes on with what it holds, which for hundreds of rows is a program longer than the processor's instruction cache,
// and scattered accesses. Here a warp lays 32 rows of its 16 outputs down in shared memory, and a lane takes up four of a row.
#pragma once

#include <cstdint>

#include "kernels/cuda/fragments.cuh"

namespace troupe::kernels::cuda {

/// Of one warp, in shared memory. The pitch has a warp's stores meet every bank once.
struct RowStaging {
  static constexpr int rows = 32;
  static constexpr int pitch = 20;
  float sums[rows * pitch];
};

/// The sums of one row that a lane takes up: of outputs `output` and `output + 1` of its warp's tile, and eight further.
struct RowSums {
  float2 upper;
  float2 lower;
};

/// A lane's rows of a group of 32 are `first_row() + 8 i`, its outputs of the tile `output()` and as RowSums says.
__device__ __forceinline__ int staged_first_row() { return static_cast<int>(threadIdx.x) % 32 / 4; }
__device__ __forceinline__ int staged_output() {
  return static_cast<int>(threadIdx.x) % warpgroup / 32 * 16 + static_cast<int>(threadIdx.x) % 4 * 2;
}
inline constexpr int staged_each = RowStaging::rows / 8;  ///< rows of a group that a lane takes up

/// Of a group's sums, lays down what this lane holds.
template <int N>
__device__ __forceinline__ void stage_group(const float (&sums)[N / 2], int group, float* put) {
#pragma unroll
  for (int each = 0; each < N / RowStaging::rows; ++each) {
    if (each != group) continue;  // registers have no index
#pragma unroll
    for (int j = 0; j < staged_each; ++j) {
      const int i = (each * staged_each + j) * 4;
      float* const place = put + j * 8 * RowStaging::pitch;
      place[0] = sums[i];
      place[RowStaging::pitch] = sums[i + 1];
      place[8] = sums[i + 2];
      place[RowStaging::pitch + 8] = sums[i + 3];
    }
  }
}

/// For each group of 32 rows of a warp's tile that has some of the first `rows`: calls begin(first row) while the group is
/// still to be laid down, and then end(row, i, sums) for each i-th row that the lane takes up, also for rows that are not
/// there, so that `end` may exchange numbers between lanes. All lanes of a warp call it with the same `rows`. `Ahead` rows are
/// worked on side by side.
template <int N, int Ahead, class Begin, class End>
__device__ __forceinline__ void for_staged_rows(const float (&sums)[N / 2], RowStaging& staging, int rows, const Begin& begin,
                                                const End& end) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float* const put = staging.sums + lane % 4 * 2 * RowStaging::pitch + lane / 4;
  const float* const take = staging.sums + lane / 4 * RowStaging::pitch + lane % 4 * 2;
#pragma unroll 1
  for (int group = 0; group < N / RowStaging::rows && group * RowStaging::rows < rows; ++group) {
    const int first = group * RowStaging::rows;
    begin(first);
    __syncwarp();  // all have taken up the last group
    stage_group<N>(sums, group, put);
    __syncwarp();
#pragma unroll Ahead
    for (int i = 0; i < staged_each; ++i) {
      const float* const row = take + i * 8 * RowStaging::pitch;
      end(first + staged_first_row() + i * 8, i,
          RowSums{*reinterpret_cast<const float2*>(row), *reinterpret_cast<const float2*>(row + 8)});
    }
  }
  __syncwarp();  // the staging is free again
}

/// Writes the first `count` (none, one or both, or more) of two numbers. `together` says that `count` is even and the place of
/// the first a multiple of 8 bytes.
__device__ __forceinline__ void store_pair(float* place, float2 pair, int count, bool together) {
  if (together) {
    if (count > 0) *reinterpret_cast<float2*>(place) = pair;
  } else {
    if (count > 0) place[0] = pair.x;
    if (count > 1) place[1] = pair.y;
  }
}
__device__ __forceinline__ float2 load_pair(const float* place, bool there) {
  return there ? __ldcg(reinterpret_cast<const float2*>(place)) : float2{};
}

/// As write_rows.
template <int N>
__device__ __forceinline__ void write_staged_rows(const float (&sums)[N / 2], RowStaging& staging, float* target,
                                                  std::size_t stride, int rows, int outputs, const float* row_scales) {
  const int output = staged_output();
  const bool together =
      (stride | static_cast<std::size_t>(outputs) | reinterpret_cast<std::size_t>(target) / sizeof(float)) % 2 == 0;
  for_staged_rows<N, staged_each>(
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
__device__ __forceinline__ void write_staged_gated(const float (&sums)[N / 2], RowStaging& staging, const RowTiles& target,
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
__device__ __forceinline__ void add_staged_residual(const float (&sums)[N / 2], RowStaging& staging, const ResidualRows& target,
                                                    int first_row, int tile, int rows) {
  const int dim = tile * tile_outputs + staged_output();
  const bool upper_there = dim < target.hidden;
  const bool lower_there = dim + 8 < target.hidden;
  const auto hidden = static_cast<std::size_t>(target.hidden);
  float* const x = target.x + static_cast<std::size_t>(first_row) * hidden + dim;
  const float2 upper_weights = load_pair(target.weights + dim, upper_there);
  const float2 lower_weights = load_pair(target.weights + dim + 8, lower_there);
  RowSums old[staged_each];
  RowSums next[staged_each];
  const auto load = [&](int first) {
#pragma unroll
    for (int i = 0; i < staged_each; ++i) {
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
  for_staged_rows<N, staged_each>(
      sums, staging, rows,
      [&](int first) {  // a group's reads are on their way while the one before it ends
#pragma unroll
        for (int i = 0; i < staged_each; ++i) old[i] = next[i];
        load(first + RowStaging::rows);
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

}  // namespace troupe::kernels::cuda
