// Products of many rows with one chunk of inputs: two warpgroups multiply 64 outputs each by the same N rows, a third one
// brings panels, and writes what the others leave in shared memory. Blocks stay and take one tile after the other, so that the
// next tile's panels arrive while the last one's sums are written. Such wide tiles read the least; all others are in turn
// (many_rows_in_turn.cuh).
#pragma once

#include <algorithm>

#include "kernels/cuda/carried_end.cuh"
#include "kernels/cuda/product_plan.hpp"
#include "kernels/cuda/tile_places.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

/// Shared memory: the ring, each stage a panel of two tiles of weights and of the rows; gated rows. Rows of floats end in
/// stages of the ring, behind a tile's panels.
template <int N, Ending E>
struct ManyRows {
  static constexpr int multiplying_threads = 2 * warpgroup;
  static constexpr int multiplying_warps = multiplying_threads / 32;
  static constexpr bool gated = E == Ending::gated;
  static constexpr int tile_bytes = tile_elements * 2;
  static constexpr int row_bytes = panel_inputs * 2;
  static constexpr int stage_parts = N == 256 ? 2 : 1;  ///< that end in a stage
  static constexpr int part_bytes = gated ? 0 : stage_parts * static_cast<int>(sizeof(CarriedPart));
  static constexpr int stage_bytes = divided_up(std::max(2 * tile_bytes + N * row_bytes, part_bytes), 1024) * 1024;
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
  TilePlace place = place_of<N>(p, first_unit);
  const int ahead = min(Shape::stages, panels);
#pragma unroll 1
  for (int i = 0; leads && i < ahead; ++i) copy_weights(place, i, i);
  wait_for_previous();
#pragma unroll 1
  for (int i = 0; leads && i < ahead; ++i) copy_rows(place, i, i);
  RingPlace<Shape::stages> at{ahead % Shape::stages, ahead == Shape::stages ? 1U : 0U};
  int panel = ahead;
  for (int unit = first_unit;;) {
#pragma unroll 1
    for (; panel < panels; ++panel) {
      if (leads) {
        barriers.empty[at.slot].wait(at.parity ^ 1);  // at once, in the ring's first round
        copy_weights(place, panel, at.slot);
        copy_rows(place, panel, at.slot);
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
          auto* const parts = reinterpret_cast<CarriedPart*>(ring + at.slot * Shape::stage_bytes);
          const int first = place.first_row + round * Shape::stage_parts * part_rows;
          std::uint32_t bytes = 0;
#pragma unroll
          for (int i = 0; i < Shape::stage_parts; ++i) {
            bytes += part_bytes(p.residual, p.rows - first - i * part_rows, place.tile);
            if (p.residual.hidden < (place.tile + 2) * tile_outputs) clear_beyond(p.residual, place.tile, parts[i]);
          }
          __syncwarp();
          if (leads) full.arrive_expecting(bytes);
#pragma unroll
          for (int i = 0; i < Shape::stage_parts; ++i) {
            const int row = first + i * part_rows;
            bring_part(p.residual, row, p.rows - row, place.tile, parts[i], full);
          }
        } else {
          if (leads) full.arrive();
        }
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
        barriers.ended[ended.slot].wait(ended.parity);
        const auto* const parts = reinterpret_cast<const CarriedPart*>(ring + at.slot * Shape::stage_bytes);
#pragma unroll
        for (int i = 0; i < Shape::stage_parts; ++i) {
          const int row = place.first_row + (round * Shape::stage_parts + i) * part_rows;
          if constexpr (E == Ending::residual) {
            write_part(p.residual, row, p.rows - row, place.tile, parts[i]);
          } else {
            const auto stride_of_rows = static_cast<std::size_t>(p.output_stride);
            const int dim = place.tile * tile_outputs;
            write_part_rows(p.output + static_cast<std::size_t>(row) * stride_of_rows + dim, stride_of_rows, p.rows - row,
                            min(2 * tile_outputs, p.weight.outputs - dim), parts[i]);
          }
        }
        end_writes();
        wait_for_writes_read();
        __syncwarp();
        if (threadIdx.x % 32 < Shape::multiplying_warps) barriers.empty[at.slot].arrive();  // for as many as have read a panel
      }
      if (++turn == Shape::writers) turn = 0;
      at.advance();
      ended.advance();
    }
  }
  wait_for_writes();
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

/// One of the warps that multiply ends its sums of a tile's rows, part by part.
template <int N, Ending E>
struct CarriedEnd {
  using Shape = ManyRows<N, E>;
  static constexpr int parts_max = N / part_rows;

  const Product& p;
  std::byte* ring;
  bf16* panel;  ///< of gated rows
  int side;
  RingBarriers<Shape::stages>& barriers;
  RingPlace<Shape::stages> ended;  ///< stages of parts
  std::uint32_t tile_parity = 0;   ///< of gated rows

  /// Each lane's scale of a row of each part, 1 where there are none.
  __device__ __forceinline__ void load_scales(int first_row, float (&scales)[parts_max]) const {
#pragma unroll
    for (int part = 0; part < parts_max; ++part) {
      const int row = first_row + part * part_rows + static_cast<int>(threadIdx.x) % 32;
      scales[part] = p.row_scales != nullptr && row < p.rows ? __ldcg(p.row_scales + row) : 1.0f;
    }
  }
  /// Registers have no index.
  static __device__ __forceinline__ float scale_of(const float (&scales)[parts_max], int part) {
    float scale = 1;
#pragma unroll
    for (int each = 0; each < parts_max; ++each) scale = each == part ? scales[each] : scale;
    return scale;
  }

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
        end(part, reinterpret_cast<CarriedPart*>(ring + at.slot * Shape::stage_bytes)[i],
            p.rows - first_row - part * part_rows);
      }
      fence_proxy_async();
      __syncwarp();
      if (threadIdx.x % 32 == 0) barriers.ended[ended.slot].arrive();
      at.advance();
      ended.advance();
    }
  }

  __device__ __forceinline__ void put(const float (&sums)[N / 2], const TilePlace& place, const float (&scales)[parts_max],
                                      RingPlace<Shape::stages>& at) {
    for_parts(place.first_row, at, [&](int part, CarriedPart& memory, int) {
      put_part<N>(PartSums<N>(sums, part), scale_of(scales, part), memory, side);
    });
  }

  __device__ __forceinline__ void add(const float (&sums)[N / 2], const TilePlace& place, const LaneWeights& weights,
                                      RingPlace<Shape::stages>& at) {
    const int slice = (place.tile + side) * tile_slices + static_cast<int>(threadIdx.x) % warpgroup / 32;
    const bool there = slice * 16 < p.residual.hidden;
    float* const squares = p.residual.squares +
                           static_cast<std::size_t>(slice) * static_cast<std::size_t>(p.residual.normed.capacity) +
                           place.first_row;
    for_parts(place.first_row, at, [&](int part, CarriedPart& memory, int count) {
      add_part<N>(PartSums<N>(sums, part), memory, side, weights, squares + part * part_rows, there ? count : 0);
    });
  }

  __device__ __forceinline__ void gate(const float (&sums)[N / 2], const TilePlace& place, const float (&scales)[parts_max]) {
    const bool there = place.tile + side < p.weight.tiles();
    const int parts = parts_of<N>(p.rows - place.first_row);
    barriers.written.wait(tile_parity ^ 1);  // at once, for the first tile
#pragma unroll 1
    for (int part = 0; part < parts; ++part)
      gate_part<N>(PartSums<N>(sums, part), scale_of(scales, part), panel + part * part_rows * panel_inputs, side, there);
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
    } else if (!Shape::gated && warp >= 2) {
      write_parts<N, E>(p, first_unit, units, stride, panels, ring, warp - 2, barriers);
    } else if (Shape::gated && threadIdx.x == 32) {
      write_gated_tiles<N, E>(p, first_unit, units, stride, gated, barriers);
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
      const LaneWeights weights = E == Ending::residual ? LaneWeights(p.residual, place.tile + side) : LaneWeights();
      float scales[N / part_rows];
      if constexpr (E != Ending::residual) {
        barriers.full[at.slot].wait(at.parity);
        carried.load_scales(place.first_row, scales);
      }
      float sums[N / 2];
      add_panels<N, Shape::stages, Shape::stage_bytes>(sums, panels, ring, side, barriers, at);
      if constexpr (E == Ending::residual) {
        carried.add(sums, place, weights, at);
      } else if constexpr (E == Ending::rows) {
        carried.put(sums, place, scales, at);
      } else {
        carried.gate(sums, place, scales);
      }
    }
  }
}

}  // namespace troupe::kernels::cuda
