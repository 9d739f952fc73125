// A product's sums within a step of decoding: a warpgroup multiplies the weights of the ring's stages by the rows beside them.
#pragma once

#include "kernels/cuda/step_ring.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

/// Some of the products of a stage's weights and rows, whose descriptors these are.
template <int N>
__device__ __forceinline__ void multiply_steps(float (&sums)[N / 2], std::uint64_t weights, std::uint64_t rows, int first,
                                               int end) {
  constexpr int panel_steps = panel_inputs / 16;
#pragma unroll
  for (int step = first; step < end; ++step) {
    const std::uint64_t within = step % panel_steps * descriptor_step;
    Wgmma<N>::step(sums, weights + step / panel_steps * (tile_elements * 2 >> 4) + within,
                   rows + step / panel_steps * (N * panel_inputs * 2 >> 4) + within, true);
  }
}

/// The sums of the ring's next stages, in wgmma's layout.
///
/// An instruction is issued when the one before is nearly through, so whatever is done between two stages' instructions is time
/// that the tensor cores stand still: the next stage is looked for in the middle of a stage's.
template <int N>
__device__ __forceinline__ void multiply_stages(const Ring<N>& ring, int& stage, int stages, float (&sums)[N / 2]) {
#pragma unroll
  for (int i = 0; i < N / 2; ++i) asm volatile("mov.f32 %0, 0f00000000;" : "=f"(sums[i]));
  constexpr int steps = Ring<N>::panels * panel_inputs / 16;
  std::uint32_t place = descriptor_place(ring.weights(stage));
  ring.full(stage).wait(ring.parity(stage));
  for (int i = 0; i < stages; ++i, ++stage) {
    wgmma_fence();
    const std::uint64_t weights = uniform_descriptor(place);
    const std::uint64_t rows = weights + (Ring<N>::weight_bytes >> 4);
    multiply_steps<N>(sums, weights, rows, 0, steps / 2);
    place = descriptor_place(ring.weights(stage + 1));
    asm volatile("" : "+r"(place));  // computed here, not where it is used
    const bool next_is_there = i + 1 == stages || ring.full(stage + 1).has_ended(ring.parity(stage + 1));
    multiply_steps<N>(sums, weights, rows, steps / 2, steps);
    wgmma_commit();
    wgmma_wait<1>();
    if (i > 0) ring.release(stage - 1);
    if (!next_is_there) ring.full(stage + 1).wait(ring.parity(stage + 1));
  }
  wgmma_wait<0>();
  ring.release(stage - 1);
}

}  // namespace troupe::kernels::cuda
