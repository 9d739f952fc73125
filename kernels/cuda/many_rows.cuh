// Products of many rows with one chunk of inputs: two warpgroups multiply 64 outputs each by the same N rows, a third one
// brings panels, and writes what the others leave in shared memory. Blocks stay and take one tile after the other, so that the
// next tile's panels arrive while the last one's sums are written. Such wide tiles read the least; the square ones are
// in many_rows_in_turn.cuh and many_rows_together.cuh.
#pragma once

#include <algorithm>

#include "kernels/cuda/carried_end.cuh"
#include "kernels/cuda/product_plan.hpp"
#include "kernels/cuda/ring_panels.cuh"
#include "kernels/cuda/row_part.cuh"
#include "kernels/cuda/tile_places.cuh"

namespace troupe::kernels::cuda {

/// Shared memory: the ring, each stage a panel of two tiles of weights and of the rows; gated rows. Rows of floats end in
/// stages of the ring, behind a tile's panels.
template <int N, Ending E>
struct ManyRows {
  static constexpr int multiplying_threads = 2 * warpgroup;
  static constexpr int multiplying_warps = multiplying_threads / 32;
  static constexpr bool gated = E == Ending::gated;
  static constexpr int stage_parts = N == 256 ? 2 : 1;  ///< that end in a stage
  static constexpr int part_bytes = gated ? 0 : stage_parts * static_cast<int>(sizeof(RowPart<E>));
  static constexpr int stage_bytes = divided_up(std::max(2 * panel_tile_bytes + N * panel_row_bytes, part_bytes), 1024) * 1024;
  static constexpr int gated_bytes = gated ? N * panel_row_bytes : 0;
  static constexpr int stages = (225 * 1024 - gated_bytes) / stage_bytes;
  static constexpr int shared_bytes = 1024 + stages * stage_bytes + gated_bytes;
  static constexpr int threads = warpgroup + multiplying_threads;
  static constexpr int producer_registers = 40;
  static constexpr int consumer_registers = 232;
  static constexpr int writers = 2;  ///< warps, in turn
  static_assert(stages >= 3 && N % part_rows == 0);
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

/// One warp: brings the panels of the block's tiles, and behind them the residual rows that they are added to, or room for rows
/// of floats. The first panels' weights are on their way before the kernel that computes the rows has ended.
template <int N, Ending E>
__device__ void stream_many_rows(const Product& p, int first_unit, int units, int stride, int panels, std::byte* ring,
                                 RingBarriers<ManyRows<N, E>::stages>& barriers) {
  using Shape = ManyRows<N, E>;
  const bool leads = threadIdx.x % 32 == 0;  // copies what is one copy
  const PanelCopies<N, Shape::stage_bytes, RingBarriers<Shape::stages>> copies{p, ring, barriers};
  TilePlace place = place_of<N>(p, first_unit);
  const int ahead = min(Shape::stages, panels);
#pragma unroll 1
  for (int i = 0; leads && i < ahead; ++i) copies.copy_weights(place, i, i);
  wait_for_previous();
#pragma unroll 1
  for (int i = 0; leads && i < ahead; ++i) copies.copy_rows(place, i, i);
  RingPlace<Shape::stages> at{ahead % Shape::stages, ahead == Shape::stages ? 1U : 0U};
  int panel = ahead;
  for (int unit = first_unit;;) {
#pragma unroll 1
    for (; panel < panels; ++panel) {
      if (leads) {
        barriers.empty[at.slot].wait(at.parity ^ 1);  // at once, in the ring's first round
        copies.copy_weights(place, panel, at.slot);
        copies.copy_rows(place, panel, at.slot);
      }
      at.advance();
    }
    if constexpr (!Shape::gated) {
      const int rounds = divided_up(parts_of<N>(p.rows - place.first_row), Shape::stage_parts);
#pragma unroll 1
      for (int round = 0; round < rounds; ++round) {
        // Only the leader has seen every phase before; the parity of this one would say nothing to the others.
        if (leads) barriers.empty[at.slot].wait(at.parity ^ 1);
        __syncwarp();
        Barrier& full = barriers.full[at.slot];
        if constexpr (E == Ending::residual) {
          auto* const parts = reinterpret_cast<RowPart<E>*>(ring + at.slot * Shape::stage_bytes);
          const int first = place.first_row + round * Shape::stage_parts * part_rows;
#pragma unroll
          for (int i = 0; i < Shape::stage_parts; ++i) {
            const int row = first + i * part_rows;
            bring_part(p.residual, row, p.rows - row, place.tile, parts[i], full);
          }
          __syncwarp();
        }
        if (leads) full.arrive();
        at.advance();
      }
    }
    unit += stride;
    if (unit >= units) return;
    place = place_of<N>(p, unit);
    panel = 0;
  }
}

/// Warps in turn: write rows of floats as their parts are complete, and give the stages back.
template <int N, Ending E>
__device__ void write_parts(const Product& p, int first_unit, int units, int stride, int panels, const std::byte* ring,
                            int writer, RingBarriers<ManyRows<N, E>::stages>& barriers) {
  using Shape = ManyRows<N, E>;
  RingPlace<Shape::stages> at;
  RingPlace<Shape::stages> ended;
  int turn = 0;
#pragma unroll 1
  for (int unit = first_unit; unit < units; unit += stride) {
    const TilePlace place = place_of<N>(p, unit);
    const int rounds = divided_up(parts_of<N>(p.rows - place.first_row), Shape::stage_parts);
    at.advance(panels);
#pragma unroll 1
    for (int round = 0; round < rounds; ++round) {
      if (turn == writer) {
        const LaneWeights weights(p.residual, place.tile);
        barriers.ended[ended.slot].wait(ended.parity);
        const auto* const parts = reinterpret_cast<const RowPart<E>*>(ring + at.slot * Shape::stage_bytes);
#pragma unroll
        for (int i = 0; i < Shape::stage_parts; ++i) {
          const int row = place.first_row + (round * Shape::stage_parts + i) * part_rows;
          write_part_alone(p, row, place.tile, parts[i], weights);
        }
        __syncwarp();
        if (threadIdx.x % 32 < Shape::multiplying_warps) barriers.empty[at.slot].arrive();  // for as many as have read a panel
      }
      if (++turn == Shape::writers) turn = 0;
      at.advance();
      ended.advance();
    }
  }
}

/// One thread: writes each tile's gated rows once they are complete.
template <int N, Ending E>
__device__ void write_gated_tiles(const Product& p, int first_unit, int units, int stride, const bf16* panel,
                                  RingBarriers<ManyRows<N, E>::stages>& barriers) {
  using Shape = ManyRows<N, E>;
  std::uint32_t parity = 0;
#pragma unroll 1
  for (int unit = first_unit; unit < units; unit += stride) {
    const TilePlace place = place_of<N>(p, unit);
    const int count = min(N, p.rows - place.first_row);
    const std::size_t first = static_cast<std::size_t>(place.tile / 2) * static_cast<std::size_t>(p.gated.capacity) +
                              static_cast<std::size_t>(place.first_row);
    barriers.ended[0].wait(parity);
    write_bulk(p.gated.data + first * panel_inputs, panel, static_cast<std::uint32_t>(count * panel_row_bytes));
    end_writes();
    wait_for_writes_read();
    barriers.written.arrive();
    parity ^= 1;
  }
}

/// One of the warps that multiply ends its sums of a tile's rows, part by part.
template <int N, Ending E>
struct CarriedEnd {
  using Shape = ManyRows<N, E>;
  using Scales = RowScales<N / part_rows>;

  const Product& p;
  std::byte* ring;
  bf16* panel;  ///< of gated rows
  int side;
  RingBarriers<Shape::stages>& barriers;
  RingPlace<Shape::stages> ended;  ///< stages of parts
  std::uint32_t tile_parity = 0;   ///< of gated rows

  /// Calls end(part, its memory, how many of its rows are there) for each part, whose memory is there then.
  template <class End>
  __device__ __forceinline__ void for_parts(int first_row, RingPlace<Shape::stages>& at, const End& end) {
    const int rounds = divided_up(parts_of<N>(p.rows - first_row), Shape::stage_parts);
#pragma unroll 1
    for (int round = 0; round < rounds; ++round) {
      barriers.full[at.slot].wait(at.parity);
#pragma unroll 1
      for (int i = 0; i < Shape::stage_parts; ++i) {
        const int part = round * Shape::stage_parts + i;
        end(part, reinterpret_cast<RowPart<E>*>(ring + at.slot * Shape::stage_bytes)[i], p.rows - first_row - part * part_rows);
      }
      fence_proxy_async();  // the next panel comes to the same place
      __syncwarp();
      if (threadIdx.x % 32 == 0) barriers.ended[ended.slot].arrive();
      at.advance();
      ended.advance();
    }
  }

  __device__ __forceinline__ void put(const float (&sums)[N / 2], const TilePlace& place, const Scales& scales,
                                      RingPlace<Shape::stages>& at) {
    for_parts(place.first_row, at,
              [&](int part, RowPart<E>& memory, int) { put_part<N>(PartSums<N>(sums, part), scales[part], memory, side); });
  }

  __device__ __forceinline__ void add(const float (&sums)[N / 2], const TilePlace& place, RingPlace<Shape::stages>& at) {
    const int slice = (place.tile + side) * tile_slices + static_cast<int>(threadIdx.x) % warpgroup / 32;
    const bool there = slice * 16 < p.residual.hidden;
    float* const squares = p.residual.squares +
                           static_cast<std::size_t>(slice) * static_cast<std::size_t>(p.residual.normed.capacity) +
                           place.first_row;
    for_parts(place.first_row, at, [&](int part, RowPart<E>& memory, int count) {
      add_part<N, 1>({PartSums<N>(sums, part)}, memory, side, squares + part * part_rows, 0, {there ? count : 0});
    });
  }

  __device__ __forceinline__ void gate(const float (&sums)[N / 2], const TilePlace& place, const Scales& scales) {
    const bool there = place.tile + side < p.weight.tiles();
    const int parts = parts_of<N>(p.rows - place.first_row);
    barriers.written.wait(tile_parity ^ 1);  // at once, for the first tile
#pragma unroll 1
    for (int part = 0; part < parts; ++part)
      gate_part<N>(PartSums<N>(sums, part), scales[part], panel + part * part_rows * panel_inputs, side, there);
    fence_proxy_async();
    __syncwarp();
    if (threadIdx.x % 32 == 0) barriers.ended[0].arrive();
    tile_parity ^= 1;
  }
};

template <int N, Ending E>
__global__ void __launch_bounds__(ManyRows<N, E>::threads, 1) many_rows(const Product p) {
  using Shape = ManyRows<N, E>;
  extern __shared__ std::byte unaligned[];
  __shared__ RingBarriers<Shape::stages> barriers;
  std::byte* const ring = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
  auto* const gated = reinterpret_cast<bf16*>(ring + Shape::stages * Shape::stage_bytes);
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Shape::stages; ++stage) {
      barriers.full[stage].init(1);
      barriers.empty[stage].init(Shape::multiplying_warps);
      barriers.ended[stage].init(Shape::multiplying_warps);
    }
    barriers.written.init(1);
    fence_barrier_init();
  }
  __syncthreads();
  let_next_begin();
  const int units = divided_up(p.weight.tiles(), 2) * divided_up(p.rows, N);
  const int first_unit = static_cast<int>(blockIdx.x);
  const int stride = static_cast<int>(gridDim.x);
  const int panels = p.weight.panels();
  if (threadIdx.x < warpgroup) {
    give_registers<Shape::producer_registers>();
    const int warp = __shfl_sync(0xFFFFFFFF, static_cast<int>(threadIdx.x) / 32, 0);
    if (warp == 0) {
      stream_many_rows<N, E>(p, first_unit, units, stride, panels, ring, barriers);
    } else if constexpr (Shape::gated) {
      if (threadIdx.x == 32) write_gated_tiles<N, E>(p, first_unit, units, stride, gated, barriers);
    } else if (warp >= 2) {
      write_parts<N, E>(p, first_unit, units, stride, panels, ring, warp - 2, barriers);
    }
  } else {
    take_registers<Shape::consumer_registers>();
    // From another lane, so that the compiler sees that all lanes of a warp have the same.
    const int side = __shfl_sync(0xFFFFFFFF, static_cast<int>(threadIdx.x) / warpgroup, 0) - 1;
    RingPlace<Shape::stages> at;
    CarriedEnd<N, E> carried{p, ring, gated, side, barriers, {}};
    for (int unit = first_unit; unit < units; unit += stride) {
      const TilePlace place = place_of<N>(p, unit);
      // What the end needs of global memory is loaded before the products; the previous kernel's scales are there with its
      // rows.
      RowScales<N / part_rows> scales;
      if constexpr (E != Ending::residual) {
        barriers.full[at.slot].wait(at.parity);
        scales.load(p, place.first_row);
      }
      float sums[N / 2];
      add_panels<N, Shape::stage_bytes>(sums, panels, ring, side, barriers, at);
      if constexpr (E == Ending::residual) {
        carried.add(sums, place, at);
      } else if constexpr (E == Ending::rows) {
        carried.put(sums, place, scales, at);
      } else {
        carried.gate(sums, place, scales);
      }
    }
  }
}

}  // namespace troupe::kernels::cuda
