// What the plan of decoding rows' attention and the kernel that follows it have in common.
#pragma once

#include "kernels/cuda/attention_span.cuh"
#include "kernels/cuda/decode_attention.hpp"

namespace troupe::kernels::cuda {

/// None if there is no such row.
__device__ __forceinline__ int spans_of(const DecodeRow& row) {
  return (row.position + attention_tile_span) / attention_tile_span;
}

inline bool fits(const DecodeAttention& arguments) {
  const int kv_heads = arguments.kv.kv_heads;
  return arguments.row_count >= 0 && arguments.row_count <= decode_attention_rows_max && kv_heads > 0 && arguments.heads > 0 &&
         arguments.heads % kv_heads == 0 && arguments.heads / kv_heads <= decode_attention_group_max;
}

}  // namespace troupe::kernels::cuda
