// Where the blocks of products of many rows are: in the ring of panels, and among the tiles of the product.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/matmul.hpp"

namespace troupe::kernels::cuda {

inline constexpr int group_tiles = 16;  ///< pairs of tiles that are multiplied by all rows before the next ones are

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
