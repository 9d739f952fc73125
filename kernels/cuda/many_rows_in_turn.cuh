// Products of many rows by warpgroups in turn (ping-pong): two warpgroups have a tile of two tiles of weights and 128 rows
// each, and all tensor cores while the other one ends its tile. Where a block has several tiles, ends cost no time of the
// tensor cores. What is handed on from tile to tile in a fixed order (the tensor cores, the memory of parts, the one where sums
// wait) has a Turn.
#pragma once

#include "kernels/cuda/carried_end.cuh"
#include "kernels/cuda/in_turn_copies.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

/// A warpgroup that multiplies: every other tile of the block.
template <Chunks C, Ending E>
struct MultipliesInTurn {
  using Shape = InTurn<C, E>;
  using Scales = RowScales<Shape::parts_max>;
  static constexpr int half = Shape::sums;             ///< a thread's sums of one of the two tiles of weights
  static constexpr int ended = Shape::ended_rows / 2;  ///< of these, the ones that the block ends

  const Product& p;
  const BlockTiles<C>& tiles;
  int side;
  const typename Shape::Memory& memory;
  typename Shape::Barriers& barriers;
  RingPlace<Shape::stages> at;
  RingPlace<Shape::buffers> part_at;
  int count = 0;  ///< tiles so far

  /// Adds so many panels up, from zero.
  __device__ __forceinline__ void add_panels(float (&upper)[half], float (&lower)[half], int panels, bool last_of_tile) {
    const bool leads = threadIdx.x % 32 == 0;  // each warp says when it has read a stage
    // The first product ignores what the registers hold; without a value here, they would seem to hold it all the time before.
#pragma unroll
    for (int i = 0; i < half; ++i) {
      asm volatile("mov.f32 %0, 0f00000000;" : "=f"(upper[i]));
      asm volatile("mov.f32 %0, 0f00000000;" : "=f"(lower[i]));
    }
    int last = 0;
#pragma unroll 1
    for (int panel = 0; panel < panels; ++panel) {
      barriers.full[at.slot].wait(at.parity);
      const std::byte* const stage = memory.ring + at.slot * Shape::stage_bytes;
      const std::uint64_t a = tile_descriptor(stage);
      const std::uint64_t next_a = tile_descriptor(stage + panel_tile_bytes);
      const std::uint64_t b = tile_descriptor(stage + 2 * panel_tile_bytes);
      wgmma_fence();
#pragma unroll
      for (int step = 0; step < panel_inputs / 16; ++step) {
        Wgmma<Shape::rows>::step(upper, a + step * descriptor_step, b + step * descriptor_step, panel > 0 || step > 0);
        Wgmma<Shape::rows>::step(lower, next_a + step * descriptor_step, b + step * descriptor_step, panel > 0 || step > 0);
      }
      wgmma_commit();
      wgmma_wait<1>();
      if (panel > 0 && leads) barriers.empty[last].arrive();
      last = at.slot;
      at.advance();
    }
    if (last_of_tile) barriers.multiply.give(side);  // the other's products come behind this one's last
    wgmma_wait<0>();
#pragma unroll
    for (int i = 0; i < half; ++i) {  // nothing reads them before
      asm volatile("" : "+f"(upper[i])::"memory");
      asm volatile("" : "+f"(lower[i])::"memory");
    }
    if (leads) barriers.empty[last].arrive();
  }

  /// All chunks, one after the other. Of the first one's sums half wait in registers and half in shared memory.
  __device__ __forceinline__ void add_chunks(float (&upper)[half], float (&lower)[half]) {
    const int panels = tiles.panels.end - tiles.panels.first;
    if constexpr (C != Chunks::both) {
      add_panels(upper, lower, panels, true);
    } else {
      const int first_panels = panels_of_chunk(panels, 0, k_chunks_max).end;
      auto* const waiting = reinterpret_cast<float4*>(memory.parked) + threadIdx.x % warpgroup;
      float first[half];
#pragma unroll
      for (int i = 0; i < half; ++i) asm volatile("mov.f32 %0, 0f00000000;" : "=f"(first[i]));
      // One loop, so that the chunks' sums are in the same registers.
#pragma unroll 1
      for (int chunk = 0; chunk < k_chunks_max; ++chunk) {
        add_panels(upper, lower, chunk == 0 ? first_panels : panels - first_panels, chunk > 0);
        if (chunk > 0) break;
        barriers.park.wait(side, count);
#pragma unroll
        for (int i = 0; i < half; ++i) first[i] = upper[i];
#pragma unroll
        for (int i = 0; i < half; i += 4) waiting[i / 4 * warpgroup] = {lower[i], lower[i + 1], lower[i + 2], lower[i + 3]};
      }
#pragma unroll
      for (int i = 0; i < half; ++i) {
        upper[i] = first[i] + upper[i];
        asm volatile("" : "+f"(upper[i])::"memory");  // at once, and not where the sum is needed
      }
#pragma unroll
      for (int i = 0; i < half; i += 4) {
        const float4 four = waiting[i / 4 * warpgroup];
        lower[i] = four.x + lower[i];
        lower[i + 1] = four.y + lower[i + 1];
        lower[i + 2] = four.z + lower[i + 2];
        lower[i + 3] = four.w + lower[i + 3];
      }
      __syncwarp();
      barriers.park.give(side);
    }
  }

  /// Gives the sums of the rows that the other block ends away, and adds its sums of the others. `more` says whether the
  /// blocks have another tile behind this one.
  __device__ __forceinline__ void exchange(const float (&upper)[half], const float (&lower)[half], float (&upper_ended)[ended],
                                           float (&lower_ended)[ended], bool more) {
    const int thread = static_cast<int>(threadIdx.x) % warpgroup;
    auto* const arriving = reinterpret_cast<float4*>(memory.parked) + thread;
    Barrier& arrived = barriers.arrived[side];
    const std::uint32_t other = cluster_rank() ^ 1U;
    const bool first = tiles.chunk == 0;
    if (thread == 0) arrived.arrive_expecting(Shape::parked_bytes);
    barriers.park.wait(side, count);  // the other block has taken up what came before
    const auto give = [&](const float* early, int to) {
      const float* const late = early + half / 2;
      store_async(
          arriving + to * warpgroup, arrived, other,
          first ? make_float4(late[0], late[1], late[2], late[3]) : make_float4(early[0], early[1], early[2], early[3]));
    };
#pragma unroll
    for (int i = 0; i < ended; i += 4) {
      give(upper + i, i / 2);
      give(lower + i, i / 2 + 1);
    }
#pragma unroll
    for (int i = 0; i < ended; ++i) {
      upper_ended[i] = first ? upper[i] : upper[half / 2 + i];
      lower_ended[i] = first ? lower[i] : lower[half / 2 + i];
    }
    arrived.wait(static_cast<std::uint32_t>(count & 1));
    const auto take = [&](float* sums, int from) {  // the sum of two is the same in either order
      const float4 four = arriving[from * warpgroup];
      sums[0] += four.x;
      sums[1] += four.y;
      sums[2] += four.z;
      sums[3] += four.w;
    };
#pragma unroll
    for (int i = 0; i < ended; i += 4) {
      take(upper_ended + i, i / 2);
      take(lower_ended + i, i / 2 + 1);
    }
    __syncwarp();
    if (more) barriers.park.give_in(other, side);  // after its last tile, the other block may end at any time
  }

  __device__ __forceinline__ void end_parts(const float (&upper)[ended], const float (&lower)[ended], const TilePlace& place,
                                            const Scales& scales) {
    const int parts = parts_of<Shape::ended_rows>(p.rows - tiles.first_ended(place));
    const int slice = place.tile * tile_slices + static_cast<int>(threadIdx.x) % warpgroup / 32;
    const auto capacity = static_cast<std::size_t>(p.residual.normed.capacity);
    barriers.end.wait(side, count);
#pragma unroll 1
    for (int part = 0; part < parts; ++part) {
      barriers.brought[part_at.slot].wait(part_at.parity);
      RowPart<E>& rows = memory.part(part_at.slot);
      const PartSums<Shape::ended_rows> sums[2] = {{upper, part}, {lower, part}};
      if constexpr (E == Ending::residual) {
        const int row = tiles.first_ended(place) + part * part_rows;
        const int there = p.rows - row;
        float* const squares = p.residual.squares + static_cast<std::size_t>(slice) * capacity + row;
        add_part<Shape::ended_rows, 2>(
            sums, rows, 0, squares, tile_slices * capacity,
            {slice * 16 < p.residual.hidden ? there : 0, (slice + tile_slices) * 16 < p.residual.hidden ? there : 0});
      } else {
        const float scale = scales[part];
        put_part<Shape::ended_rows>(sums[0], scale, rows, 0);
        put_part<Shape::ended_rows>(sums[1], scale, rows, 1);
        fence_proxy_async();  // bulk copies write them
      }
      __syncwarp();
      if (threadIdx.x % 32 == 0) barriers.ended[part_at.slot].arrive();
      part_at.advance();
    }
    barriers.end.give(side);
  }

  __device__ __forceinline__ void end_gated(const float (&upper)[ended], const float (&lower)[ended], const TilePlace& place,
                                            const Scales& scales) {
    const int parts = parts_of<Shape::ended_rows>(p.rows - tiles.first_ended(place));
    bf16* const panel = memory.gated_rows(side);
    barriers.written[side].wait(static_cast<std::uint32_t>(count & 1) ^ 1);  // at once, for the first tile
#pragma unroll 1
    for (int part = 0; part < parts; ++part) {
      const float scale = scales[part];
      bf16* const rows = panel + part * part_rows * panel_inputs;
      gate_part<Shape::ended_rows>(PartSums<Shape::ended_rows>(upper, part), scale, rows, 0, true);
      gate_part<Shape::ended_rows>(PartSums<Shape::ended_rows>(lower, part), scale, rows, 1, place.tile + 1 < p.weight.tiles());
    }
    fence_proxy_async();
    __syncwarp();
    if (threadIdx.x % 32 == 0) barriers.ended[side].arrive();
  }

  /// Passes over the other warpgroup's tile.
  __device__ __forceinline__ void pass(const TilePlace& place) {
    at.advance(tiles.panels.end - tiles.panels.first);
    if constexpr (!Shape::gated) part_at.advance(parts_of<Shape::ended_rows>(p.rows - tiles.first_ended(place)));
  }

  __device__ __forceinline__ void end(const float (&upper)[ended], const float (&lower)[ended], const TilePlace& place,
                                      const Scales& scales) {
    if constexpr (Shape::gated) {
      end_gated(upper, lower, place, scales);
    } else {
      end_parts(upper, lower, place, scales);
    }
  }

  __device__ __forceinline__ void run() {
    int unit = tiles.first;
    if (side == 1) {
      pass(tiles.place(p, unit));
      unit += tiles.stride;
    }
    while (unit < tiles.units) {
      const TilePlace place = tiles.place(p, unit);
      barriers.multiply.wait(side, count);
      // What the end needs of global memory is loaded before the products; the previous kernel's scales are there with its
      // rows.
      Scales scales;
      if constexpr (E != Ending::residual) {
        barriers.full[at.slot].wait(at.parity);
        scales.load(p, tiles.first_ended(place));
      }
      float upper[half];
      float lower[half];
      add_chunks(upper, lower);
      if constexpr (Shape::split) {
        float upper_ended[ended];
        float lower_ended[ended];
        exchange(upper, lower, upper_ended, lower_ended, unit + tiles.stride < tiles.units);
        end(upper_ended, lower_ended, place, scales);
      } else {
        end(upper, lower, place, scales);
      }
      ++count;
      unit += tiles.stride;
      if (unit >= tiles.units) return;
      pass(tiles.place(p, unit));
      unit += tiles.stride;
    }
  }
};

template <Chunks C, Ending E>
__global__ void __launch_bounds__(InTurn<C, E>::threads, 1) many_rows_in_turn(const Product p) {
  using Shape = InTurn<C, E>;
  extern __shared__ std::byte unaligned[];
  __shared__ typename Shape::Barriers barriers;
  std::byte* const ring = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
  std::byte* const parked = ring + Shape::stages * Shape::stage_bytes;
  const typename Shape::Memory memory{ring, parked, parked + Shape::parked_bytes};
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Shape::stages; ++stage) {
      barriers.full[stage].init(1);
      barriers.empty[stage].init(Shape::warps);
    }
    for (int buffer = 0; buffer < Shape::buffers; ++buffer) {
      barriers.brought[buffer].init(1);
      barriers.ended[buffer].init(Shape::warps);
      barriers.written[buffer].init(1);
    }
    barriers.asked.init(1);
    barriers.multiply.init();
    barriers.end.init();
    barriers.park.init();
    for (Barrier& barrier : barriers.arrived) barrier.init(1);
    fence_barrier_init();
  }
  __syncthreads();
  if constexpr (Shape::split) cluster_arrive();
  let_next_begin();
  const BlockTiles<C> tiles(p);
  if (threadIdx.x < warpgroup) {
    give_registers<Shape::producer_registers>();
    const int warp = __shfl_sync(0xFFFFFFFF, static_cast<int>(threadIdx.x) / 32, 0);
    if (warp == 0) {
      if (is_elected()) stream_panels<Shape>(p, tiles, ring, barriers);
    } else if constexpr (Shape::gated) {
      if (threadIdx.x == 32) write_gated_in_turn<C, E>(p, tiles, memory, barriers);
    } else if (warp == 1) {
      bring_parts_in_turn<C, E>(p, tiles, memory, barriers);
    } else {
      write_parts_in_turn<C, E>(p, tiles, warp - 2, memory, barriers);
    }
  } else {
    take_registers<Shape::consumer_registers>();
    if constexpr (Shape::split) cluster_wait();  // nobody sends before the barriers are there
    // From another lane, so that the compiler sees that all lanes of a warp have the same.
    const int side = __shfl_sync(0xFFFFFFFF, static_cast<int>(threadIdx.x) / warpgroup, 0) - 1;
    MultipliesInTurn<C, E>{p, tiles, side, memory, barriers, {}, {}}.run();
  }
  // Nobody's memory goes while others send to it: each block waits for all that the other one sends.
}

}  // namespace troupe::kernels::cuda
