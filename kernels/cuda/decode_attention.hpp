// Attention of single rows on Hopper, each the last one of its sequence or any other: over paged KV, the query heads of a KV
// head together. For passes that are no decode_step: more rows than it takes, mixture-of-experts models, and rows that decode
// beside others that prefill. Its floor: the keys and values of each row are read once.
//
// For each row the order of every sum is that of prefill_attention.hpp (docs/numerics.md), so it gets the same bits whatever is
// computed beside it, and however its spans are spread over blocks. Equal shares of the work cut runs, a run being the spans of
// a row's KV head, and spans fold in ascending order only. So a block does first what it has of a run that the next one ends,
// and that one does its part last: it resumes the fold where the first left it (the wrap-around rule of McNaughton, "Scheduling
// with deadlines and loss functions", 1959). Only runs longer than a share are attended to by several blocks at the same time:
// what comes after the part that begins such a run is kept span by span, and all that have a part fold columns of it in the
// end. (Dao et al., "Flash-Decoding", 2023; here without its freedom of order.)
//
// Which block does what is planned on the device, once for all layers of a pass: the launches depend on how many rows there
// are, not on how long their contexts, so that a graph captured of them serves any.
#pragma once

#include "kernels/cuda/kv_tiles.hpp"
#include "kernels/cuda/tiles.hpp"

namespace troupe::kernels::cuda {

inline constexpr int decode_attention_rows_max = 1024;
inline constexpr int decode_attention_group_max = 16;  ///< query heads that share a KV head

/// One row: it sees the positions up to its own of a sequence, whose keys and values are in the sequence's blocks already.
struct DecodeRow {
  std::int32_t row = 0;       ///< of queries and of attended
  std::int32_t sequence = 0;  ///< of blocks
  std::int32_t position = 0;  ///< -1: there is no such row, and nothing is written
};

/// Consecutive spans of 128 positions: of a row's KV head, then of its next one, ..., then of the next row.
struct SpanRange {
  std::int32_t row = 0;  ///< index of the DecodeRow
  std::int32_t kv_head = 0;
  std::int32_t span = 0;
  std::int32_t spans = 0;  ///< how many
  DecodeRow first;         ///< that row, so that nobody need look for it
};

/// A run that several blocks attend to at the same time. What they keep of it lies in consecutive entries: first the fold of
/// those spans that the block has which began it, then span by span.
struct SplitRun {
  std::int32_t row = 0;  ///< index of the DecodeRow
  std::int32_t kv_head = 0;
  std::int32_t first_entry = 0;
  std::int32_t entries = 0;
  std::int32_t part = 0;   ///< which of the blocks this one is
  std::int32_t parts = 0;  ///< how many there are; 0: there is no such run
  std::int32_t counter = 0;
};

/// What a block does, in this order.
struct DecodeShare {
  SpanRange begun;    ///< the first spans of a run that other blocks end: the fold of them is kept
  SpanRange rest;     ///< its first `kept_spans` are of a run that others began; then come whole runs
  SpanRange resumed;  ///< the last spans of a run that another block begins
  SplitRun split[2];  ///< those runs that `begun` and `rest` begin with, if all their blocks fold them
  std::int32_t kept_spans = 0;
  std::int32_t kept_entry = 0;  ///< of the first one
  std::int32_t begun_entry = 0;
  std::int32_t resumed_entry = 0;
  std::int32_t begun_counter = 0;
  std::int32_t resumed_counter = 0;
};

/// Device memory for what blocks leave to each other; one pass at a time.
struct DecodeAttentionWorkspace {
  DecodeShare* shares = nullptr;     ///< [decode_attention_blocks()]
  std::int32_t* counters = nullptr;  ///< [2, decode_attention_blocks()], zero before the first use, and after each
  float* values = nullptr;           ///< [entries, heads / kv_heads, head_dim]
  float2* sums = nullptr;            ///< [entries, heads / kv_heads]: largest score, sum of weights
  /// As many as all rows' spans times KV heads are always enough. With fewer, rows are spread over blocks less evenly as soon
  /// as the entries do not suffice.
  std::int32_t entries = 0;
};

/// Pointers are to device memory.
struct DecodeAttention {
  const bf16* queries = nullptr;  ///< [rows of all kinds, heads, head_dim], normed and rotated
  RowTiles attended;              ///< heads * head_dim wide
  KvTiles kv;
  std::int32_t layer = 0;
  std::int32_t heads = 0;
  float scale = 0;  ///< of scores

  const DecodeRow* rows = nullptr;
  std::int32_t row_count = 0;            ///< at most decode_attention_rows_max
  const std::int32_t* blocks = nullptr;  ///< [sequences, blocks_stride]: each one's KV blocks, up to its row's position
  std::int32_t blocks_stride = 0;
  DecodeAttentionWorkspace workspace;
};

/// How many blocks share the work, whatever it is: one on each multiprocessor of the current device.
int decode_attention_blocks();

/// Fills workspace.shares from rows; what there is of layers, queries and keys does not matter to it. `cudaErrorInvalidValue`
/// if there are more rows, or more query heads to a KV head, than this is for.
cudaError_t plan_decode_attention(cudaStream_t stream, const DecodeAttention& arguments);

/// Attention in one layer, as planned. `cudaErrorInvalidValue` as above, and for heads that are neither 64 nor 128 wide.
cudaError_t decode_attention(cudaStream_t stream, const DecodeAttention& arguments);

}  // namespace troupe::kernels::cuda
