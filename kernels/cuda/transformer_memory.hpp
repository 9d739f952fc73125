// The device memory that a transformer's passes compute in: one allocation, cut into the arrays that its kernels read and
// write.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/decode_attention.hpp"
#include "kernels/cuda/decode_step.hpp"
#include "kernels/cuda/moe.hpp"
#include "kernels/cuda/prefill_attention.hpp"
#include "kernels/cuda/sample.hpp"
#include "kernels/cuda/transformer.hpp"

namespace troupe::kernels::cuda {

/// Activations: of one pass at a time, since the stream runs one after the other.
struct TransformerMemory {
  TransformerMemory(const TransformerShape& shape, const TransformerLimits& limits, std::byte* base);

  static constexpr int decode_capacities[] = {8, 16, 32, 64};

  // Of passes of many rows.
  float* x = nullptr;                    ///< [rows, hidden], of all passes
  RowTiles normed;                       ///< hidden wide
  float* squares = nullptr;              ///< [hidden / 16, normed.capacity]
  float* scales = nullptr;               ///< [rows]
  float* qkv = nullptr;                  ///< [rows, qkv width], of all passes
  bf16* queries = nullptr;               ///< [rows, heads, head_dim]
  RowTiles attended;                     ///< heads * head_dim wide
  RowTiles gated;                        ///< intermediate wide
  DecodeAttentionWorkspace single_rows;  ///< of sequences that have one row
  RowTiles last;                         ///< hidden wide: the rows that want logits
  float* last_scales = nullptr;
  // Of a mixture of experts.
  float* router = nullptr;  ///< [rows, experts]
  MoeBuffers moe;
  // Of decode_step.
  DecodeLayer* decode_layers = nullptr;   ///< [layers]
  std::byte* decode_workspace = nullptr;  ///< of steps of every capacity
  std::int32_t spans_max = 0;             ///< that a decode_step has room for
  // Of what is chosen.
  float* logits = nullptr;  ///< [logit rows, vocabulary]

  std::size_t bytes = 0;
};

DecodeShape decode_shape(const TransformerShape& shape);
MoeShape moe_shape(const TransformerShape& shape);

}  // namespace troupe::kernels::cuda
