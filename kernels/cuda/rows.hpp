// The parts of a pass over many rows that are neither products nor attention.
#pragma once

#include "kernels/cuda/kv_tiles.hpp"
#include "kernels/cuda/matmul.hpp"

namespace troupe::kernels::cuda {

/// Residual rows from tokens; leaves what the first norm needs, as `product` does. Everything is device memory.
struct Embed {
  WeightTiles embedding;                 ///< [vocabulary, hidden]
  const std::int32_t* tokens = nullptr;  ///< [rows]; -1 - i: chosen[i]
  std::int32_t rows = 0;
  ResidualRows residual;
  const std::int32_t* chosen = nullptr;  ///< by the pass before; or null if no token is negative
};
cudaError_t embed(cudaStream_t stream, const Embed& arguments);

/// Normalises (Qwen3) and rotates queries and keys, and appends keys and values to the sequences' KV blocks.
struct RotateAppend {
  const float* qkv = nullptr;         ///< [rows, heads + 2 kv_heads, head_dim]
  const float* query_norm = nullptr;  ///< [head_dim] or null
  const float* key_norm = nullptr;    ///< [head_dim] or null
  const float* cosine = nullptr;      ///< [positions, head_dim / 2]
  const float* sine = nullptr;
  std::int32_t rows = 0;
  std::int32_t heads = 0;
  float epsilon = 0;
  const std::int32_t* positions = nullptr;  ///< [rows]
  const std::int32_t* sequences = nullptr;  ///< [rows]: which row of `blocks`
  const std::int32_t* blocks = nullptr;     ///< [sequences, blocks_stride]
  std::int32_t blocks_stride = 0;
  std::int32_t layer = 0;
  bf16* queries = nullptr;  ///< [rows, heads, head_dim]
  KvTiles kv;
};
cudaError_t rotate_append(cudaStream_t stream, const RotateAppend& arguments);

/// Some rows, one below the other, and what their products are multiplied by.
struct GatherRows {
  RowTiles source;
  const float* source_scales = nullptr;
  const std::int32_t* rows = nullptr;  ///< [count], of the source
  std::int32_t count = 0;
  RowTiles target;  ///< as wide
  float* target_scales = nullptr;
};
cudaError_t gather_rows(cudaStream_t stream, const GatherRows& arguments);

}  // namespace troupe::kernels::cuda
