// What the first warpgroup of a block does where two others multiply in turn (many_rows_in_turn.cuh): one warp brings panels,
// one residual rows, and two write what has been ended.
#pragma once

#include "kernels/cuda/row_part.cuh"
#include "kernels/cuda/tile_panels.cuh"

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

/// Shared memory: the ring of panels; for `both`, where half of the sums of the first chunk wait, for `split`, where the other
/// block's sums arrive; parts of rows of floats, two of plain rows, of residual ones all of a tile; or the gated rows of a tile
/// of each warpgroup.
template <Chunks C, Ending E>
struct InTurn : TileOf<C> {
  using Tile = TileOf<C>;
  static constexpr int sums = Tile::rows / 2;
  static constexpr int parts_max = Tile::ended_rows / part_rows;
  static constexpr int warps = warpgroup / 32;
  static constexpr bool gated = E == Ending::gated;
  static constexpr int buffers = E == Ending::residual ? 4 : 2;
  static constexpr int buffer_bytes = gated ? Tile::ended_rows * panel_row_bytes : static_cast<int>(sizeof(RowPart<E>));
  static constexpr int parked_bytes = C != Chunks::one ? sums * warpgroup * static_cast<int>(sizeof(float)) : 0;
  static constexpr int stages = (225 * 1024 - 1024 - buffers * buffer_bytes - parked_bytes) / Tile::stage_bytes;
  static constexpr int shared_bytes = 1024 + stages * Tile::stage_bytes + parked_bytes + buffers * buffer_bytes;
  static constexpr int threads = 3 * warpgroup;
  static constexpr int producer_registers = 40;
  static constexpr int consumer_registers = 232;
  static_assert(stages >= 4);

  struct Barriers {
    Barrier full[stages];
    Barrier empty[stages];
    Barrier asked;             ///< half of the first tile's panels are on their way
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

    __device__ RowPart<E>& part(int buffer) const { return *reinterpret_cast<RowPart<E>*>(buffers + buffer * buffer_bytes); }
    __device__ bf16* gated_rows(int buffer) const { return reinterpret_cast<bf16*>(buffers + buffer * buffer_bytes); }
  };
};

/// Calls visit(place, first row) for each part of the block's tiles, one after the other.
template <Chunks C, class Visit>
__device__ __forceinline__ void for_parts_in_turn(const Product& p, const BlockTiles<C>& tiles, const Visit& visit) {
#pragma unroll 1
  for (int unit = tiles.first; unit < tiles.units; unit += tiles.stride) {
    const TilePlace place = tiles.place(p, unit);
    const int first_row = tiles.first_ended(place);
    const int parts = parts_of<TileOf<C>::ended_rows>(p.rows - first_row);
#pragma unroll 1
    for (int part = 0; part < parts; ++part) {
      visit(place, first_row + part * part_rows);
    }
  }
}

/// One warp: brings residual rows, or says where there is room for rows of floats. The first ones come behind half of the first
/// tile's panels, which are waited for before.
template <Chunks C, Ending E>
__device__ void bring_parts_in_turn(const Product& p, const BlockTiles<C>& tiles, const typename InTurn<C, E>::Memory& memory,
                                    typename InTurn<C, E>::Barriers& barriers) {
  using Shape = InTurn<C, E>;
  const bool leads = threadIdx.x % 32 == 0;
  wait_for_previous();
  barriers.asked.wait(0);
  RingPlace<Shape::buffers> at;
  for_parts_in_turn(p, tiles, [&](const TilePlace& place, int row) {
    barriers.written[at.slot].wait(at.parity ^ 1);
    if constexpr (E == Ending::residual) {
      bring_part(p.residual, row, p.rows - row, place.tile, memory.part(at.slot), barriers.brought[at.slot]);
      __syncwarp();
    }
    if (leads) barriers.brought[at.slot].arrive();
    __syncwarp();
    at.advance();
  });
}

/// Two warps, each of every other buffer: write parts as they are complete.
template <Chunks C, Ending E>
__device__ void write_parts_in_turn(const Product& p, const BlockTiles<C>& tiles, int writer,
                                    const typename InTurn<C, E>::Memory& memory, typename InTurn<C, E>::Barriers& barriers) {
  using Shape = InTurn<C, E>;
  RingPlace<Shape::buffers> at;
  for_parts_in_turn(p, tiles, [&](const TilePlace& place, int row) {
    if (at.slot % 2 == writer) {
      const LaneWeights weights(p.residual, place.tile);
      barriers.ended[at.slot].wait(at.parity);
      write_part_alone(p, row, place.tile, memory.part(at.slot), weights);
      __syncwarp();
      if (threadIdx.x % 32 == 0) barriers.written[at.slot].arrive();
    }
    at.advance();
  });
}

/// One thread: writes each tile's gated rows once they are complete.
template <Chunks C, Ending E>
__device__ void write_gated_in_turn(const Product& p, const BlockTiles<C>& tiles, const typename InTurn<C, E>::Memory& memory,
                                    typename InTurn<C, E>::Barriers& barriers) {
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
}

}  // namespace troupe::kernels::cuda
