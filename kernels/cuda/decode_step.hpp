// One token for each of a few sequences, through all layers, in one kernel.
//
// A kernel for each operation leaves memory idle while one drains and the next one fills its pipeline: some microseconds, ten
// times a layer. Here one block lives on each processor for the whole step and walks a fixed list of tasks (tiles of weights,
// spans of attention). A warp of it streams what the tasks read (weights, keys and values) through a ring in shared memory and
// runs ahead of the computation by all that the ring holds, across operations and layers; only the activations wait for the
// operation before, each word of them for itself (published.cuh). (The idea of one kernel for a whole forward pass: Spector et
// al., "Look Ma, No Bubbles!", 2025; here with the orders of sums that prefill has.)
//
// The numeric class is cuda-sm90-v1 (docs/numerics.md).
#pragma once

#include <cstddef>

#include "kernels/cuda/kv_tiles.hpp"
#include "kernels/cuda/tiles.hpp"

namespace troupe::kernels::cuda {

inline constexpr int decode_rows_max = 64;
inline constexpr int decode_group_max = 16;  ///< query heads that share a KV head

/// A dense layer's weights; device memory. Matrices are WeightTiles of the shapes that DecodeShape implies.
struct DecodeLayer {
  const bf16* qkv = nullptr;
  const bf16* attention_output = nullptr;
  const bf16* gate_up = nullptr;  ///< eight gates, eight ups, eight gates, ...
  const bf16* down = nullptr;
  const float* attention_norm = nullptr;     ///< [hidden]
  const float* feed_forward_norm = nullptr;  ///< [hidden]
  const float* query_norm = nullptr;         ///< [head_dim] or null
  const float* key_norm = nullptr;           ///< [head_dim] or null
};

struct DecodeShape {
  std::int32_t layers = 0;
  std::int32_t hidden = 0;        ///< a multiple of 16
  std::int32_t intermediate = 0;  ///< a multiple of 32
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;  ///< 64 or 128
  std::int32_t vocabulary = 0;
  float epsilon = 0;
  float scale = 0;  ///< of attention scores
};

/// Everything is device memory. Tiles of activations have a capacity of `row_capacity` rows.
struct DecodeStep {
  DecodeShape shape;
  const DecodeLayer* layers = nullptr;  ///< [layers]
  const bf16* embedding = nullptr;      ///< WeightTiles [vocabulary, hidden]; may be the output projection
  const bf16* output_projection = nullptr;
  const float* final_norm = nullptr;
  const float* cosine = nullptr;  ///< [positions, head_dim / 2]
  const float* sine = nullptr;
  KvTiles kv;

  std::int32_t rows = 0;                    ///< sequences, one token each
  const std::int32_t* tokens = nullptr;     ///< [rows]; -1 - i: chosen[i]
  const std::int32_t* chosen = nullptr;     ///< by the step before; or null if no token is negative
  const std::int32_t* positions = nullptr;  ///< [rows]
  const std::int32_t* blocks = nullptr;     ///< [rows, blocks_stride]: each sequence's KV blocks
  std::int32_t blocks_stride = 0;
  const std::int32_t* spans_before = nullptr;  ///< [rows + 1]: spans of the sequences before one

  std::int32_t row_capacity = 0;   ///< 8, 16, 32 or 64, at least rows
  float* logits = nullptr;         ///< [row_capacity, vocabulary]
  std::byte* workspace = nullptr;  ///< decode_workspace_bytes(...), aligned to 128, whatever it holds
  std::int32_t span_capacity = 0;  ///< the most spans that all rows together can have
};

/// What a step needs beside its arguments. Steps one after the other may share it; more rows or spans take more.
std::size_t decode_workspace_bytes(const DecodeShape& shape, int row_capacity, int span_capacity);

/// `cudaErrorInvalidValue` if the shape or the number of rows is none that this is for.
cudaError_t decode_step(cudaStream_t stream, const DecodeStep& step);

}  // namespace troupe::kernels::cuda
