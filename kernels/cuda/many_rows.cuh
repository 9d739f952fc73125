// Products of many rows: two warpgroups multiply 64 outputs each by the same N rows, a third one brings panels. Blocks stay and
// take one tile after the other; a tile's end goes on beside the next one's products, so that the tensor cores have work all
// the time. Blocks come in pairs: what both need of the rows, each brings half of, into both.
#pragma once

#include "kernels/cuda/exchange.cuh"
#include "kernels/cuda/product_plan.hpp"
#include "kernels/cuda/tile_end.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

/// Which of the chunks of a weight's inputs a block adds up.
enum class Chunks {
  one,    ///< there is one
  both,   ///< both, one after the other; the other block of the cluster has the next outputs
  split,  ///< one of both; the other block of the cluster has the other one
};

inline constexpr int cluster_blocks = 2;

/// Shared memory: the ring, each stage a panel of two tiles of weights and of the rows; for `split`, where the other block's
/// sums arrive, by warpgroup; the staging of each warp.
template <int N, Chunks C, Ending E>
struct ManyRows {
  /// Both blocks of a cluster multiply the same rows, of the same inputs.
  static constexpr bool rows_shared = C != Chunks::split;
  /// Tiles end beside the next one's products: for that a thread has two sets of sums.
  static constexpr bool ends_beside = C != Chunks::split && N <= 192;
  /// How many end together: few where the tensor cores would wait for it, and fewer where registers are scarce.
  static constexpr int group_rows = !ends_beside ? 32 : N > 128 && E == Ending::residual ? 8 : 16;
  using Staging = RowStaging<group_rows>;
  static constexpr int tile_bytes = tile_elements * 2;
  static constexpr int row_bytes = panel_inputs * 2;
  static constexpr int stage_bytes = 2 * tile_bytes + N * row_bytes;
  static constexpr int exchange_bytes = C == Chunks::split ? 2 * static_cast<int>(sizeof(Exchange<N>)) : 0;
  static constexpr int staging_bytes = 2 * warpgroup / 32 * static_cast<int>(sizeof(Staging));
  static constexpr int stages = (225 * 1024 - exchange_bytes - staging_bytes) / stage_bytes;
  static constexpr int shared_bytes = 1024 + stages * stage_bytes + exchange_bytes + staging_bytes;
  static constexpr int threads = 3 * warpgroup;
  // As many as the block begins with: 168 for each of its threads.
  static constexpr int producer_registers = 40;
  static constexpr int consumer_registers = 232;
  static constexpr int cluster_tiles = rows_shared ? 2 * cluster_blocks : 2;  ///< of 64 outputs, that a cluster has at a time
  static constexpr int group_tiles = 32;  ///< that are multiplied by all rows before the next ones are
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

/// Of a block's two tiles: the first one, which may be behind the last that there is, and the first row.
struct TilePlace {
  int tile;
  int first_row;
};
/// Units of work are a cluster's: so many tiles and N rows.
template <class Shape, int N>
__host__ __device__ __forceinline__ int units_of(const Product& p) {
  return divided_up(p.weight.tiles(), Shape::cluster_tiles) * divided_up(p.rows, N);
}
/// The unit-th one, in an order that keeps what is shared in the L2 cache.
template <class Shape, int N>
__device__ __forceinline__ TilePlace place_of(const Product& p, int unit) {
  constexpr int group = Shape::group_tiles / Shape::cluster_tiles;
  const int columns = divided_up(p.weight.tiles(), Shape::cluster_tiles);
  const int row_tiles = divided_up(p.rows, N);
  const int first_column = unit / (group * row_tiles) * group;
  const int width = min(group, columns - first_column);
  const int within = unit - first_column * row_tiles;
  const int block = Shape::rows_shared ? static_cast<int>(cluster_rank()) : 0;
  return {(first_column + within % width) * Shape::cluster_tiles + block * 2, within / width * N};
}

/// Where a block's next panels lie, and how much of the rows it copies: all N, or its half.
template <class Shape, int N>
struct PanelSource {
  const bf16* weights;  ///< of the first tile
  const bf16* rows;
  int second;         ///< where the other tile's weights are, in elements from the first one's; nowhere else, if there is none
  int expected_rows;  ///< that arrive, of both blocks together
  int copied_rows;

  __device__ __forceinline__ PanelSource(const Product& p, const TilePlace& place, int panel, int block) {
    constexpr int rows_each = Shape::rows_shared ? N / cluster_blocks : N;
    const int skipped = Shape::rows_shared ? block * rows_each : 0;
    const int last = p.weight.tiles() - 1;  // stands in for those behind it
    const int tile = min(place.tile, last);
    weights = p.weight.data +
              (static_cast<std::size_t>(tile) * static_cast<std::size_t>(p.weight.panels()) + static_cast<std::size_t>(panel)) *
                  tile_elements;
    second = tile < last ? p.weight.panels() * tile_elements : 0;
    rows = p.input.data + (static_cast<std::size_t>(panel) * static_cast<std::size_t>(p.input.capacity) +
                           static_cast<std::size_t>(place.first_row + skipped)) *
                              panel_inputs;
    const int there = p.input.capacity - place.first_row;
    expected_rows = min(N, there);
    copied_rows = min(rows_each, there - skipped);  // none, if the other block brings all that there are
  }
  __device__ __forceinline__ void copy_weights(std::byte* stage, Barrier& full) {
    full.arrive_expecting(static_cast<std::uint32_t>(2 * Shape::tile_bytes + expected_rows * Shape::row_bytes));
    copy_bulk(stage, weights, Shape::tile_bytes, full);
    copy_bulk(stage + Shape::tile_bytes, weights + second, Shape::tile_bytes, full);
    weights += tile_elements;
  }
  __device__ __forceinline__ void copy_rows(const Product& p, std::byte* stage, Barrier& full, int block) {
    std::byte* const target = stage + 2 * Shape::tile_bytes;
    const auto bytes = static_cast<std::uint32_t>(copied_rows * Shape::row_bytes);
    if constexpr (Shape::rows_shared) {
      constexpr std::uint16_t all_blocks = (1U << cluster_blocks) - 1;
      constexpr int block_bytes = N / cluster_blocks * Shape::row_bytes;
      if (copied_rows > 0) copy_bulk_to(all_blocks, target + block * block_bytes, rows, bytes, full);
    } else {
      copy_bulk(target, rows, bytes, full);
    }
    rows += static_cast<std::size_t>(p.input.capacity) * panel_inputs;
  }
};

/// One thread: brings the panels of the block's tiles. The first ones' weights are on their way before the kernel that computes
/// the rows has ended.
template <int N, class Shape>
__device__ __forceinline__ void stream_many_rows(const Product& p, int first_unit, int units, int stride, Panels panels,
                                                 std::byte* ring, RingBarriers<Shape::stages>& barriers) {
  const int block = static_cast<int>(cluster_rank());
  const int ahead = min(Shape::stages, panels.end - panels.first);
  PanelSource<Shape, N> source(p, place_of<Shape, N>(p, first_unit), panels.first, block);
#pragma unroll 1
  for (int i = 0; i < ahead; ++i) source.copy_weights(ring + i * Shape::stage_bytes, barriers.full[i]);
  wait_for_previous();
#pragma unroll 1
  for (int i = 0; i < ahead; ++i) source.copy_rows(p, ring + i * Shape::stage_bytes, barriers.full[i], block);
  RingPlace<Shape::stages> at{ahead % Shape::stages, ahead == Shape::stages ? 1U : 0U};
  int panel = panels.first + ahead;
#pragma unroll 1
  for (int unit = first_unit;;) {
#pragma unroll 1
    for (; panel < panels.end; ++panel) {
      std::byte* const stage = ring + at.slot * Shape::stage_bytes;
      barriers.empty[at.slot].wait(at.parity ^ 1);  // at once, in the ring's first round
      source.copy_weights(stage, barriers.full[at.slot]);
      source.copy_rows(p, stage, barriers.full[at.slot], block);
      at.advance();
    }
    unit += stride;
    if (unit >= units) return;
    panel = panels.first;
    source = PanelSource<Shape, N>(p, place_of<Shape, N>(p, unit), panel, block);
  }
}

/// Each warp says when it has read a stage, to every block that copies into it.
template <bool RowsShared>
__device__ __forceinline__ void give_back(Barrier& empty) {
  const auto lane = threadIdx.x % 32;
  if constexpr (RowsShared) {
    if (lane < cluster_blocks) empty.arrive_in(lane);
  } else {
    if (lane == 0) empty.arrive();
  }
}

/// Adds so many panels up, from zero. A stage is given back once the products after it have been begun. Calls meanwhile() at
/// each panel, while the tensor cores work.
template <int N, class Shape, class Meanwhile>
__device__ __forceinline__ void add_panels(float (&sums)[N / 2], int panels, const std::byte* ring, int side,
                                           RingBarriers<Shape::stages>& barriers, RingPlace<Shape::stages>& at,
                                           const Meanwhile& meanwhile) {
  // The first product ignores what the registers hold; without a value here, they would seem to hold it all the time before.
#pragma unroll
  for (int i = 0; i < N / 2; ++i) asm volatile("mov.f32 %0, 0f00000000;" : "=f"(sums[i]));
  int last = 0;
#pragma unroll 1
  for (int panel = 0; panel < panels; ++panel) {
    barriers.full[at.slot].wait(at.parity);
    const std::byte* const stage = ring + at.slot * Shape::stage_bytes;
    const std::uint64_t a = tile_descriptor(stage + side * Shape::tile_bytes);
    const std::uint64_t b = tile_descriptor(stage + 2 * Shape::tile_bytes);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < panel_inputs / 16; ++step)
      Wgmma<N>::step(sums, a + step * descriptor_step, b + step * descriptor_step, panel > 0 || step > 0);
    wgmma_commit();
    meanwhile();
    wgmma_wait<1>();
    if (panel > 0) give_back<Shape::rows_shared>(barriers.empty[last]);
    last = at.slot;
    at.advance();
  }
  wgmma_wait<0>();
#pragma unroll
  for (int i = 0; i < N / 2; ++i) asm volatile("" : "+f"(sums[i])::"memory");  // nothing reads them before
  give_back<Shape::rows_shared>(barriers.empty[last]);
}

template <int N, Chunks C, Ending E>
__global__ void __launch_bounds__(ManyRows<N, C, E>::threads, 1) many_rows(const Product p) {
  using Shape = ManyRows<N, C, E>;
  constexpr bool split = C == Chunks::split;
  extern __shared__ std::byte unaligned[];
  __shared__ RingBarriers<Shape::stages> barriers;
  std::byte* const ring = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
  auto* const exchanges = reinterpret_cast<Exchange<N>*>(ring + Shape::stages * Shape::stage_bytes);
  auto* const stagings =
      reinterpret_cast<typename Shape::Staging*>(ring + Shape::stages * Shape::stage_bytes + Shape::exchange_bytes);
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Shape::stages; ++stage) {
      barriers.full[stage].init(1);
      barriers.empty[stage].init(2 * warpgroup / 32 * (Shape::rows_shared ? cluster_blocks : 1));
    }
    if constexpr (split) {
      exchanges[0].init();
      exchanges[1].init();
    }
    fence_barrier_init();
  }
  __syncthreads();
  cluster_sync();  // nobody sends before the barriers are there
  let_next_begin();
  const int units = units_of<Shape, N>(p);
  const int chunk = split ? static_cast<int>(cluster_rank()) : 0;
  const int first_unit = static_cast<int>(blockIdx.x) / cluster_blocks;
  // Where the sums of a cluster's chunks arrive is used once: such a cluster has one unit.
  const int stride = split ? units : static_cast<int>(gridDim.x) / cluster_blocks;
  const Panels panels = panels_of_chunk(p.weight.panels(), chunk, split ? k_chunks_max : 1);
  if (threadIdx.x < warpgroup) {
    give_registers<Shape::producer_registers>();
    if (threadIdx.x == 0) stream_many_rows<N, Shape>(p, first_unit, units, stride, panels, ring, barriers);
  } else {
    take_registers<Shape::consumer_registers>();
    // From another lane, so that the compiler sees that all lanes of a warp have the same.
    const int side = __shfl_sync(0xFFFFFFFF, static_cast<int>(threadIdx.x) / warpgroup, 0) - 1;
    typename Shape::Staging& staging = stagings[threadIdx.x / 32 - warpgroup / 32];
    constexpr int parts = C == Chunks::both ? k_chunks_max : 1;
    RingPlace<Shape::stages> at;
    TileEnd<N, E, Shape::group_rows> end;
    const auto add = [&](float(&sums)[N / 2], int count) {
      add_panels<N, Shape>(sums, count, ring, side, barriers, at, [&] {
        if (Shape::ends_beside && !end.ended()) end.end_group(p, staging);
      });
    };
#pragma unroll 1
    for (int unit = first_unit; unit < units; unit += stride) {
      const TilePlace place = place_of<Shape, N>(p, unit);
      bool ends = place.tile + side < p.weight.tiles();
      if constexpr (Shape::ends_beside) {
        const int first_panels = panels_of_chunk(panels.end, 0, parts).end;
#pragma unroll 1
        for (int part = 0; part < parts; ++part) {
          float sums[N / 2];
          add(sums, part == 0 ? first_panels : panels.end - first_panels);
          end.finish(p, staging);
          if (part == 0) {
#pragma unroll
            for (int i = 0; i < N / 2; ++i) end.sums[i] = sums[i];
          } else {
#pragma unroll
            for (int i = 0; i < N / 2; ++i) end.sums[i] += sums[i];
          }
        }
      } else {
        add(end.sums, panels.end - panels.first);
        if constexpr (split) ends = exchange_chunks<N>(exchanges[side], 0, chunk, end.sums) && ends;
      }
      if (ends) end.begin(p, place.tile + side, place.first_row);
      if constexpr (!Shape::ends_beside) end.finish(p, staging);
    }
    end.finish(p, staging);
  }
  __syncwarp();
  cluster_sync();  // nobody's memory goes while others send to it
}

}  // namespace troupe::kernels::cuda
