// Products of many rows of which a block has one tile: two warpgroups multiply a tile of weights each by the same 128 rows, and
// end it together. There is no next tile beside whose products it could end, so that it ends fast: by all warps that have
// multiplied, each with its sums of 16 outputs first, and with whole rows afterwards.
#pragma once

#include "kernels/cuda/carried_end.cuh"
#include "kernels/cuda/ring_panels.cuh"
#include "kernels/cuda/row_part.cuh"
#include "kernels/cuda/tile_panels.cuh"

namespace troupe::kernels::cuda {

/// Shared memory: the ring; for `split`, where the other block's sums arrive; the rows of floats that the block ends.
template <Chunks C, Ending E>
struct Together : TileOf<C> {
  using Tile = TileOf<C>;
  static_assert(E != Ending::gated);
  static constexpr int sums = Tile::rows / 2;         ///< a thread's, of its warpgroup's tile of weights
  static constexpr int ended = Tile::ended_rows / 2;  ///< of these, the ones that the block ends
  static constexpr int warps = 2 * warpgroup / 32;    ///< that multiply
  static constexpr int parts = Tile::ended_rows / part_rows;
  static constexpr int parts_written = 2;  ///< that are written together
  static constexpr int rows_bytes = parts * static_cast<int>(sizeof(RowPart<E>));
  static constexpr int arriving_bytes = Tile::split ? ended * 2 * warpgroup * static_cast<int>(sizeof(float)) : 0;
  static constexpr int stages = (225 * 1024 - 1024 - rows_bytes - arriving_bytes) / Tile::stage_bytes;
  static constexpr int shared_bytes = 1024 + stages * Tile::stage_bytes + rows_bytes + arriving_bytes;
  static constexpr int threads = 3 * warpgroup;
  static_assert(stages >= 4 && parts % parts_written == 0);

  struct Barriers {
    Barrier full[stages];
    Barrier empty[stages];
    Barrier asked;           ///< half of the panels are on their way
    Barrier brought[parts];  ///< residual rows are there
    Barrier arrived[warps];  ///< for each, the other block's sums of the rows that this one ends
  };
  struct Memory {
    std::byte* ring;
    RowPart<E>* parts;
    float4* arriving;
  };
};

/// Waits for the other warps that multiply.
__device__ __forceinline__ void multiplying_sync() { asm volatile("bar.sync 4, %0;" ::"n"(2 * warpgroup) : "memory"); }

/// A warp that multiplies.
template <Chunks C, Ending E>
struct MultipliesTogether {
  using Shape = Together<C, E>;

  const Product& p;
  const BlockTiles<C>& tiles;
  const TilePlace place;
  int side;  ///< which warpgroup, and tile of the pair
  const typename Shape::Memory& memory;
  typename Shape::Barriers& barriers;

  __device__ __forceinline__ void add_chunks(float (&sums)[Shape::sums]) const {
    const int panels = tiles.panels.end - tiles.panels.first;
    RingPlace<Shape::stages> at;
    if constexpr (C != Chunks::both) {
      add_panels<Shape::rows, Shape::stage_bytes>(sums, panels, memory.ring, side, barriers, at);
    } else {
      const int first_panels = panels_of_chunk(panels, 0, k_chunks_max).end;
      float first[Shape::sums];
#pragma unroll
      for (int i = 0; i < Shape::sums; ++i) asm volatile("mov.f32 %0, 0f00000000;" : "=f"(first[i]));
      // One loop, so that the chunks' sums are in the same registers.
#pragma unroll 1
      for (int chunk = 0; chunk < k_chunks_max; ++chunk) {
        const int of_chunk = chunk == 0 ? first_panels : panels - first_panels;
        add_panels<Shape::rows, Shape::stage_bytes>(sums, of_chunk, memory.ring, side, barriers, at);
        if (chunk > 0) break;
#pragma unroll
        for (int i = 0; i < Shape::sums; ++i) first[i] = sums[i];
      }
#pragma unroll
      for (int i = 0; i < Shape::sums; ++i) sums[i] = first[i] + sums[i];
    }
  }

  /// Gives the sums of the rows that the other block ends away, and adds its sums of the others.
  __device__ __forceinline__ void exchange(const float (&sums)[Shape::sums], float (&own)[Shape::ended]) const {
    const int thread = side * warpgroup + static_cast<int>(threadIdx.x) % warpgroup;
    float4* const arriving = memory.arriving + thread;
    Barrier& arrived = barriers.arrived[thread / 32];
    const std::uint32_t other = cluster_rank() ^ 1U;
    const bool first = tiles.chunk == 0;
    if (thread % 32 == 0) arrived.arrive_expecting(Shape::arriving_bytes / Shape::warps);
#pragma unroll
    for (int i = 0; i < Shape::ended; i += 4) {
      const float* const early = sums + i;
      const float* const late = sums + Shape::sums / 2 + i;
      store_async(
          arriving + i / 4 * 2 * warpgroup, arrived, other,
          first ? make_float4(late[0], late[1], late[2], late[3]) : make_float4(early[0], early[1], early[2], early[3]));
    }
#pragma unroll
    for (int i = 0; i < Shape::ended; ++i) own[i] = first ? sums[i] : sums[Shape::sums / 2 + i];
    arrived.wait(0);
#pragma unroll
    for (int i = 0; i < Shape::ended; i += 4) {  // the sum of two is the same in either order
      const float4 four = arriving[i / 4 * 2 * warpgroup];
      own[i] += four.x;
      own[i + 1] += four.y;
      own[i + 2] += four.z;
      own[i + 3] += four.w;
    }
  }

  /// Of the part's rows, a warp's sums of its 16 outputs.
  __device__ __forceinline__ void end_part(const PartSums<Shape::ended_rows>& sums, int part,
                                           const RowScales<Shape::parts>& scales) const {
    if constexpr (E == Ending::residual) {
      const int slice = (place.tile + side) * tile_slices + static_cast<int>(threadIdx.x) % warpgroup / 32;
      const int row = tiles.first_ended(place) + part * part_rows;
      float* const squares =
          p.residual.squares + static_cast<std::size_t>(slice) * static_cast<std::size_t>(p.residual.normed.capacity) + row;
      barriers.brought[part].wait(0);
      add_part<Shape::ended_rows, 1>({sums}, memory.parts[part], side, squares, 0,
                                     {slice * 16 < p.residual.hidden ? p.rows - row : 0});
    } else {
      put_part<Shape::ended_rows>(sums, scales[part], memory.parts[part], side);
    }
  }

  /// Every eighth row of a part, of all outputs.
  __device__ __forceinline__ void write(int part, const LaneWeights& weights) const {
    const int warp = side * (Shape::warps / 2) + static_cast<int>(threadIdx.x) % warpgroup / 32;
    const int row = tiles.first_ended(place) + part * part_rows;
    if constexpr (E == Ending::residual) {
      write_part<Shape::warps>(p.residual, row, p.rows - row, place.tile, memory.parts[part], weights, warp);
    } else {
      write_part<Shape::warps>(PlainRows(p, row, place.tile), memory.parts[part], warp);
    }
  }

  __device__ __forceinline__ void end(const float (&sums)[Shape::ended], const LaneWeights& weights,
                                      const RowScales<Shape::parts>& scales) const {
    const int parts = parts_of<Shape::ended_rows>(p.rows - tiles.first_ended(place));
#pragma unroll 1
    for (int first = 0; first < parts; first += Shape::parts_written) {
#pragma unroll 1
      for (int part = first; part < min(parts, first + Shape::parts_written); ++part)
        end_part(PartSums<Shape::ended_rows>(sums, part), part, scales);
      multiplying_sync();
#pragma unroll 1
      for (int part = first; part < min(parts, first + Shape::parts_written); ++part) write(part, weights);
    }
  }

  __device__ __forceinline__ void run() const {
    // What the end needs of global memory is loaded before the products.
    const LaneWeights weights(p.residual, place.tile);
    RowScales<Shape::parts> scales;
    if constexpr (E == Ending::rows) {
      wait_for_previous();
      scales.load(p, tiles.first_ended(place));
    }
    float sums[Shape::sums];
    add_chunks(sums);
    if constexpr (Shape::split) {
      float own[Shape::ended];
      exchange(sums, own);
      end(own, weights, scales);
    } else {
      end(sums, weights, scales);
    }
  }
};

/// One warp: brings residual rows, which are wanted after all panels.
template <Chunks C>
__device__ void bring_parts_together(const Product& p, const BlockTiles<C>& tiles, const TilePlace& place,
                                     const typename Together<C, Ending::residual>::Memory& memory,
                                     typename Together<C, Ending::residual>::Barriers& barriers) {
  wait_for_previous();
  barriers.asked.wait(0);
  const int first_row = tiles.first_ended(place);
  const int parts = parts_of<TileOf<C>::ended_rows>(p.rows - first_row);
#pragma unroll 1
  for (int part = 0; part < parts; ++part) {
    const int row = first_row + part * part_rows;
    bring_part(p.residual, row, p.rows - row, place.tile, memory.parts[part], barriers.brought[part]);
    __syncwarp();
    if (threadIdx.x % 32 == 0) barriers.brought[part].arrive();
  }
}

template <Chunks C, Ending E>
__global__ void __launch_bounds__(Together<C, E>::threads, 1) many_rows_together(const Product p) {
  using Shape = Together<C, E>;
  extern __shared__ std::byte unaligned[];
  __shared__ typename Shape::Barriers barriers;
  std::byte* const ring = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
  std::byte* const rows = ring + Shape::stages * Shape::stage_bytes;
  const typename Shape::Memory memory{ring, reinterpret_cast<RowPart<E>*>(rows),
                                      reinterpret_cast<float4*>(rows + Shape::rows_bytes)};
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Shape::stages; ++stage) {
      barriers.full[stage].init(1);
      barriers.empty[stage].init(Shape::warps);
    }
    barriers.asked.init(1);
    for (Barrier& barrier : barriers.brought) barrier.init(1);
    for (Barrier& barrier : barriers.arrived) barrier.init(1);
    fence_barrier_init();
  }
  __syncthreads();
  if constexpr (Shape::split) cluster_arrive();
  let_next_begin();
  const BlockTiles<C> tiles(p);
  const TilePlace place = tiles.place(p, tiles.first);
  // From another lane, so that the compiler sees that all lanes of a warp have the same.
  const int warp = __shfl_sync(0xFFFFFFFF, static_cast<int>(threadIdx.x) / 32, 0);
  if (warp == 0) {
    if (is_elected()) stream_panels<Shape>(p, tiles, ring, barriers);
  } else if (warp < warpgroup / 32) {
    if constexpr (E == Ending::residual) {
      if (warp == 1) bring_parts_together(p, tiles, place, memory, barriers);
    }
  } else {
    if constexpr (Shape::split) cluster_wait();  // nobody sends before the barriers are there
    MultipliesTogether<C, E>{p, tiles, place, warp / 4 - 1, memory, barriers}.run();
  }
  // Nobody's memory goes while others send to it: each warp that ends waits for all that is sent to it.
}

}  // namespace troupe::kernels::cuda
