// Products of many rows by blocks of which two warpgroups multiply tiles of two tiles of weights and 128 rows: which tiles a
// block has, how much of one, and how its panels come. many_rows_in_turn.cuh and many_rows_together.cuh multiply them.
#pragma once

#include "kernels/cuda/product_plan.hpp"
#include "kernels/cuda/ring_panels.cuh"
#include "kernels/cuda/tile_places.cuh"

namespace troupe::kernels::cuda {

/// Which of the chunks of a weight's inputs a block adds up.
enum class Chunks {
  one,    ///< there is one
  both,   ///< both, one after the other
  split,  ///< one of both; the other block of the cluster has the other one
};

/// A tile, and a stage of the ring: a panel of both tiles of weights and of the rows.
template <Chunks C>
struct TileOf {
  static constexpr bool split = C == Chunks::split;
  static constexpr int rows = 128;
  static constexpr int ended_rows = split ? rows / k_chunks_max : rows;  ///< by one block
  static constexpr int blocks = split ? k_chunks_max : 1;                ///< of a tile
  static constexpr int stage_bytes = 2 * panel_tile_bytes + rows * panel_row_bytes;
};

/// The block's tiles: every stride-th from the first one on, and of these the rows that it ends.
template <Chunks C>
struct BlockTiles {
  using Tile = TileOf<C>;
  int first;
  int stride;
  int units;
  int chunk;
  Panels panels;

  __device__ explicit BlockTiles(const Product& p)
      : first(static_cast<int>(blockIdx.x) / Tile::blocks),
        stride(static_cast<int>(gridDim.x) / Tile::blocks),
        units(divided_up(p.weight.tiles(), 2) * divided_up(p.rows, Tile::rows)),
        chunk(Tile::split ? static_cast<int>(cluster_rank()) : 0),
        panels(panels_of_chunk(p.weight.panels(), chunk, Tile::blocks)) {}
  __device__ __forceinline__ TilePlace place(const Product& p, int unit) const { return place_of<Tile::rows>(p, unit); }
  __device__ __forceinline__ int first_ended(const TilePlace& place) const {
    return place.first_row + chunk * Tile::ended_rows;
  }
};

/// One thread: brings the panels of the block's tiles. The first panels' weights are on their way before the kernel that
/// computes the rows has ended. Where half of the first tile's are, it arrives at `asked`.
template <class Shape, Chunks C>
__device__ void stream_panels(const Product& p, const BlockTiles<C>& tiles, std::byte* ring,
                              typename Shape::Barriers& barriers) {
  const Panels panels = tiles.panels;
  const PanelCopies<Shape::rows, Shape::stage_bytes, typename Shape::Barriers> copies{p, ring, barriers};
  TilePlace place = tiles.place(p, tiles.first);
  const int ahead = min(Shape::stages, panels.end - panels.first);
#pragma unroll 1
  for (int i = 0; i < ahead; ++i) copies.copy_weights(place, panels.first + i, i);
  wait_for_previous();
#pragma unroll 1
  for (int i = 0; i < ahead; ++i) copies.copy_rows(place, panels.first + i, i);
  RingPlace<Shape::stages> at{ahead % Shape::stages, ahead == Shape::stages ? 1U : 0U};
  int panel = panels.first + ahead;
  const int middle = max(panel, (panels.first + panels.end) / 2);
  if (middle == panels.end) barriers.asked.arrive();  // the ring has all
  for (int unit = tiles.first;;) {
#pragma unroll 1
    for (; panel < panels.end; ++panel) {
      if (panel == middle && unit == tiles.first) barriers.asked.arrive();
      barriers.empty[at.slot].wait(at.parity ^ 1);  // at once, in the ring's first round
      copies.copy_weights(place, panel, at.slot);
      copies.copy_rows(place, panel, at.slot);
      at.advance();
    }
    unit += tiles.stride;
    if (unit >= tiles.units) return;
    place = tiles.place(p, unit);
    panel = panels.first;
  }
}

}  // namespace troupe::kernels::cuda
