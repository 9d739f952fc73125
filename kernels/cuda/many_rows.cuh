// Products of many rows: two warpgroups multiply 64 outputs each by the same N rows, a third one brings panels, and writes what
// the others leave in shared memory. Blocks stay and take one tile after the other, so that the next tile's panels arrive while
// the last one's sums are written.
#pragma once

#include "kernels/cuda/carried_end.cuh"
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

/// Who ends a tile.
enum class TileEnd {
  staged,    ///< the warps that multiply, each for itself (tile_end.cuh)
  residual,  ///< these and others (carried_end.cuh); residual rows come through the ring, behind a tile's panels,
  gated,     ///< and a pair of tiles' gated rows lie in shared memory of their own
};
/// Blocks that share a tile's outputs have no whole rows of gates.
constexpr TileEnd tile_end_of(Chunks chunks, Ending ending) {
  if (ending == Ending::residual) return TileEnd::residual;
  return ending == Ending::gated && chunks != Chunks::split ? TileEnd::gated : TileEnd::staged;
}

/// Shared memory: the ring, each stage a panel of two tiles of weights and of the rows; for `split`, where the other block's
/// sums arrive, by warpgroup; the staging of each warp, or of gated rows.
template <int N, Chunks C, Ending E>
struct ManyRows {
  static constexpr TileEnd tile_end = tile_end_of(C, E);
  static constexpr int tile_bytes = tile_elements * 2;
  static constexpr int row_bytes = panel_inputs * 2;
  static constexpr int stage_bytes = 2 * tile_bytes + N * row_bytes;
  static constexpr int exchange_bytes = C == Chunks::split ? 2 * static_cast<int>(sizeof(Exchange<N>)) : 0;
  static constexpr int staging_bytes = tile_end == TileEnd::staged  ? 2 * warpgroup / 32 * static_cast<int>(sizeof(EndStaging))
                                       : tile_end == TileEnd::gated ? N * panel_row_bytes
                                                                    : 0;
  static constexpr int stages = (225 * 1024 - exchange_bytes - staging_bytes) / stage_bytes;
  static constexpr int shared_bytes = 1024 + stages * stage_bytes + exchange_bytes + staging_bytes;
  static constexpr int threads = 3 * warpgroup;
  static constexpr int producer_registers = 40;
  static constexpr int consumer_registers = 232;
  static constexpr int ending_warps = (C == Chunks::split ? 1 : k_chunks_max) * ended_slices * 2;
  static constexpr int group_tiles = 16;  ///< pairs of tiles that are multiplied by all rows before the next ones are
  static_assert(stages >= 3 && N % part_rows == 0);
  static_assert(tile_end != TileEnd::residual || sizeof(ResidualPart) <= stage_bytes);
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
  __device__ __forceinline__ void advance(int by) {
    parity ^= static_cast<std::uint32_t>((slot + by) / Stages) & 1;
    slot = (slot + by) % Stages;
  }
};

template <int Stages>
struct RingBarriers {
  Barrier full[Stages];
  Barrier empty[Stages];
  /// Where others than those who multiply write: that a part is complete, one after the other; of gated rows, that a tile is,
  /// and that its memory is free again.
  Barrier ended[Stages];
  Barrier written;
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

/// The slices that the warps of a block end (exchange.cuh).
template <Chunks C>
__device__ __forceinline__ EndedSlices ended_slices_of_block() {
  if constexpr (C != Chunks::split) return {};
  return {static_cast<int>(cluster_rank()) * ended_slices, ended_slices};
}

/// One warp: brings the panels of the block's tiles, and the residual rows that they are added to. The first panels' weights
/// are on their way before the kernel that computes the rows has ended.
template <int N, Chunks C, Ending E>
__device__ void stream_many_rows(const Product& p, int first_unit, int units, int stride, Panels panels, std::byte* ring,
                                 RingBarriers<ManyRows<N, C, E>::stages>& barriers) {
  using Shape = ManyRows<N, C, E>;
  const EndedSlices ended = ended_slices_of_block<C>();
  const bool leads = threadIdx.x % 32 == 0;  // copies what is one copy
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
  for (int i = 0; leads && i < ahead; ++i) copy_weights(place, panels.first + i, i);
  wait_for_previous();
#pragma unroll 1
  for (int i = 0; leads && i < ahead; ++i) copy_rows(place, panels.first + i, i);
  RingPlace<Shape::stages> at{ahead % Shape::stages, ahead == Shape::stages ? 1U : 0U};
  int panel = panels.first + ahead;
  for (int unit = first_unit;;) {
#pragma unroll 1
    for (; panel < panels.end; ++panel) {
      if (leads) {
        barriers.empty[at.slot].wait(at.parity ^ 1);  // at once, in the ring's first round
        copy_weights(place, panel, at.slot);
        copy_rows(place, panel, at.slot);
      }
      at.advance();
    }
    if constexpr (Shape::tile_end == TileEnd::residual) {
      const int parts = parts_of<N>(p.rows - place.first_row);
#pragma unroll 1
      for (int part = 0; part < parts; ++part) {
        // Only the leader has seen every phase before; the parity of this one would say nothing to the others.
        if (leads) barriers.empty[at.slot].wait(at.parity ^ 1);
        __syncwarp();
        const int first_row = place.first_row + part * part_rows;
        bring_part(p.residual, first_row, p.rows - first_row, place.tile,
                   *reinterpret_cast<ResidualPart*>(ring + at.slot * Shape::stage_bytes), ended, barriers.full[at.slot]);
        at.advance();
      }
    }
    unit += stride;
    if (unit >= units) return;
    place = place_of<N>(p, unit, Shape::group_tiles);
    panel = panels.first;
  }
}

/// Two warps: write residual rows as their parts are complete, and give the stages back.
template <int N, Chunks C, Ending E>
__device__ void write_residual_parts(const Product& p, int first_unit, int units, int stride, int panels, std::byte* ring,
                                     int writer, RingBarriers<ManyRows<N, C, E>::stages>& barriers) {
  using Shape = ManyRows<N, C, E>;
  constexpr int arrivals = warpgroup / 32;  // for as many warps as have read a panel
  RingPlace<Shape::stages> at;
  RingPlace<Shape::stages> part_place;
  const EndedSlices slices = ended_slices_of_block<C>();
#pragma unroll 1
  for (int unit = first_unit; unit < units; unit += stride) {
    const TilePlace place = place_of<N>(p, unit, Shape::group_tiles);
    const int parts = parts_of<N>(p.rows - place.first_row);
    at.advance(panels);
#pragma unroll 1
    for (int part = 0; part < parts; ++part) {
      barriers.ended[part_place.slot].wait(part_place.parity);
      const int first_row = place.first_row + part * part_rows;
      write_part(p.residual, first_row, p.rows - first_row, place.tile,
                 *reinterpret_cast<const ResidualPart*>(ring + at.slot * Shape::stage_bytes), slices, writer);
      if (threadIdx.x % 32 < arrivals) barriers.empty[at.slot].arrive();
      at.advance();
      part_place.advance();
    }
  }
  wait_for_writes();
}

/// One thread: writes each tile's gated rows once they are complete.
template <int N, Chunks C, Ending E>
__device__ void write_gated_tiles(const Product& p, int first_unit, int units, int stride, const bf16* panel,
                                  RingBarriers<ManyRows<N, C, E>::stages>& barriers) {
  using Shape = ManyRows<N, C, E>;
  std::uint32_t parity = 0;
#pragma unroll 1
  for (int unit = first_unit; unit < units; unit += stride) {
    const TilePlace place = place_of<N>(p, unit, Shape::group_tiles);
    const std::size_t first = static_cast<std::size_t>(place.tile / 2) * static_cast<std::size_t>(p.gated.capacity) +
                              static_cast<std::size_t>(place.first_row);
    barriers.ended[0].wait(parity);
    write_bulk(p.gated.data + first * panel_inputs, panel,
               static_cast<std::uint32_t>(min(N, p.rows - place.first_row) * panel_row_bytes));
    end_writes();
    wait_for_writes_read();
    barriers.written.arrive();
    parity ^= 1;
  }
  wait_for_writes();
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

/// One of the warps that multiply ends its sums of a tile, part by part.
template <int N, Chunks C, Ending E>
struct CarriedEnd {
  using Shape = ManyRows<N, C, E>;
  static constexpr int parts_max = N / part_rows;

  const Product& p;
  std::byte* ring;
  bf16* panel;  ///< of gated rows
  int side;
  RingBarriers<Shape::stages>& barriers;
  RingPlace<Shape::stages> ended;  ///< parts of residual rows
  std::uint32_t tile_parity = 0;   ///< of gated rows

  /// Each lane's scale of a row of each part, 1 where there are none.
  __device__ __forceinline__ void load_scales(int first_row, float (&scales)[parts_max]) const {
#pragma unroll
    for (int part = 0; part < parts_max; ++part) {
      const int row = first_row + part * part_rows + static_cast<int>(threadIdx.x) % 32;
      scales[part] = p.row_scales != nullptr && row < p.rows ? __ldcg(p.row_scales + row) : 1.0f;
    }
  }

  __device__ __forceinline__ void add(const float (&sums)[N / 2], const TilePlace& place, const LaneWeights& weights,
                                      RingPlace<Shape::stages>& at) {
    const int parts = parts_of<N>(p.rows - place.first_row);
#pragma unroll 1
    for (int part = 0; part < parts; ++part) {
      const PartSums<N> of(sums, part);
      barriers.full[at.slot].wait(at.parity);
      add_part<N>(of, *reinterpret_cast<ResidualPart*>(ring + at.slot * Shape::stage_bytes), side, weights);
      fence_proxy_async();
      __syncwarp();
      if (threadIdx.x % 32 == 0) barriers.ended[ended.slot].arrive();
      at.advance();
      ended.advance();
    }
  }

  __device__ __forceinline__ void gate(const float (&sums)[N / 2], const float (&scales)[parts_max], const TilePlace& place) {
    const bool there = place.tile + side < p.weight.tiles();
    const int parts = parts_of<N>(p.rows - place.first_row);
    barriers.written.wait(tile_parity ^ 1);  // at once, for the first tile
#pragma unroll 1
    for (int part = 0; part < parts; ++part) {
      const PartSums<N> of(sums, part);
      float scale = 1;
#pragma unroll
      for (int each = 0; each < parts_max; ++each) scale = each == part ? scales[each] : scale;
      gate_part<N>(of, scale, panel + part * part_rows * panel_inputs, side, there);
    }
    fence_proxy_async();
    __syncwarp();
    if (threadIdx.x % 32 == 0) barriers.ended[0].arrive();
    tile_parity ^= 1;
  }
};

template <int N, Chunks C, Ending E>
__global__ void __launch_bounds__(ManyRows<N, C, E>::threads, 1) many_rows(const Product p) {
  using Shape = ManyRows<N, C, E>;
  constexpr bool split = C == Chunks::split;
  extern __shared__ std::byte unaligned[];
  __shared__ RingBarriers<Shape::stages> barriers;
  std::byte* const ring = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
  auto* const exchanges = reinterpret_cast<Exchange<N>*>(ring + Shape::stages * Shape::stage_bytes);
  std::byte* const staged = ring + Shape::stages * Shape::stage_bytes + Shape::exchange_bytes;
  constexpr int multiplying_warps = 2 * warpgroup / 32;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Shape::stages; ++stage) {
      barriers.full[stage].init(1);
      barriers.empty[stage].init(multiplying_warps);
      barriers.ended[stage].init(Shape::ending_warps);
    }
    barriers.written.init(1);
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
    const int warp = __shfl_sync(0xFFFFFFFF, static_cast<int>(threadIdx.x) / 32, 0);
    if (warp == 0) {
      stream_many_rows<N, C, E>(p, first_unit, units, stride, panels, ring, barriers);
    } else if (Shape::tile_end == TileEnd::residual && warp >= 2) {
      write_residual_parts<N, C, E>(p, first_unit, units, stride, panels.end - panels.first, ring, warp - 2, barriers);
    } else if (Shape::tile_end == TileEnd::gated && threadIdx.x == 32) {
      write_gated_tiles<N, C, E>(p, first_unit, units, stride, reinterpret_cast<const bf16*>(staged), barriers);
    }
  } else {
    take_registers<Shape::consumer_registers>();
    // From another lane, so that the compiler sees that all lanes of a warp have the same.
    const int side = __shfl_sync(0xFFFFFFFF, static_cast<int>(threadIdx.x) / warpgroup, 0) - 1;
    RingPlace<Shape::stages> at;
    CarriedEnd<N, C, E> carried{p, ring, reinterpret_cast<bf16*>(staged), side, barriers, {}};
    const auto add = [&](float(&sums)[N / 2], int count) {
      add_panels<N, Shape::stages, Shape::stage_bytes>(sums, count, ring, side, barriers, at);
    };
    for (int unit = first_unit; unit < units; unit += stride) {
      const TilePlace place = place_of<N>(p, unit, Shape::group_tiles);
      // What the end needs of global memory is loaded before the products; the previous kernel's scales are there with its
      // rows.
      const LaneWeights weights =
          Shape::tile_end == TileEnd::residual ? LaneWeights(p.residual, place.tile + side) : LaneWeights();
      float scales[N / part_rows];
      if constexpr (Shape::tile_end == TileEnd::gated) {
        barriers.full[at.slot].wait(at.parity);
        carried.load_scales(place.first_row, scales);
      }
      float sums[N / 2];
      bool shares_end = true;
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
        if constexpr (split) shares_end = exchange_chunks<N>(exchanges[side], 0, chunk, sums);
      }
      if constexpr (Shape::tile_end == TileEnd::residual) {
        if (shares_end) carried.add(sums, place, weights, at);
      } else if constexpr (Shape::tile_end == TileEnd::gated) {
        carried.gate(sums, scales, place);
      } else {
        EndStaging& staging = reinterpret_cast<EndStaging*>(staged)[threadIdx.x / 32 - warpgroup / 32];
        if (shares_end && place.tile + side < tiles)
          end_staged_tile<N, E>(p, place.tile + side, place.first_row, sums, staging);
      }
    }
  }
  if constexpr (split) {
    __syncwarp();
    cluster_sync();  // nobody's memory goes while others send to it
  }
}

}  // namespace troupe::kernels::cuda
