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

/// A warpgroup's way through the ring while it multiplies.
///
/// An instruction is issued when the one before is nearly through, so whatever is done between two stages' instructions is time
/// that the tensor cores stand still: the next stage is looked for, and its place computed, in the middle of a stage's.
template <int N>
class StageMultiplier {
 public:
  /// Begins with the stage at a place, which need not be there yet, and moves the place along.
  __device__ __forceinline__ StageMultiplier(const Ring<N>& ring, RingPlace<Ring<N>::stages>& at) : ring_(ring), at_(at) {
    find_place();
  }
  __device__ __forceinline__ void wait() const { ring_.barriers.full[at_.slot].wait(at_.parity); }
  /// Adds a stage's products, once it is there. Releases the stage before, if it has one, and waits for the one after, if there
  /// are more.
  __device__ __forceinline__ void multiply(float (&sums)[N / 2], bool has_before, bool has_more) {
    constexpr int steps = Ring<N>::panels * panel_inputs / 16;
    wgmma_fence();
    // The place is the same in all lanes. A reduction leaves it in the registers that the instructions read.
    const std::uint64_t weights = descriptor_at(__reduce_max_sync(0xFFFFFFFF, place_));
    const std::uint64_t rows = weights + (Ring<N>::weight_bytes >> 4);
    multiply_steps<N>(sums, weights, rows, 0, steps / 2);
    const int slot = at_.slot;
    at_.advance();
    find_place();
    const bool next_is_there = !has_more || ring_.barriers.full[at_.slot].has_ended(at_.parity);
    multiply_steps<N>(sums, weights, rows, steps / 2, steps);
    wgmma_commit();
    wgmma_wait<1>();
    if (has_before) release_last();
    last_slot_ = slot;
    if (!next_is_there) wait();
  }
  /// Returns when all sums are complete.
  __device__ __forceinline__ void end() const {
    wgmma_wait<0>();
    release_last();
  }

 private:
  __device__ __forceinline__ void release_last() const {
    if (threadIdx.x % 32 == 0) ring_.barriers.empty[last_slot_].arrive();
  }
  __device__ __forceinline__ void find_place() {
    place_ = descriptor_place(ring_.memory) + static_cast<std::uint32_t>(at_.slot) * (Ring<N>::stage_bytes >> 4);
    asm volatile("" : "+r"(place_));  // computed here, not where it is used
  }

  const Ring<N>& ring_;
  RingPlace<Ring<N>::stages>& at_;
  int last_slot_ = 0;
  std::uint32_t place_;
};

/// The sums of the ring's next stages, in wgmma's layout.
template <int N>
__device__ __forceinline__ void multiply_stages(const Ring<N>& ring, RingPlace<Ring<N>::stages>& at, int stages,
                                                float (&sums)[N / 2]) {
#pragma unroll
  for (int i = 0; i < N / 2; ++i) asm volatile("mov.f32 %0, 0f00000000;" : "=f"(sums[i]));
  StageMultiplier<N> multiplier(ring, at);
  multiplier.wait();
  int left = stages;
  // Most products have a multiple of four. Fewer questions and jumps show where they have few.
#pragma unroll 1
  for (; left >= 4; left -= 4) {
    multiplier.multiply(sums, left < stages, true);
    multiplier.multiply(sums, true, true);
    multiplier.multiply(sums, true, true);
    multiplier.multiply(sums, true, left > 4);
  }
#pragma unroll 1
  for (; left > 0; --left) multiplier.multiply(sums, left < stages, left > 1);
  multiplier.end();
}

}  // namespace troupe::kernels::cuda
