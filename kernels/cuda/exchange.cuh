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

/// Whether a warp of the warpgroup ends its outputs of a tile in chunks, in the block that has `chunk`.
__device__ __forceinline__ bool ends_slice(int warp, int chunk) { return warp / ended_slices == chunk; }

/// A warp's part in an exchange. Each warp has a chunk's sums of 16 outputs. A warp whose outputs the other block ends gives
/// its sums away; the others get the other chunk's sums, and add both, the first chunk's first.
template <int N>
class ExchangePart {
 public:
  /// Before the sums are there: whatever is done between them and what is made of them, all blocks wait for.
  __device__ __forceinline__ void prepare(Exchange<N>& through, int warp, int chunk) {
    const int slice = warp % ended_slices;
    sums_ = shared_address(&through.sums[slice][0][lane()]);
    complete_ = &through.complete[slice];
    gives_ = !ends_slice(warp, chunk);
    if (gives_) {
      others_sums_ = address_in_block(sums_, cluster_rank() ^ 1U);
      others_complete_ = address_in_block(shared_address(complete_), cluster_rank() ^ 1U);
    } else if (lane() == 0) {
      complete_->arrive_expecting(sizeof(through.sums[slice]));
    }
  }
  /// Whether the warp has all sums now; `count` says how many exchanges through the same memory were before.
  __device__ __forceinline__ bool exchange(std::uint32_t count, float (&sums)[N / 2]) {
    constexpr std::uint32_t stride = sizeof(Exchange<N>::sums[0][0]);
    if (gives_) {
#pragma unroll
      for (int i = 0; i < N / 8; ++i)
        store_async(others_sums_ + static_cast<std::uint32_t>(i) * stride, others_complete_,
                    make_float4(sums[4 * i], sums[4 * i + 1], sums[4 * i + 2], sums[4 * i + 3]));
      return false;
    }
    complete_->wait(count & 1);
#pragma unroll
    for (int i = 0; i < N / 8; ++i) {
      const float4 other = load_shared(sums_ + static_cast<std::uint32_t>(i) * stride);
      sums[4 * i] += other.x;  // the sum of two is the same in either order
      sums[4 * i + 1] += other.y;
      sums[4 * i + 2] += other.z;
      sums[4 * i + 3] += other.w;
    }
    return true;
  }

 private:
  __device__ __forceinline__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }

  bool gives_ = false;
  std::uint32_t sums_ = 0;  ///< where the lane gets its first ones; shared_address
  Barrier* complete_ = nullptr;
  std::uint32_t others_sums_ = 0;
  std::uint32_t others_complete_ = 0;
};

}  // namespace troupe::kernels::cuda
