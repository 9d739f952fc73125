// Which spans of which sequences a block attends to within a step of decoding, and what it then shares with other blocks.
#pragma once

#include "kernels/cuda/attention_span.cuh"
#include "kernels/cuda/decode_step.hpp"

namespace troupe::kernels::cuda {

/// Which sequence, KV head and positions an attention task is about.
struct SpanPlace {
  int row;
  int kv_head;
  int span;
  int spans;           ///< of the sequence
  int first_position;  ///< of the span
  int positions;       ///< in the span, up to the token's own
  int position;        ///< the token's own
};

/// The attention tasks of a block, numbered: of the first sequence all spans of its first KV head, of its second one, ..., then
/// the next sequence. A block has consecutive ones, so that most are of the same queries.
struct Items {
  int first;
  int end;
};
inline constexpr int items_max = 1 << 23;  ///< of all blocks, so that items times blocks are an int

/// Where the batch's sequences are, near all that ask. The computing warps load it, and tell the streaming ones.
struct BatchShared {
  std::int32_t spans_before[decode_rows_max + 1];
  std::int32_t positions[decode_rows_max];
  Barrier known;

  __device__ void load(const std::int32_t* all_spans_before, const std::int32_t* all_positions, int rows) {
    for (int row = static_cast<int>(threadIdx.x); row <= rows; row += warpgroup) {
      spans_before[row] = __ldcg(all_spans_before + row);
      if (row < rows) positions[row] = __ldcg(all_positions + row);
    }
  }
  __device__ Items items_of(int rows, int kv_heads, int block, int blocks) const {
    const int items = spans_before[rows] * kv_heads;
    return {items * block / blocks, items * (block + 1) / blocks};
  }
  __device__ SpanPlace place(int item, int kv_heads) const {
    int row = 0;
    while (spans_before[row + 1] * kv_heads <= item) ++row;
    const int spans = spans_before[row + 1] - spans_before[row];
    const int within = item - spans_before[row] * kv_heads;
    return at(row, within / spans, within % spans);
  }
  __device__ SpanPlace next(const SpanPlace& place, int kv_heads) const {
    if (place.span + 1 < place.spans) return at(place.row, place.kv_head, place.span + 1);
    if (place.kv_head + 1 < kv_heads) return at(place.row, place.kv_head + 1, 0);
    return at(place.row + 1, 0, 0);
  }

 private:
  /// Of a row that is no sequence, nothing of use.
  __device__ SpanPlace at(int row, int kv_head, int span) const {
    const int known_row = min(row, decode_rows_max - 1);
    const int first = span * attention_tile_span;
    const int position = positions[known_row];
    return {row,     kv_head,
            span,    spans_before[known_row + 1] - spans_before[known_row],
            first,   min(attention_tile_span, position + 1 - first),
            position};
  }
};

/// Which of the blocks that have spans of a sequence's KV head a block is.
struct PartOf {
  int index;
  int parts;
};
__device__ __forceinline__ PartOf part_of(const BatchShared& batch, int rows, int kv_heads, const SpanPlace& place, int block,
                                          int blocks) {
  const int begin = batch.spans_before[place.row] * kv_heads + place.kv_head * place.spans;
  const int end = begin + place.spans;
  PartOf part{0, 1};
  for (int of = block - 1; of >= 0; --of) {
    const Items items = batch.items_of(rows, kv_heads, of, blocks);
    if (items.end <= begin) break;
    part.index += items.first < items.end ? 1 : 0;
  }
  part.parts = part.index + 1;
  for (int of = block + 1; of < blocks; ++of) {
    const Items items = batch.items_of(rows, kv_heads, of, blocks);
    if (items.first >= end) break;
    part.parts += items.first < items.end ? 1 : 0;
  }
  return part;
}

}  // namespace troupe::kernels::cuda
