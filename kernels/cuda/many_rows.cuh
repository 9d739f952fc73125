// Products of many rows: two warpgroups multiply 64 outputs each by the same N rows, a third one brings panels. Blocks stay and
// take one tile after the other, so that the next tile's panels arrive while the last one's sums are written.
#pragma once

#include "kernels/cuda/exchange.cuh"
#include "kernels/cuda/product_plan.hpp"
#include "kernels/cuda/tile_end.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

/// Which of the chunks of a weight's inputs a block adds up.
enum class Chunks {
  one,    ///< there is one
  both,   ///< both, one after the other
  split,  ///< one of both; the other block of the cluster has the other one
};

/// Shared memory: the ring, each stage a panel of two tiles of weights and of the rows; for `split`, where the other block's
/// sums arrive, by warpgroup; the staging of each warp.
template <int N, Chunks C>
struct ManyRows {
  static constexpr int tile_bytes = tile_elements * 2;
  static constexpr int row_bytes = panel_inputs * 2;
  static constexpr int stage_bytes = 2 * tile_bytes + N * row_bytes;
  static constexpr int exchange_bytes = C == Chunks::split ? 2 * static_cast<int>(sizeof(Exchange<N>)) : 0;
  static constexpr int staging_bytes = 2 * warpgroup / 32 * static_cast<int>(sizeof(EndStaging));
  static constexpr int stages = (225 * 1024 - exchange_bytes - staging_bytes) / stage_bytes;
  static constexpr int shared_bytes = 1024 + stages * stage_bytes + exchange_bytes + staging_bytes;
  static constexpr int threads = 3 * warpgroup;
  static constexpr int producer_registers = 40;
  static constexpr int consumer_registers = 232;
  static constexpr int group_tiles = 16;  ///< pairs of tiles that are multiplied by all rows before the next ones are
  static_assert(stages >= 3);
};

/// Where a ring's next stage is, and which parity the phases of its barriers have.
template <int Stages>
struct RingPlace {
  int slot = 0;
  std::uint32_t parity = 0;

  __device__ __forceinline__ void advance() {
    if (++slot == Stages) {
      slot = 0;
      parity ^= 1;
    }
  }
};

template <int Stages>
struct RingBarriers {
  Barrier full[Stages];
  Barrier empty[Stages];
};

/// Of a tile: the first of its 64 outputs each, its first row, and the panels that the block adds up.
struct TilePlace {
  int tile;
  int first_row;
};
/// The unit-th product of a pair of tiles and N rows, in an order that keeps what is shared in the L2 cache.
template <int N>
__device__ __forceinline__ TilePlace place_of(const Product& p, int unit, int group) {
  const int pairs = divided_up(p.weight.tiles(), 2);
  const int row_tiles = divided_up(p.rows, N);
  const int first_pair = unit / (group * row_tiles) * group;
  const int width = min(group, pairs - first_pair);
  const int within = unit - first_pair * row_tiles;
  return {(first_pair + within % width) * 2, within / width * N};
}

/// One thread: brings the panels of the block's tiles. The first ones' weights are on their way before the kernel that computes
/// the rows has ended.
template <int N, Chunks C>
__device__ void stream_many_rows(const Product& p, int first_unit, int units, int stride, Panels panels, std::byte* ring,
                                 RingBarriers<ManyRows<N, C>::stages>& barriers) {
  using Shape = ManyRows<N, C>;
  const auto weight_panels = static_cast<std::size_t>(p.weight.panels());
  const auto copy_weights = [&](const TilePlace& place, int panel, int slot) {
    const int copied_rows = min(N, p.input.capacity - place.first_row);
    const int second = min(place.tile + 1, p.weight.tiles() - 1);  // the last tile may be alone
    std::byte* const stage = ring + slot * Shape::stage_bytes;
    Barrier& full = barriers.full[slot];
    full.arrive_expecting(static_cast<std::uint32_t>(2 * Shape::tile_bytes + copied_rows * Shape::row_bytes));
    const bf16* const from = p.weight.data + static_cast<std::size_t>(panel) * tile_elements;
    copy_bulk(stage, from + static_cast<std::size_t>(place.tile) * weight_panels * tile_elements, Shape::tile_bytes, full);
    copy_bulk(stage + Shape::tile_bytes, from + static_cast<std::size_t>(second) * weight_panels * tile_elements,
              Shape::tile_bytes, full);
  };
  const auto copy_rows = [&](const TilePlace& place, int panel, int slot) {
    const int copied_rows = min(N, p.input.capacity - place.first_row);
    const std::size_t first = static_cast<std::size_t>(panel) * static_cast<std::size_t>(p.input.capacity) +
                              static_cast<std::size_t>(place.first_row);
    copy_bulk(ring + slot * Shape::stage_bytes + 2 * Shape::tile_bytes, p.input.data + first * panel_inputs,
              static_cast<std::uint32_t>(copied_rows * Shape::row_bytes), barriers.full[slot]);
  };
  TilePlace place = place_of<N>(p, first_unit, Shape::group_tiles);
  const int ahead = min(Shape::stages, panels.end - panels.first);
#pragma unroll 1
  for (int i = 0; i < ahead; ++i) copy_weights(place, panels.first + i, i);
  wait_for_previous();
#pragma unroll 1
  for (int i = 0; i < ahead; ++i) copy_rows(place, panels.first + i, i);
  RingPlace<Shape::stages> at{ahead % Shape::stages, ahead == Shape::stages ? 1U : 0U};
  int panel = panels.first + ahead;
  for (int unit = first_unit;;) {
#pragma unroll 1
    for (; panel < panels.end; ++panel) {
      barriers.empty[at.slot].wait(at.parity ^ 1);  // at once, in the ring's first round
      copy_weights(place, panel, at.slot);
      copy_rows(place, panel, at.slot);
      at.advance();
    }
    unit += stride;
    if (unit >= units) return;
    place = place_of<N>(p, unit, Shape::group_tiles);
    panel = panels.first;
  }
}

/// Adds so many panels up, from zero. A stage is given back once the products after it have been begun.
template <int N, int Stages, int StageBytes>
__device__ __forceinline__ void add_panels(float (&sums)[N / 2], int panels, const std::byte* ring, int side,
                                           RingBarriers<Stages>& barriers, RingPlace<Stages>& at) {
  constexpr int tile_bytes = tile_elements * 2;
  const bool leads = threadIdx.x % 32 == 0;  // each warp says when it has read a stage
  // The first product ignores what the registers hold; without a value here, they would seem to hold it all the time before.
#pragma unroll
  for (int i = 0; i < N / 2; ++i) asm volatile("mov.f32 %0, 0f00000000;" : "=f"(sums[i]));
  int last = 0;
#pragma unroll 1
  for (int panel = 0; panel < panels; ++panel) {
    barriers.full[at.slot].wait(at.parity);
    const std::byte* const stage = ring + at.slot * StageBytes;
    const std::uint64_t a = tile_descriptor(stage + side * tile_bytes);
    const std::uint64_t b = tile_descriptor(stage + 2 * tile_bytes);
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

template <int N, Chunks C, Ending E>
__global__ void __launch_bounds__(ManyRows<N, C>::threads, 1) many_rows(const Product p) {
  using Shape = ManyRows<N, C>;
  constexpr bool split = C == Chunks::split;
  extern __shared__ std::byte unaligned[];
  __shared__ RingBarriers<Shape::stages> barriers;
  std::byte* const ring = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
  auto* const exchanges = reinterpret_cast<Exchange<N>*>(ring + Shape::stages * Shape::stage_bytes);
  auto* const stagings = reinterpret_cast<EndStaging*>(ring + Shape::stages * Shape::stage_bytes + Shape::exchange_bytes);
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Shape::stages; ++stage) {
      barriers.full[stage].init(1);
      barriers.empty[stage].init(2 * warpgroup / 32);
    }
    if constexpr (split) {
      exchanges[0].init();
      exchanges[1].init();
    }
    fence_barrier_init();
  }
  __syncthreads();
  if constexpr (split) cluster_sync();  // nobody sends before the barriers are there
  let_next_begin();
  const int tiles = p.weight.tiles();
  const int units = divided_up(tiles, 2) * divided_up(p.rows, N);
  const int chunks = C == Chunks::one ? 1 : k_chunks(p.weight);
  const int chunk = split ? static_cast<int>(cluster_rank()) : 0;
  // A cluster of blocks with a chunk each has one tile: where their sums arrive is used once.
  const int first_unit = static_cast<int>(blockIdx.x) / (split ? k_chunks_max : 1);
  const int stride = split ? units : static_cast<int>(gridDim.x);
  const Panels panels = panels_of_chunk(p.weight.panels(), chunk, split ? chunks : 1);
  if (threadIdx.x < warpgroup) {
    give_registers<Shape::producer_registers>();
    if (threadIdx.x == 0) stream_many_rows<N, C>(p, first_unit, units, stride, panels, ring, barriers);
  } else {
    take_registers<Shape::consumer_registers>();
    // From another lane, so that the compiler sees that all lanes of a warp have the same.
    const int side = __shfl_sync(0xFFFFFFFF, static_cast<int>(threadIdx.x) / warpgroup, 0) - 1;
    EndStaging& staging = stagings[threadIdx.x / 32 - warpgroup / 32];
    RingPlace<Shape::stages> at;
    const auto add = [&](float(&sums)[N / 2], int count) {
      add_panels<N, Shape::stages, Shape::stage_bytes>(sums, count, ring, side, barriers, at);
    };
    for (int unit = first_unit; unit < units; unit += stride) {
      const TilePlace place = place_of<N>(p, unit, Shape::group_tiles);
      float sums[N / 2];
      bool ends = place.tile + side < tiles;
      if constexpr (C == Chunks::both) {
        const int first_panels = panels_of_chunk(panels.end, 0, chunks).end;
        float first[N / 2];
        add(first, first_panels);
        add(sums, panels.end - first_panels);
#pragma unroll
        for (int i = 0; i < N / 2; ++i) {
          sums[i] = first[i] + sums[i];
          asm volatile(
              ""
              : "+f"(sums[i])::"memory");  // at once, and not where the sum is needed: that would keep both sets of registers
        }
      } else {
        add(sums, panels.end - panels.first);
        if constexpr (split) ends = exchange_chunks<N>(exchanges[side], 0, chunk, sums) && ends;
      }
      if (ends) end_staged_tile<N, E>(p, place.tile + side, place.first_row, sums, staging);
    }
  }
  if constexpr (split) {
    __syncwarp();
    cluster_sync();  // nobody's memory goes while others send to it
  }
}

}  // namespace troupe::kernels::cuda
