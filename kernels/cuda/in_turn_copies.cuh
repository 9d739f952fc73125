// What the first warpgroup of a block does where two others multiply in turn (many_rows_in_turn.cuh): one warp brings panels,
// one residual rows, and two write what has been ended.
#pragma once

#include "kernels/cuda/carried_end.cuh"
#include "kernels/cuda/product_plan.hpp"
#include "kernels/cuda/tile_places.cuh"

namespace troupe::kernels::cuda {

/// Something that the two warpgroups have by turns, tile after tile; the first one's first turn is at once.
struct Turn {
  Barrier of[2];

  __device__ void init() {
    for (Barrier& barrier : of) barrier.init(warpgroup / 32);
  }
  /// Of a warpgroup's count-th tile.
  __device__ __forceinline__ void wait(int side, int count) {
    of[side].wait(static_cast<std::uint32_t>(count & 1) ^ (side == 0 ? 1U : 0U));
  }
  __device__ __forceinline__ void give(int side) {
    if (threadIdx.x % 32 == 0) of[side ^ 1].arrive();
  }
  /// In the other block of the cluster.
  __device__ __forceinline__ void give_in(std::uint32_t block, int side) {
    if (threadIdx.x % 32 == 0) arrive_in(of[side ^ 1], block);
  }
};

/// Which of the chunks of a weight's inputs a block adds up.
enum class Chunks {
  one,    ///< there is one
  both,   ///< both, one after the other
  split,  ///< one of both; the other block of the cluster has the other one
};

/// Shared memory: the ring of panels; for `both`, where half of the sums of the first chunk wait, for `split`, where the other
/// block's sums arrive; two parts of rows of floats, or the gated rows of a tile of each warpgroup.
template <Chunks C, Ending E>
struct InTurn {
  static constexpr bool split = C == Chunks::split;
  static constexpr int rows = 128;                                       ///< of a tile
  static constexpr int ended_rows = split ? rows / k_chunks_max : rows;  ///< of a tile, by one block
  static constexpr int blocks = split ? k_chunks_max : 1;                ///< of a tile
  static constexpr int sums = rows / 2;
  static constexpr int parts_max = ended_rows / part_rows;
  static constexpr int tile_bytes = tile_elements * 2;
  static constexpr int row_bytes = panel_inputs * 2;
  static constexpr int stage_bytes = 2 * tile_bytes + rows * row_bytes;
  static constexpr int warps = warpgroup / 32;
  static constexpr bool gated = E == Ending::gated;
  static constexpr int buffers = 2;
  static constexpr int buffer_bytes = gated ? ended_rows * panel_row_bytes : static_cast<int>(sizeof(CarriedPart));
  static constexpr int parked_bytes = C != Chunks::one ? sums * warpgroup * static_cast<int>(sizeof(float)) : 0;
  static constexpr int stages = (225 * 1024 - buffers * buffer_bytes - parked_bytes) / stage_bytes;
  static constexpr int shared_bytes = 1024 + stages * stage_bytes + parked_bytes + buffers * buffer_bytes;
  static constexpr int threads = 3 * warpgroup;
  static constexpr int producer_registers = 40;
  static constexpr int consumer_registers = 232;
  static_assert(stages >= 4);

  struct Barriers {
    Barrier full[stages];
    Barrier empty[stages];
    Barrier brought[buffers];  ///< residual rows are there, or room
    Barrier ended[buffers];
    Barrier written[buffers];
    Turn multiply;
    Turn end;
    Turn park;  ///< where sums wait or arrive
    Barrier arrived[2];
  };
  struct Memory {
    std::byte* ring;
    std::byte* parked;
    std::byte* buffers;

    __device__ CarriedPart& part(int buffer) const { return *reinterpret_cast<CarriedPart*>(buffers + buffer * buffer_bytes); }
    __device__ bf16* gated_rows(int buffer) const { return reinterpret_cast<bf16*>(buffers + buffer * buffer_bytes); }
  };
};

/// The block's tiles: every stride-th from the first one on, and of these the rows that it ends.
template <Chunks C, Ending E>
struct BlockTiles {
  using Shape = InTurn<C, E>;
  int first;
  int stride;
  int units;
  int chunk;
  Panels panels;

  __device__ explicit BlockTiles(const Product& p)
      : first(static_cast<int>(blockIdx.x) / Shape::blocks),
        stride(static_cast<int>(gridDim.x) / Shape::blocks),
        units(divided_up(p.weight.tiles(), 2) * divided_up(p.rows, Shape::rows)),
        chunk(Shape::split ? static_cast<int>(cluster_rank()) : 0),
        panels(panels_of_chunk(p.weight.panels(), chunk, Shape::blocks)) {}
  __device__ __forceinline__ TilePlace place(const Product& p, int unit) const { return place_of<Shape::rows>(p, unit); }
  __device__ __forceinline__ int first_ended(const TilePlace& place) const {
    return place.first_row + chunk * Shape::ended_rows;
  }
};

/// One thread: brings the panels of the block's tiles. The first panels' weights are on their way before the kernel that
/// computes the rows has ended.
template <Chunks C, Ending E>
__device__ void stream_panels_in_turn(const Product& p, const BlockTiles<C, E>& tiles, std::byte* ring,
                                      typename InTurn<C, E>::Barriers& barriers) {
  using Shape = InTurn<C, E>;
  const Panels panels = tiles.panels;
  const auto copy_weights = [&](const TilePlace& place, int panel, int slot) {
    const int copied_rows = min(Shape::rows, p.input.capacity - place.first_row);
    const int second = min(place.tile + 1, p.weight.tiles() - 1);  // the last tile may be alone
    std::byte* const stage = ring + slot * Shape::stage_bytes;
    Barrier& full = barriers.full[slot];
    full.arrive_expecting(static_cast<std::uint32_t>(2 * Shape::tile_bytes + copied_rows * Shape::row_bytes));
    const bf16* const from = p.weight.data + static_cast<std::size_t>(panel) * tile_elements;
    const auto tile = static_cast<std::size_t>(p.weight.panels()) * tile_elements;
    copy_bulk(stage, from + static_cast<std::size_t>(place.tile) * tile, Shape::tile_bytes, full);
    copy_bulk(stage + Shape::tile_bytes, from + static_cast<std::size_t>(second) * tile, Shape::tile_bytes, full);
  };
  const auto copy_rows = [&](const TilePlace& place, int panel, int slot) {
    const int copied_rows = min(Shape::rows, p.input.capacity - place.first_row);
    const std::size_t first = static_cast<std::size_t>(panel) * static_cast<std::size_t>(p.input.capacity) +
                              static_cast<std::size_t>(place.first_row);
    copy_bulk(ring + slot * Shape::stage_bytes + 2 * Shape::tile_bytes, p.input.data + first * panel_inputs,
              static_cast<std::uint32_t>(copied_rows * Shape::row_bytes), barriers.full[slot]);
  };
  TilePlace place = tiles.place(p, tiles.first);
  const int ahead = min(Shape::stages, panels.end - panels.first);
#pragma unroll 1
  for (int i = 0; i < ahead; ++i) copy_weights(place, panels.first + i, i);
  wait_for_previous();
#pragma unroll 1
  for (int i = 0; i < ahead; ++i) copy_rows(place, panels.first + i, i);
  RingPlace<Shape::stages> at{ahead % Shape::stages, ahead == Shape::stages ? 1U : 0U};
  int panel = panels.first + ahead;
  for (int unit = tiles.first;;) {
#pragma unroll 1
    for (; panel < panels.end; ++panel) {
      barriers.empty[at.slot].wait(at.parity ^ 1);  // at once, in the ring's first round
      copy_weights(place, panel, at.slot);
      copy_rows(place, panel, at.slot);
      at.advance();
    }
    unit += tiles.stride;
    if (unit >= tiles.units) return;
    place = tiles.place(p, unit);
    panel = panels.first;
  }
}

/// Calls visit(place, first row, its rows that are there) for each part of the block's tiles, one after the other.
template <Chunks C, Ending E, class Visit>
__device__ __forceinline__ void for_parts_in_turn(const Product& p, const BlockTiles<C, E>& tiles, const Visit& visit) {
#pragma unroll 1
  for (int unit = tiles.first; unit < tiles.units; unit += tiles.stride) {
    const TilePlace place = tiles.place(p, unit);
    const int first_row = tiles.first_ended(place);
    const int parts = parts_of<InTurn<C, E>::ended_rows>(p.rows - first_row);
#pragma unroll 1
    for (int part = 0; part < parts; ++part) {
      const int row = first_row + part * part_rows;
      visit(place, row, p.rows - row);
    }
  }
}

/// One warp: brings residual rows, or says where there is room for rows of floats.
template <Chunks C, Ending E>
__device__ void bring_parts_in_turn(const Product& p, const BlockTiles<C, E>& tiles,
                                    const typename InTurn<C, E>::Memory& memory, typename InTurn<C, E>::Barriers& barriers) {
  using Shape = InTurn<C, E>;
  const bool leads = threadIdx.x % 32 == 0;
  wait_for_previous();
  RingPlace<Shape::buffers> at;
  for_parts_in_turn(p, tiles, [&](const TilePlace& place, int row, int rows) {
    barriers.written[at.slot].wait(at.parity ^ 1);
    Barrier& brought = barriers.brought[at.slot];
    if constexpr (E == Ending::residual) {
      CarriedPart& part = memory.part(at.slot);
      if (p.residual.hidden < (place.tile + 2) * tile_outputs) clear_beyond(p.residual, place.tile, part);
      __syncwarp();
      if (leads) brought.arrive_expecting(part_bytes(p.residual, rows, place.tile));
      bring_part(p.residual, row, rows, place.tile, part, brought);
    } else {
      if (leads) brought.arrive();
    }
    __syncwarp();
    at.advance();
  });
}

/// Two warps, each of a buffer: write parts as they are complete.
template <Chunks C, Ending E>
__device__ void write_parts_in_turn(const Product& p, const BlockTiles<C, E>& tiles, int buffer,
                                    const typename InTurn<C, E>::Memory& memory, typename InTurn<C, E>::Barriers& barriers) {
  using Shape = InTurn<C, E>;
  RingPlace<Shape::buffers> at;
  for_parts_in_turn(p, tiles, [&](const TilePlace& place, int row, int rows) {
    if (at.slot == buffer) {
      barriers.ended[buffer].wait(at.parity);
      const CarriedPart& part = memory.part(buffer);
      if constexpr (E == Ending::residual) {
        write_part(p.residual, row, rows, place.tile, part);
      } else {
        const auto stride = static_cast<std::size_t>(p.output_stride);
        const int dim = place.tile * tile_outputs;
        write_part_rows(p.output + static_cast<std::size_t>(row) * stride + dim, stride, rows,
                        min(2 * tile_outputs, p.weight.outputs - dim), part);
      }
      end_writes();
      wait_for_writes_read();
      __syncwarp();
      if (threadIdx.x % 32 == 0) barriers.written[buffer].arrive();
    }
    at.advance();
  });
  wait_for_writes();
}

/// One thread: writes each tile's gated rows once they are complete.
template <Chunks C, Ending E>
__device__ void write_gated_in_turn(const Product& p, const BlockTiles<C, E>& tiles,
                                    const typename InTurn<C, E>::Memory& memory, typename InTurn<C, E>::Barriers& barriers) {
  using Shape = InTurn<C, E>;
  RingPlace<Shape::buffers> at;
#pragma unroll 1
  for (int unit = tiles.first; unit < tiles.units; unit += tiles.stride) {
    const TilePlace place = tiles.place(p, unit);
    const int first_row = tiles.first_ended(place);
    const int count = min(Shape::ended_rows, p.rows - first_row);
    const std::size_t first = static_cast<std::size_t>(place.tile / 2) * static_cast<std::size_t>(p.gated.capacity) +
                              static_cast<std::size_t>(first_row);
    barriers.ended[at.slot].wait(at.parity);
    if (count > 0)
      write_bulk(p.gated.data + first * panel_inputs, memory.gated_rows(at.slot),
                 static_cast<std::uint32_t>(count * panel_row_bytes));
    end_writes();
    wait_for_writes_read();
    barriers.written[at.slot].arrive();
    at.advance();
  }
  wait_for_writes();
}

}  // namespace troupe::kernels::cuda
