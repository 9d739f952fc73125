// Which spans of the batch's sequences a block attends to. A *run* is what a block has of a sequence's KV head: spans one after
// the other.
#pragma once

#include "kernels/cuda/attention_span.cuh"
#include "kernels/cuda/decode_step.hpp"
#include "kernels/cuda/ptx.cuh"

namespace troupe::kernels::cuda {

/// The attention tasks of a block, numbered: of the first sequence all spans of its first KV head, of its second one, ..., then
/// the next sequence. A block has consecutive ones, so that most are of the same queries.
struct Items {
  int first;
  int end;
};
inline constexpr int items_max = 1 << 23;  ///< of all blocks, so that items times blocks are an int

struct Run {
  int row;
  int kv_head;
  int position;    ///< the token's own
  int spans;       ///< of the sequence
  int begin;       ///< item of the sequence's KV head's first span
  int first_span;  ///< that the block has
  int end_span;

  /// In a span, up to the token's own.
  __device__ int positions(int span) const { return min(attention_tile_span, position + 1 - span * attention_tile_span); }
  __device__ bool has_token() const { return end_span == spans; }
};

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
  // A block has its runs from the last one to the first: what it begins of a sequence's KV head that the next block ends is
  // then the first thing that it does, and what it ends of another block's the last thing.

  /// That one of the items belongs to.
  __device__ Run run_of(const Items& items, int item, int kv_heads) const {
    int row = 0;
    while (spans_before[row + 1] * kv_heads <= item) ++row;
    const int before = spans_before[row] * kv_heads;
    const int spans = spans_of(row);
    const int kv_head = (item - before) / spans;
    return run_at(items, row, kv_head, before + kv_head * spans);
  }
  __device__ Run run_before(const Items& items, const Run& run, int kv_heads) const {
    if (run.kv_head > 0) return run_at(items, run.row, run.kv_head - 1, run.begin - run.spans);
    return run_at(items, run.row - 1, kv_heads - 1, run.begin - spans_of(run.row - 1));
  }

 private:
  __device__ int spans_of(int row) const { return spans_before[row + 1] - spans_before[row]; }
  __device__ Run run_at(const Items& items, int row, int kv_head, int begin) const {
    const int spans = spans_of(row);
    return {row, kv_head, positions[row], spans, begin, max(items.first - begin, 0), min(items.end - begin, spans)};
  }
};

/// So many blocks that share a sequence's KV head fold it one after the other.
inline constexpr int folding_parts_max = 2;

/// Which of the blocks that have spans of a run's sequence and KV head this one is.
struct PartOf {
  int index;
  int parts;
};
__device__ __forceinline__ PartOf part_of(const BatchShared& batch, int rows, int kv_heads, const Run& run, int block,
                                          int blocks) {
  const int end = run.begin + run.spans;
  PartOf part{0, 1};
  for (int of = block - 1; of >= 0; --of) {
    const Items items = batch.items_of(rows, kv_heads, of, blocks);
    if (items.end <= run.begin) break;
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
