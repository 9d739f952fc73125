// Panels of a pair of tiles of weights and of N rows, side by side in the stages of a ring: how one comes there, and how a
// warpgroup adds them up. The ring's barriers are `full`, where what is copied is counted, and `empty`, where each warp says
// that it has read a stage.
#pragma once

#include "kernels/cuda/matmul.hpp"
#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/tile_places.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

inline constexpr int panel_tile_bytes = tile_elements * 2;  ///< of one tile's weights
inline constexpr int panel_row_bytes = panel_inputs * 2;

/// One thread: brings a panel of a product's weights, and then the rows, to a stage.
template <int N, int StageBytes, class Barriers>
struct PanelCopies {
  const Product& p;
  std::byte* ring;
  Barriers& barriers;

  __device__ __forceinline__ int copied_rows(const TilePlace& place) const {
    return min(N, p.input.capacity - place.first_row);
  }
  __device__ __forceinline__ void copy_weights(const TilePlace& place, int panel, int slot) const {
    const int second = min(place.tile + 1, p.weight.tiles() - 1);  // the last tile may be alone
    std::byte* const stage = ring + slot * StageBytes;
    Barrier& full = barriers.full[slot];
    full.arrive_expecting(static_cast<std::uint32_t>(2 * panel_tile_bytes + copied_rows(place) * panel_row_bytes));
    const bf16* const from = p.weight.data + static_cast<std::size_t>(panel) * tile_elements;
    const auto tile = static_cast<std::size_t>(p.weight.panels()) * tile_elements;
    copy_bulk(stage, from + static_cast<std::size_t>(place.tile) * tile, panel_tile_bytes, full);
    copy_bulk(stage + panel_tile_bytes, from + static_cast<std::size_t>(second) * tile, panel_tile_bytes, full);
  }
  __device__ __forceinline__ void copy_rows(const TilePlace& place, int panel, int slot) const {
    const std::size_t first = static_cast<std::size_t>(panel) * static_cast<std::size_t>(p.input.capacity) +
                              static_cast<std::size_t>(place.first_row);
    copy_bulk(ring + slot * StageBytes + 2 * panel_tile_bytes, p.input.data + first * panel_inputs,
              static_cast<std::uint32_t>(copied_rows(place) * panel_row_bytes), barriers.full[slot]);
  }
};

/// A warpgroup adds so many panels of one of the pair's tiles up, from zero. A stage is given back once the products after it
/// have been begun.
template <int N, int StageBytes, class Barriers, int Stages>
__device__ __forceinline__ void add_panels(float (&sums)[N / 2], int panels, const std::byte* ring, int side,
                                           Barriers& barriers, RingPlace<Stages>& at) {
  const bool leads = threadIdx.x % 32 == 0;  // each warp says when it has read a stage
  // The first product ignores what the registers hold; without a value here, they would seem to hold it all the time before.
#pragma unroll
  for (int i = 0; i < N / 2; ++i) asm volatile("mov.f32 %0, 0f00000000;" : "=f"(sums[i]));
  int last = 0;
#pragma unroll 1
  for (int panel = 0; panel < panels; ++panel) {
    barriers.full[at.slot].wait(at.parity);
    const std::byte* const stage = ring + at.slot * StageBytes;
    const std::uint64_t a = tile_descriptor(stage + side * panel_tile_bytes);
    const std::uint64_t b = tile_descriptor(stage + 2 * panel_tile_bytes);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < panel_inputs / 16; ++step)
      Wgmma<N>::step(sums, a + step * descriptor_step, b + step * descriptor_step, panel > 0 || step > 0);
    wgmma_commit();
    wgmma_wait<1>();
    if (panel > 0 && leads) barriers.empty[last].arrive();
    last = at.slot;
    at.advance();
  }
  wgmma_wait<0>();
#pragma unroll
  for (int i = 0; i < N / 2; ++i) asm volatile("" : "+f"(sums[i])::"memory");  // nothing reads them before
  if (leads) barriers.empty[last].arrive();
}

}  // namespace troupe::kernels::cuda
