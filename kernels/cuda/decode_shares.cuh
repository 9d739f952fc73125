// What the plan of decoding rows' attention and the kernel that follows it have in common.
#pragma once

#include "kernels/cuda/attention_span.cuh"
#include "kernels/cuda/decode_attention.hpp"

namespace troupe::kernels::cuda {

/// None if there is no such row.
__device__ __forceinline__ int spans_of(const DecodeRow& row) {
  return (row.position + attention_tile_span) / attention_tile_span;
}

/// Walks the spans of a range. The next row is read ahead.
struct SpanWalk {
  const DecodeAttention& p;
  SpanRange at;
  DecodeRow row;

  __device__ SpanWalk(const DecodeAttention& p, const SpanRange& range) : p(p), at(range), row(range.first) {
    if (at.spans == 0) return;
    look_ahead();
    skip_rows();
  }
  __device__ int spans() const { return spans_of(row); }
  __device__ void next() {
    --at.spans;
    if (++at.span < spans()) return;
    at.span = 0;
    if (++at.kv_head < p.kv.kv_heads) return;
    at.kv_head = 0;
    if (at.spans == 0) return;
    next_row();
    skip_rows();
  }

 private:
  DecodeRow following_;

  __device__ void look_ahead() {
    if (at.row + 1 < p.row_count) following_ = p.rows[at.row + 1];
  }
  __device__ void next_row() {
    ++at.row;
    row = following_;
    look_ahead();
  }
  /// Goes on to one that has spans; the plan says that there is one.
  __device__ void skip_rows() {
    while (spans() == 0) next_row();
  }
};

inline bool fits(const DecodeAttention& arguments) {
  const int kv_heads = arguments.kv.kv_heads;
  return arguments.row_count >= 0 && arguments.row_count <= decode_attention_rows_max && kv_heads > 0 && arguments.heads > 0 &&
         arguments.heads % kv_heads == 0 && arguments.heads / kv_heads <= decode_attention_group_max;
}

}  // namespace troupe::kernels::cuda
