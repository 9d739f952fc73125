// Attention within a step of decoding: which spans a block does, the spans themselves (attention_span.cuh), and their merge.
#pragma once

#include "kernels/cuda/attention_span.cuh"
#include "kernels/cuda/decode_step.hpp"
#include "kernels/cuda/exchange.cuh"
#include "kernels/cuda/rows.cuh"
#include "kernels/cuda/step_ring.cuh"

namespace troupe::kernels::cuda {

struct AttentionShared {
  /// 16 rows of up to two times 64, laid out like KV tiles.
  alignas(128) bf16 queries[decode_group_max * 128];
  SpanShared span;
};

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

/// Where the batch's sequences are, near all that ask. The computing warps load it, and tell the streaming ones.
struct BatchShared {
  std::int32_t spans_before[decode_rows_max + 1];
  std::int32_t positions[decode_rows_max];
  std::int32_t parts;  ///< pairs of a block and a sequence's KV head that it has spans of
  Barrier known;

  __device__ void load(const std::int32_t* all_spans_before, const std::int32_t* all_positions, int rows) {
    if (threadIdx.x == 0) parts = 0;
    for (int row = static_cast<int>(threadIdx.x); row <= rows; row += warpgroup) {
      spans_before[row] = __ldcg(all_spans_before + row);
      if (row < rows) positions[row] = __ldcg(all_positions + row);
    }
  }
  /// Items: of the first sequence all spans of its first KV head, of its second one, ..., then the next sequence.
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

/// The attention tasks of a block: consecutive ones, so that most are of the same queries.
struct Items {
  int first;
  int end;
};
__device__ __forceinline__ Items items_of(const BatchShared& batch, int rows, int kv_heads, int block, int blocks) {
  const long long items = static_cast<long long>(batch.spans_before[rows]) * kv_heads;
  return {static_cast<int>(items * block / blocks), static_cast<int>(items * (block + 1) / blocks)};
}
__device__ __forceinline__ int run_of(const SpanPlace& place, int kv_heads) { return place.row * kv_heads + place.kv_head; }

/// Adds to batch.parts, a block a thread.
__device__ __forceinline__ void count_parts(BatchShared& batch, int rows, int kv_heads, int blocks) {
  for (int block = static_cast<int>(threadIdx.x); block < blocks; block += warpgroup) {
    const Items items = items_of(batch, rows, kv_heads, block, blocks);
    if (items.first == items.end) continue;
    const int runs =
        run_of(batch.place(items.end - 1, kv_heads), kv_heads) - run_of(batch.place(items.first, kv_heads), kv_heads);
    atomicAdd(&batch.parts, runs + 1);
  }
}

/// Which of the blocks that have spans of a sequence's KV head this one is.
struct PartOf {
  int index;
  int parts;
};
__device__ __forceinline__ PartOf part_of(const BatchShared& batch, int rows, int kv_heads, const SpanPlace& place, int block,
                                          int blocks) {
  const int begin = batch.spans_before[place.row] * kv_heads + place.kv_head * place.spans;
  const int end = begin + place.spans;
  const auto has_some = [&](int of) {
    const Items items = items_of(batch, rows, kv_heads, of, blocks);
    return items.first < items.end && items.first < end && items.end > begin;
  };
  PartOf part{0, 1};
  for (int of = block - 1; of >= 0 && items_of(batch, rows, kv_heads, of, blocks).end > begin; --of)
    part.index += has_some(of) ? 1 : 0;
  part.parts = part.index + 1;
  for (int of = block + 1; of < blocks && items_of(batch, rows, kv_heads, of, blocks).first < end; ++of)
    part.parts += has_some(of) ? 1 : 0;
  return part;
}

template <int N>
struct StepShared {
  AttentionShared attention;
  Exchange<N> exchanges[2];  ///< in turn: one block may be ahead of the other by a task
  BatchShared batch;
  float row_scales[N];
  Barrier scales_said;
  typename Ring<N>::Barriers barriers;
};

/// Writes the token's own keys (or values) to its block and, over whatever came with the block, to the stages, of which `stage`
/// is the first; and zeros after the values, so that nothing of what a block held before counts, not even times zero.
template <int N, int HeadDim, bool Values>
__device__ void append_token(const DecodeStep& step, int layer, const SpanPlace& place, const Ring<N>& ring, int stage) {
  constexpr int positions = Ring<N>::template positions<HeadDim>;
  constexpr int each = HeadDim / 32;
  const int thread = static_cast<int>(threadIdx.x) % warpgroup;
  const int lane = thread % 32;
  const DecodeShape& shape = step.shape;
  const int before = place.kv_head + shape.heads + (Values ? shape.kv_heads : 0);
  const float* const source =
      step.qkv +
      (static_cast<std::size_t>(place.row) * static_cast<std::size_t>(shape.heads + 2 * shape.kv_heads) + before) * HeadDim;
  const auto stage_of = [&](int at) {
    return reinterpret_cast<bf16*>(ring.weights(stage + at / positions)) +
           at % positions / kv_block_positions * (kv_block_positions * HeadDim);
  };
  if (thread < 32) {
    float out[each];
    if constexpr (Values) {
#pragma unroll
      for (int i = 0; i < each; ++i) out[i] = __ldcg(source + lane + 32 * i);
    } else {
      const int angles = place.position * (HeadDim / 2);
      rotate_head<HeadDim>(source, step.layers[layer].key_norm, shape.epsilon, step.cosine + angles, step.sine + angles, out);
    }
    const std::int32_t block = __ldcg(step.blocks + place.row * step.blocks_stride + place.position / kv_block_positions);
    bf16* const target = step.kv.head(block, layer, Values ? 1 : 0, place.kv_head);
    bf16* const here = stage_of(place.positions - 1);
#pragma unroll
    for (int i = 0; i < each; ++i) {
      const bf16 rounded = __float2bfloat16_rn(out[i]);
      target[KvTiles::place(place.position, lane + 32 * i)] = rounded;
      here[KvTiles::place(place.position, lane + 32 * i)] = rounded;
    }
  }
  if constexpr (Values) {
    for (int at = place.positions + thread / 32; at < attention_tile_span; at += warpgroup / 32) {
#pragma unroll
      for (int i = 0; i < each; ++i) stage_of(at)[KvTiles::place(at, lane + 32 * i)] = __float2bfloat16_rn(0.0f);
    }
  }
}

/// One span: its largest score, the sum of its weights and its weighted values, into step.spans or, if it is the only one, as
/// the output. Takes the span's stages from the ring.
template <int N, int HeadDim>
__device__ void attend_span(const DecodeStep& step, int layer, int item, const SpanPlace& place, bool load_queries,
                            const Ring<N>& ring, AttentionShared& shared, int& stage) {
  using Stages = Ring<N>;
  constexpr int positions = Stages::template positions<HeadDim>;
  constexpr int key_stages = attention_tile_span / positions;
  constexpr int head_bytes = kv_block_positions * HeadDim * 2;
  constexpr int dims = HeadDim / 4;  // of a warp's values
  const int thread = static_cast<int>(threadIdx.x) % warpgroup;
  const int warp = thread / 32;
  const int lane = thread % 32;
  const DecodeShape& shape = step.shape;
  const int group = shape.heads / shape.kv_heads;

  const bool last = place.span == place.spans - 1;
  for (int i = 0; i < key_stages; ++i) ring.full(stage + i).wait(ring.parity(stage + i));
  // Queries: a head a warp.
  for (int head = load_queries ? warp : decode_group_max; head < decode_group_max; head += 4) {
    float out[HeadDim / 32] = {};
    if (head < group) {
      const std::size_t width = static_cast<std::size_t>((shape.heads + 2 * shape.kv_heads) * HeadDim);
      rotate_head<HeadDim>(step.qkv + static_cast<std::size_t>(place.row) * width + (place.kv_head * group + head) * HeadDim,
                           step.layers[layer].query_norm, shape.epsilon, step.cosine + place.position * (HeadDim / 2),
                           step.sine + place.position * (HeadDim / 2), out);
    }
#pragma unroll
    for (int i = 0; i < HeadDim / 32; ++i) shared.queries[KvTiles::place(head, lane + 32 * i)] = __float2bfloat16_rn(out[i]);
  }
  if (last) append_token<N, HeadDim, false>(step, layer, place, ring, stage);
  warpgroup_sync();

  float scores[4][4] = {};
  const int first = warp * attention_warp_span;
  const std::uint32_t queries = shared_address(shared.queries);
  score_positions<HeadDim>(
      scores, [&](int row, int dim) { return queries + KvTiles::place(row, dim) * 2; },
      shared_address(ring.weights(stage + first / positions)) + first % positions / kv_block_positions * head_bytes);
  float most[2];
  weigh_positions(scores, place.positions, shape.scale * log2_e, shared.span, most);
  warpgroup_sync();
  for (int i = 0; i < key_stages; ++i) ring.release(stage + i);
  stage += key_stages;
  float values[dims / 8][4] = {};
  for (int i = 0; i < key_stages; ++i) ring.full(stage + i).wait(ring.parity(stage + i));
  if (last) {
    append_token<N, HeadDim, true>(step, layer, place, ring, stage);
    warpgroup_sync();
  }
  multiply_positions<HeadDim>(values, shared.span, [&](int k) {
    return shared_address(ring.weights(stage + k * 16 / positions)) + k * 16 % positions / kv_block_positions * head_bytes;
  });
  if (last) fence_proxy_async();
  for (int i = 0; i < key_stages; ++i) ring.release(stage + i);
  stage += key_stages;
  // What comes out, of the rows that are heads.
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int row = lane / 4 + 8 * i;
    if (row >= group) continue;
    const float total = weight_total(shared.span, row);
    const int head = place.kv_head * group + row;
    const int dim = warp * dims + lane % 4 * 2;
    if (place.spans == 1) {
      const float inverse = __frcp_rn(total);
#pragma unroll
      for (int tile = 0; tile < dims / 8; ++tile) {
        *reinterpret_cast<__nv_bfloat162*>(step.attended.data +
                                           step.attended.offset(place.row, head * HeadDim + dim + tile * 8)) =
            __floats2bfloat162_rn(values[tile][2 * i] * inverse, values[tile][2 * i + 1] * inverse);
      }
    } else {
      const std::size_t piece = static_cast<std::size_t>(item) * static_cast<std::size_t>(group) + row;
      float* const target = step.spans + piece * HeadDim;
#pragma unroll
      for (int tile = 0; tile < dims / 8; ++tile) {
        __stcg(reinterpret_cast<float2*>(target + dim + tile * 8), make_float2(values[tile][2 * i], values[tile][2 * i + 1]));
      }
      if (warp == 0 && lane % 4 == 0) __stcg(step.span_sums + piece, make_float2(most[i], total));
    }
  }
}

/// Merges all spans of a sequence's KV head in ascending order, and writes the output: of `parts` that share the work, one does
/// every so many columns, a warp 32 at once.
template <int HeadDim>
__device__ void fold_spans(const DecodeStep& step, const SpanPlace& place, int spans_before, int part, int parts) {
  constexpr int ahead = 32;  // spans that are loaded at once
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const DecodeShape& shape = step.shape;
  const int group = shape.heads / shape.kv_heads;
  const float factor = shape.scale * log2_e;
  const std::size_t first_item = static_cast<std::size_t>(spans_before * shape.kv_heads + place.kv_head * place.spans);
  const std::size_t stride = static_cast<std::size_t>(group);
  const int pieces = group * (HeadDim / 32);
  for (int piece = part * 4 + static_cast<int>(threadIdx.x) % warpgroup / 32; piece < pieces; piece += parts * 4) {
    const int row = piece / (HeadDim / 32);
    const int dim = piece % (HeadDim / 32) * 32 + lane;
    const std::size_t first = first_item * stride + static_cast<std::size_t>(row);
    float most = -INFINITY;
    float total = 0;
    float value = 0;
    for (int span = 0; span < place.spans; span += ahead) {
      const int here = min(ahead, place.spans - span);
      float loaded[ahead];
#pragma unroll
      for (int i = 0; i < ahead; ++i) {
        loaded[i] =
            i < here ? __ldcg(step.spans + (first + static_cast<std::size_t>(span + i) * stride) * HeadDim + dim) : 0.0f;
      }
      // A lane a span: the largest score up to it, and with it the factors of what came before and of the span itself.
      const float2 about = lane < here ? __ldcg(step.span_sums + first + static_cast<std::size_t>(span + lane) * stride)
                                       : make_float2(-INFINITY, 0);
      float larger = fmaxf(about.x, most);
#pragma unroll
      for (int other = 1; other < 32; other *= 2) {
        const float below = __shfl_up_sync(0xFFFFFFFF, larger, other);
        if (lane >= other) larger = fmaxf(larger, below);
      }
      const float shifted = __shfl_up_sync(0xFFFFFFFF, larger, 1);
      const float before = lane == 0 ? most : shifted;
      const float old_factor = exp2_fast((before - larger) * factor);
      const float new_factor = exp2_fast((about.x - larger) * factor);
      const float span_total = about.y * new_factor;
#pragma unroll
      for (int i = 0; i < ahead; ++i) {
        if (i >= here) break;
        const float old_of = __shfl_sync(0xFFFFFFFF, old_factor, i);
        total = fmaf(total, old_of, __shfl_sync(0xFFFFFFFF, span_total, i));
        value = fmaf(value, old_of, loaded[i] * __shfl_sync(0xFFFFFFFF, new_factor, i));
      }
      most = __shfl_sync(0xFFFFFFFF, larger, 31);
    }
    const int column = (place.kv_head * group + row) * HeadDim + dim;
    step.attended.data[step.attended.offset(place.row, column)] = __float2bfloat16_rn(value * __frcp_rn(total));
  }
}

}  // namespace troupe::kernels::cuda
