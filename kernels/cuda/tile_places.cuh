// Where the blocks of products of many rows are among the tiles of the product.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/matmul.hpp"
#include "kernels/cuda/ring_place.cuh"

namespace troupe::kernels::cuda {

inline constexpr int group_tiles = 16;  ///< pairs of tiles that are multiplied by all rows before the next ones are

/// Of a product of a pair of tiles of weights and N rows: the first one of the pair, and the first row.
struct TilePlace {
  int tile;
  int first_row;
};
/// The unit-th product of a pair of tiles and N rows, in an order that keeps what is shared in the L2 cache.
template <int N>
__device__ __forceinline__ TilePlace place_of(const Product& p, int unit) {
  const int pairs = divided_up(p.weight.tiles(), 2);
  const int row_tiles = divided_up(p.rows, N);
  const int first_pair = unit / (group_tiles * row_tiles) * group_tiles;
  const int width = min(group_tiles, pairs - first_pair);
  const int within = unit - first_pair * row_tiles;
  return {(first_pair + within % width) * 2, within / width * N};
}

}  // namespace troupe::kernels::cuda
