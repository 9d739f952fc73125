// A warp's sums on their way from the layout in which the tensor cores leave them, a lane with few outputs of many rows, to
// rows: it lays some rows of its 16 outputs down in shared memory, and a lane takes up four outputs of a row.
#pragma once

#include <cstdint>

#include "kernels/cuda/fragments.cuh"

namespace troupe::kernels::cuda {

/// Of one warp, in shared memory: so many rows at a time. The pitch has a warp's stores meet every bank once.
template <int Rows>
struct RowStaging {
  static constexpr int pitch = 20;
  float sums[Rows * pitch];
};

/// The sums of one row that a lane takes up: of outputs `output` and `output + 1` of its warp's tile, and eight further.
struct RowSums {
  float2 upper;
  float2 lower;
};

/// A lane's rows of a group are `first_row() + 8 i`, its outputs of the tile `output()` and as RowSums says.
__device__ __forceinline__ int staged_first_row() { return static_cast<int>(threadIdx.x) % 32 / 4; }
__device__ __forceinline__ int staged_output() {
  return static_cast<int>(threadIdx.x) % warpgroup / 32 * 16 + static_cast<int>(threadIdx.x) % 4 * 2;
}

/// Of the group-th `Rows` rows' sums, lays down what this lane holds.
template <int N, int Rows>
__device__ __forceinline__ void stage_group(const float (&sums)[N / 2], int group, RowStaging<Rows>& staging) {
  constexpr int pitch = RowStaging<Rows>::pitch;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float* const put = staging.sums + lane % 4 * 2 * pitch + lane / 4;
#pragma unroll
  for (int each = 0; each < N / Rows; ++each) {
    if (each != group) continue;  // registers have no index
#pragma unroll
    for (int j = 0; j < Rows / 8; ++j) {
      const int i = (each * (Rows / 8) + j) * 4;
      float* const place = put + j * 8 * pitch;
      place[0] = sums[i];
      place[pitch] = sums[i + 1];
      place[8] = sums[i + 2];
      place[pitch + 8] = sums[i + 3];
    }
  }
}

/// The i-th row that this lane takes up.
template <int Rows>
__device__ __forceinline__ RowSums staged_sums(const RowStaging<Rows>& staging, int i) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const float* const row = staging.sums + (lane / 4 + i * 8) * RowStaging<Rows>::pitch + lane % 4 * 2;
  return {*reinterpret_cast<const float2*>(row), *reinterpret_cast<const float2*>(row + 8)};
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

}  // namespace troupe::kernels::cuda
