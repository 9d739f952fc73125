// A product's sums within a step of decoding: a warpgroup multiplies the weights of the ring's stages by the rows beside them.
#pragma once

#include "kernels/cuda/step_ring.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

/// The sums of the ring's next stages, in wgmma's layout. `begun` is called once, when the first stage is under way.
template <int N, class Begun>
__device__ __forceinline__ void multiply_stages(const Ring<N>& ring, int& stage, int stages, float (&sums)[N / 2],
                                                const Begun& begun) {
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
    if (i == 0) begun();
    wgmma_wait<1>();
    if (i > 0) ring.release(stage - 1);
  }
  wgmma_wait<0>();
  ring.release(stage - 1);
}

}  // namespace troupe::kernels::cuda
