// Attention of many rows at once on Hopper: causal, over paged KV, the query heads of a KV head packed as rows of one tile.
//
// For each row the order of every sum is that of attention_span.cuh (docs/numerics.md), so a token gets the same bits as in
// decoding, in whatever chunk and beside whatever else it is computed: spans of 128 positions counted from 0; in a span the
// largest score, weights 2^((score - largest) scale log2 e), their sum, and the weighted values from zero; spans folded in
// ascending order. Operations: 4 x head_dim x heads for each pair of a row and a position up to its own.
//
// Values of the rows' own positions must be finite: a block multiplies those after a row's position by weights of zero.
#pragma once

#include <span>
#include <vector>

#include "kernels/cuda/kv_tiles.hpp"
#include "kernels/cuda/tiles.hpp"

namespace troupe::kernels::cuda {

/// Consecutive tokens of a sequence, whose keys and values are in its blocks already.
struct PrefillSequence {
  std::int32_t first_row = 0;
  std::int32_t rows = 0;
  std::int32_t first_position = 0;  ///< of the first row
};

/// What one block computes for one KV head: packed rows (row of the sequence x group + head of the group) from `first` on.
struct PrefillTile {
  std::int32_t sequence = 0;
  std::int32_t first = 0;
};
inline constexpr int prefill_tile_rows = 128;

/// All tiles of a batch, those with most positions first; `group` query heads share a KV head.
std::vector<PrefillTile> prefill_tiles(std::span<const PrefillSequence> sequences, int group);

/// Pointers are to device memory.
struct PrefillAttention {
  const bf16* queries = nullptr;  ///< [rows, heads, head_dim], normed and rotated
  RowTiles attended;              ///< heads * head_dim wide
  KvTiles kv;
  std::int32_t layer = 0;
  std::int32_t heads = 0;
  float scale = 0;  ///< of scores

  const PrefillSequence* sequences = nullptr;
  const std::int32_t* blocks = nullptr;  ///< [sequences, blocks_stride]: each one's KV blocks, up to its last row's
  std::int32_t blocks_stride = 0;
  const PrefillTile* tiles = nullptr;  ///< prefill_tiles(...)
  std::int32_t tile_count = 0;
};

cudaError_t prefill_attention(cudaStream_t stream, const PrefillAttention& arguments);

}  // namespace troupe::kernels::cuda
