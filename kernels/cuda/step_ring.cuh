// The ring of stages through which everything that a step reads comes into shared memory: 16 KiB of weights, keys or values,
// and beside weights the rows of activations that they are multiplied by. One warp claims the stages in their order and fills
// them with weights, others bring the rows, the warpgroup empties them.
#pragma once

#include "kernels/cuda/attention_span.cuh"
#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/kv_tiles.hpp"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/ring_place.cuh"
#include "kernels/cuda/tiles.hpp"

namespace troupe::kernels::cuda {

template <int N>
struct Ring {
  static constexpr int panels = N == 64 ? 1 : 2;  ///< of a tile, in a stage
  static constexpr int weight_bytes = panels * tile_elements * 2;
  static constexpr int row_bytes = panels * N * panel_inputs * 2;
  static constexpr int stage_bytes = weight_bytes + row_bytes;
  static constexpr int kv_bytes = 16 * 1024;
  static_assert(stage_bytes >= kv_bytes);
  static constexpr int stages = (N == 64 ? 184 : N == 32 ? 196 : 203) * 1024 / stage_bytes;  // what the rest leaves
  static constexpr int shared_bytes = stages * stage_bytes + 1024;
  /// Of one KV head, in a stage.
  template <int HeadDim>
  static constexpr int positions = kv_bytes / 2 / HeadDim;
  template <int HeadDim>
  static constexpr int stages_of_span = 2 * attention_tile_span / positions<HeadDim>;

  struct Barriers {
    Barrier full[stages];
    Barrier empty[stages];
    std::int32_t claimed;  ///< stages so far
  };

  std::byte* memory;
  Barriers& barriers;

  __device__ void init() const {
    for (int stage = 0; stage < stages; ++stage) {
      barriers.full[stage].init(2);
      barriers.empty[stage].init(warpgroup / 32);
    }
    barriers.claimed = 0;
    fence_barrier_init();
  }
  __device__ std::byte* weights(int stage) const { return memory + stage % stages * stage_bytes; }
  __device__ std::byte* rows(int stage) const { return weights(stage) + weight_bytes; }
  __device__ Barrier& full(int stage) const { return barriers.full[stage % stages]; }
  __device__ std::uint32_t parity(int stage) const { return static_cast<std::uint32_t>(stage / stages) & 1; }
  /// Returns once a stage may be filled again.
  __device__ void await_empty(int stage) const {
    if (stage >= stages) barriers.empty[stage % stages].wait(parity(stage - stages));
  }
  /// Whether it may be, after so many waits of a barrier.
  __device__ bool is_empty_within(int stage, int waits) const {
    return stage < stages || barriers.empty[stage % stages].ends_within(parity(stage - stages), waits);
  }
  /// Tells others that a stage is empty and will be filled. In the order of stages.
  __device__ void claim(int stage) const { store_release(&barriers.claimed, stage + 1); }
  /// Waits until a stage has been claimed. For those who bring some of the stages only: they may be rings ahead of the
  /// computing warps, or behind, and a barrier tells just two fillings apart.
  __device__ void await_claim(int stage) const { await_count(&barriers.claimed, stage + 1); }
};

}  // namespace troupe::kernels::cuda
