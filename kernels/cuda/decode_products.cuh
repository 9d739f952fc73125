// A product's sums within a step of decoding: a warpgroup multiplies the weights of the ring's stages by the rows beside them.
//
// With few rows one step of 16 products takes as long as its latency, since each adds to the one before. mma.sync has half of
// wgmma's, and the same bits (docs/numerics.md); of more rows, it would read them from shared memory too often.
#pragma once

#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/step_ring.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

inline constexpr int mma_rows_max = 16;

/// Where a lane's rows for ldmatrix lie in a panel, in bytes.
struct FragmentPlaces {
  std::uint32_t weights[4];  ///< by step of 16 inputs
  std::uint32_t rows[2];     ///< of eight rows, by two steps

  __device__ __forceinline__ FragmentPlaces() {
    // Not threadIdx.x, of which the compiler would keep all this throughout the kernel.
    int thread;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
    const int lane = thread % 32;
    const int output = thread % warpgroup / 32 * 16 + lane % 16;
#pragma unroll
    for (int step = 0; step < 4; ++step) {
      weights[step] = static_cast<std::uint32_t>(swizzled(output, step * 16 + lane / 16 * 8) * 2);
      if (step < 2) rows[step] = static_cast<std::uint32_t>(swizzled(lane % 8, step * 32 + lane / 8 * 8) * 2);
    }
  }
};

/// What a warp multiplies of a stage: 16 outputs by N rows.
template <int N>
struct StageFragments {
  static constexpr int steps = Ring<N>::panels * panel_inputs / 16;
  std::uint32_t weights[steps][4];
  std::uint32_t rows[N / 8][steps / 2][4];  ///< of two steps

  __device__ __forceinline__ void load(const Ring<N>& ring, int stage, const FragmentPlaces& places) {
    const std::uint32_t weights_from = shared_address(ring.weights(stage));
    const std::uint32_t rows_from = shared_address(ring.rows(stage));
#pragma unroll
    for (int step = 0; step < steps; ++step) {
      load_tiles(weights[step], weights_from + step / 4 * tile_elements * 2 + places.weights[step % 4]);
      if (step % 2 == 1) continue;
#pragma unroll
      for (int tile = 0; tile < N / 8; ++tile) {
        const int before = (step / 4 * N + tile * 8) * panel_inputs * 2;
        load_tiles(rows[tile][step / 2], rows_from + before + places.rows[step % 4 / 2]);
      }
    }
  }
  __device__ __forceinline__ void add_to(float (&sums)[N / 8][4]) const {
#pragma unroll
    for (int step = 0; step < steps; ++step) {
#pragma unroll
      for (int tile = 0; tile < N / 8; ++tile)
        mma(sums[tile], weights[step], rows[tile][step / 2][step % 2 * 2], rows[tile][step / 2][step % 2 * 2 + 1]);
    }
  }
};

/// Multiplies the next stages, whose fragments are loaded a stage ahead where that is there already.
template <int N>
struct FewRowsProduct {
  const Ring<N>& ring;
  int& stage;
  FragmentPlaces places{};
  float sums[N / 8][4] = {};

  /// `begun` is called once, when the first stage is under way.
  template <class Begun>
  __device__ __forceinline__ void multiply(int stages, const Begun& begun) {
    StageFragments<N> even;
    StageFragments<N> odd;
    bool loaded = false;
    for (int i = 0; i < stages; i += 2) {
      loaded = multiply_stage(even, odd, loaded, i + 1 < stages);
      if (i == 0) begun();
      if (i + 1 < stages) loaded = multiply_stage(odd, even, loaded, i + 2 < stages);
    }
  }

 private:
  /// Whether the next stage is loaded.
  __device__ __forceinline__ bool multiply_stage(StageFragments<N>& now, StageFragments<N>& next, bool loaded, bool goes_on) {
    if (!loaded) {
      ring.full(stage).wait(ring.parity(stage));
      __syncwarp();
      now.load(ring, stage, places);
    }
    const bool loads_next =
        goes_on && __all_sync(0xFFFFFFFF, static_cast<int>(ring.full(stage + 1).has_ended(ring.parity(stage + 1)))) != 0;
    if (loads_next) next.load(ring, stage + 1, places);
    now.add_to(sums);
    ring.release(stage++);
    return loads_next;
  }
};

/// The sums of the ring's next stages, in wgmma's layout. `begun` as above, or never of more rows than mma_rows_max.
template <int N, class Begun>
__device__ __forceinline__ void multiply_stages(const Ring<N>& ring, int& stage, int stages, float (&sums)[N / 2],
                                                const Begun& begun) {
  if constexpr (N <= mma_rows_max) {
    FewRowsProduct<N> product{ring, stage};
    product.multiply(stages, begun);
#pragma unroll
    for (int i = 0; i < N / 2; ++i) sums[i] = product.sums[i / 4][i % 4];
  } else {
#pragma unroll
    for (int i = 0; i < N / 2; ++i) asm volatile("mov.f32 %0, 0f00000000;" : "=f"(sums[i]));
    wgmma_fence();
    for (int i = 0; i < stages; ++i, ++stage) {
      ring.full(stage).wait(ring.parity(stage));
      wgmma_fence();
#pragma unroll
      for (int panel = 0; panel < Ring<N>::panels; ++panel) {
        const std::uint64_t a = tile_descriptor(ring.weights(stage) + panel * tile_elements * 2);
        const std::uint64_t b = tile_descriptor(ring.rows(stage) + panel * N * panel_inputs * 2);
#pragma unroll
        for (int step = 0; step < panel_inputs / 16; ++step)
          Wgmma<N>::step(sums, a + step * descriptor_step, b + step * descriptor_step, true);
      }
      wgmma_commit();
      wgmma_wait<1>();
      if (i > 0) ring.release(stage - 1);
    }
    wgmma_wait<0>();
    ring.release(stage - 1);
  }
}

}  // namespace troupe::kernels::cuda
