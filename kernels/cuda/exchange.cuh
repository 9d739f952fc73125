// How the two blocks of a cluster that have the chunks of a tile share what is left to do.
#pragma once

#include <cstdint>

#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/matmul.hpp"
#include "kernels/cuda/ptx.cuh"

namespace troupe::kernels::cuda {

inline constexpr int tile_slices = 4;                            ///< of 16 outputs, a warp each
inline constexpr int ended_slices = tile_slices / k_chunks_max;  ///< by one block, of a tile in chunks

/// Where the other chunk's block leaves its sums, by slice of those that this block ends. In shared memory.
template <int N>
struct Exchange {
  float4 sums[ended_slices][N / 8][32];
  Barrier complete[ended_slices];

  __device__ void init() {
    for (Barrier& barrier : complete) barrier.init(1);
  }
};

/// Whether a warp ends its outputs of a tile in chunks, in the block that has `chunk`.
__device__ __forceinline__ bool ends_slice(int chunk) {
  return static_cast<int>(threadIdx.x) % warpgroup / 32 / ended_slices == chunk;
}

/// Each warp has a chunk's sums of 16 outputs. A warp whose outputs the other block ends gives its sums away, and returns
/// false; the others get the other chunk's sums and add both, the first chunk's first. `count` says how many exchanges of the
/// block were before.
template <int N>
__device__ __forceinline__ bool exchange_chunks(Exchange<N>& through, std::uint32_t count, int chunk, float (&sums)[N / 2]) {
  const int warp = static_cast<int>(threadIdx.x) % warpgroup / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int slice = warp % ended_slices;
  if (!ends_slice(chunk)) {
#pragma unroll
    for (int i = 0; i < N / 8; ++i) {
      store_async(&through.sums[slice][i][lane], through.complete[slice], cluster_rank() ^ 1U,
                  make_float4(sums[4 * i], sums[4 * i + 1], sums[4 * i + 2], sums[4 * i + 3]));
    }
    return false;
  }
  if (lane == 0) through.complete[slice].arrive_expecting(sizeof(through.sums[slice]));
  through.complete[slice].wait(count & 1);
#pragma unroll
  for (int i = 0; i < N / 8; ++i) {
    const float4 other = through.sums[slice][i][lane];
    sums[4 * i] += other.x;  // the sum of two is the same in either order
    sums[4 * i + 1] += other.y;
    sums[4 * i + 2] += other.z;
    sums[4 * i + 3] += other.w;
  }
  return true;
}

}  // namespace troupe::kernels::cuda
