// Attention of one token over a span of its sequence, and the spans' merge: the order of docs/numerics.md, with which prefill's
// kernel agrees. A warpgroup does a span for all query heads of a KV head at once: scores of 32 positions a warp, then values
// of a quarter of the dimensions a warp.
#pragma once

#include "kernels/cuda/decode_buffers.hpp"
#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/published.cuh"
#include "kernels/cuda/rows.cuh"
#include "kernels/cuda/step_ring.cuh"

namespace troupe::kernels::cuda {

struct AttentionShared {
  /// 16 rows of up to two times 64, laid out like KV tiles.
  alignas(128) bf16 queries[decode_group_max * 128];
  alignas(128) bf16 weights[decode_group_max * attention_tile_span];
  float maxima[4][decode_group_max];
  float weight_sums[4][decode_group_max][4];  ///< by warp, row, and lane of four
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
  Barrier known;

  __device__ void load(const std::int32_t* all_spans_before, const std::int32_t* all_positions, int rows) {
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

__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// A layer's weights of norms over heads, or null.
struct HeadNorms {
  const float* query;
  const float* key;
};

/// A head of a row's queries, keys or values (in this order), a lane's elements of it as rotate_head wants them. What is not
/// written yet is asked for again by `await`, so that several heads can be on their way at once.
template <int HeadDim>
struct HeadAhead {
  const float* source = nullptr;
  float value[HeadDim / 32] = {};

  __device__ void ask(const DecodeShape& shape, const float* qkv, int row, int head) {
    const std::size_t width = static_cast<std::size_t>(shape.heads + 2 * shape.kv_heads) * HeadDim;
    source = qkv + static_cast<std::size_t>(row) * width + static_cast<std::size_t>(head) * HeadDim + threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < HeadDim / 32; ++i) value[i] = load_published(source + 32 * i);
  }
  __device__ void await() {
    await_published(value, [&](int i) { return source + 32 * i; });
    __syncwarp();
  }
};

/// Writes the token's own keys (or values), which a warp has, to its block and, over whatever came with the block, to the
/// stages, of which `stage` is the first.
template <int N, int HeadDim>
__device__ void append_token(const DecodeStep& step, int layer, bool values, const SpanPlace& place, const Ring<N>& ring,
                             int stage, const float (&elements)[HeadDim / 32]) {
  constexpr int positions = Ring<N>::template positions<HeadDim>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int32_t block = __ldcg(step.blocks + place.row * step.blocks_stride + place.position / kv_block_positions);
  bf16* const target = step.kv.head(block, layer, values ? 1 : 0, place.kv_head);
  const int at = place.positions - 1;
  bf16* const here = reinterpret_cast<bf16*>(ring.weights(stage + at / positions)) +
                     at % positions / kv_block_positions * (kv_block_positions * HeadDim);
#pragma unroll
  for (int i = 0; i < HeadDim / 32; ++i) {
    const bf16 rounded = __float2bfloat16_rn(elements[i]);
    target[KvTiles::place(place.position, lane + 32 * i)] = rounded;
    here[KvTiles::place(place.position, lane + 32 * i)] = rounded;
  }
}
/// Zeros after a span's last values, so that nothing of what a block held before counts, not even times zero.
template <int N, int HeadDim>
__device__ void clear_values_after(const SpanPlace& place, const Ring<N>& ring, int stage) {
  constexpr int positions = Ring<N>::template positions<HeadDim>;
  const int thread = static_cast<int>(threadIdx.x) % warpgroup;
  for (int at = place.positions + thread / 32; at < attention_tile_span; at += warpgroup / 32) {
    bf16* const here = reinterpret_cast<bf16*>(ring.weights(stage + at / positions)) +
                       at % positions / kv_block_positions * (kv_block_positions * HeadDim);
#pragma unroll
    for (int i = 0; i < HeadDim / 32; ++i) here[KvTiles::place(at, thread % 32 + 32 * i)] = __float2bfloat16_rn(0.0f);
  }
}

/// One span: its largest score, the sum of its weights and its weighted values, into buffers.spans or, if it is the only one,
/// as the output. Takes the span's stages from the ring.
template <int N, int HeadDim>
__device__ void attend_span(const DecodeStep& step, const LayerBuffers& buffers, const HeadNorms& norms, int layer, int item,
                            const SpanPlace& place, bool load_queries, const Ring<N>& ring, AttentionShared& shared,
                            int& stage) {
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
  const auto loads_query = [&](int head) { return load_queries && head < group; };
  // The token's own keys and values are two warps'; queries a head a warp. All that a warp needs is asked for at once.
  constexpr int key_warp = 3;
  constexpr int value_warp = 2;
  const float* const cosine = step.cosine + place.position * (HeadDim / 2);
  const float* const sine = step.sine + place.position * (HeadDim / 2);
  HeadRotation<HeadDim> query_rotation;
  HeadRotation<HeadDim> key_rotation;
  if (load_queries) query_rotation.load(norms.query, cosine, sine);
  if (last) key_rotation.load(norms.key, cosine, sine);
  HeadAhead<HeadDim> query;
  HeadAhead<HeadDim> token;
  if (loads_query(warp)) query.ask(shape, buffers.qkv, place.row, place.kv_head * group + warp);
  if (last && warp >= value_warp)
    token.ask(shape, buffers.qkv, place.row, shape.heads + place.kv_head + (warp == value_warp ? shape.kv_heads : 0));
  for (int head = load_queries ? warp : decode_group_max; head < decode_group_max; head += 4) {
    float out[HeadDim / 32] = {};
    if (loads_query(head)) {
      query.await();
      rotate_head<HeadDim>(query.value, query_rotation, shape.epsilon, out);
      if (loads_query(head + 4)) query.ask(shape, buffers.qkv, place.row, place.kv_head * group + head + 4);
    }
#pragma unroll
    for (int i = 0; i < HeadDim / 32; ++i) shared.queries[KvTiles::place(head, lane + 32 * i)] = __float2bfloat16_rn(out[i]);
  }
  for (int i = 0; i < key_stages; ++i) ring.full(stage + i).wait(ring.parity(stage + i));
  if (last && warp == key_warp) {
    float out[HeadDim / 32];
    token.await();
    rotate_head<HeadDim>(token.value, key_rotation, shape.epsilon, out);
    append_token<N, HeadDim>(step, layer, false, place, ring, stage, out);
  }
  warpgroup_sync();

  // Scores of 32 positions.
  float scores[4][4] = {};
  {
    const std::uint32_t queries = shared_address(shared.queries);
    const int first = warp * 32;
    const std::uint32_t keys = shared_address(ring.weights(stage + first / positions));
    const int row = lane % 16;
#pragma unroll
    for (int k = 0; k < HeadDim / 16; k += 2) {
      std::uint32_t a[2][4];
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int dim = (k + i) * 16 + lane / 16 * 8;
        load_tiles(a[i], queries + KvTiles::place(row, dim) * 2);
      }
#pragma unroll
      for (int tile = 0; tile < 4; ++tile) {
        std::uint32_t b[4];
        const int position = first % positions + tile * 8 + lane % 8;
        const int dim = k * 16 + lane / 8 * 8;
        load_tiles(b, keys + position / kv_block_positions * head_bytes + KvTiles::place(position, dim) * 2);
        mma(scores[tile], a[0], b[0], b[1]);
        mma(scores[tile], a[1], b[2], b[3]);
      }
    }
  }
  // Weights.
  float weight_sum[2] = {0, 0};
  {
    float largest[2] = {-INFINITY, -INFINITY};
#pragma unroll
    for (int tile = 0; tile < 4; ++tile) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int position = warp * 32 + tile * 8 + lane % 4 * 2 + i % 2;
        if (position >= place.positions) scores[tile][i] = -INFINITY;
        largest[i / 2] = fmaxf(largest[i / 2], scores[tile][i]);
      }
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      largest[i] = fmaxf(largest[i], __shfl_xor_sync(0xFFFFFFFF, largest[i], 1));
      largest[i] = fmaxf(largest[i], __shfl_xor_sync(0xFFFFFFFF, largest[i], 2));
      if (lane % 4 == 0) shared.maxima[warp][lane / 4 + 8 * i] = largest[i];
    }
    warpgroup_sync();
    const float factor = shape.scale * 1.4426950408889634f;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int row = lane / 4 + 8 * i;
      const float most =
          fmaxf(fmaxf(shared.maxima[0][row], shared.maxima[1][row]), fmaxf(shared.maxima[2][row], shared.maxima[3][row]));
      const float shift = most * factor;
#pragma unroll
      for (int tile = 0; tile < 4; ++tile) {
        const float first = exp2_fast(fmaf(scores[tile][2 * i], factor, -shift));
        const float second = exp2_fast(fmaf(scores[tile][2 * i + 1], factor, -shift));
        weight_sum[i] += first;
        weight_sum[i] += second;
        const int position = warp * 32 + tile * 8 + lane % 4 * 2;
        *reinterpret_cast<__nv_bfloat162*>(shared.weights + KvTiles::place(row, position)) =
            __floats2bfloat162_rn(first, second);
      }
      shared.weight_sums[warp][row][lane % 4] = weight_sum[i];
    }
    warpgroup_sync();
  }
  for (int i = 0; i < key_stages; ++i) ring.release(stage + i);
  stage += key_stages;
  // Values of a quarter of the dimensions.
  float values[dims / 8][4] = {};
  for (int i = 0; i < key_stages; ++i) ring.full(stage + i).wait(ring.parity(stage + i));
  if (last) {
    if (warp == value_warp) {
      token.await();
      append_token<N, HeadDim>(step, layer, true, place, ring, stage, token.value);
    }
    clear_values_after<N, HeadDim>(place, ring, stage);
    warpgroup_sync();
  }
  {
    const std::uint32_t weights = shared_address(shared.weights);
#pragma unroll
    for (int k = 0; k < attention_tile_span / 16; ++k) {
      std::uint32_t a[4];
      load_tiles(a, weights + KvTiles::place(lane % 16, k * 16 + lane / 16 * 8) * 2);
      const std::uint32_t source =
          shared_address(ring.weights(stage + k * 16 / positions)) + k * 16 % positions / kv_block_positions * head_bytes;
#pragma unroll
      for (int tile = 0; tile < dims / 8; tile += 2) {
        std::uint32_t b[4];
        const int dim = warp * dims + tile * 8 + lane / 16 * 8;
        load_tiles_transposed(b, source + KvTiles::place(lane % 16, dim) * 2);
        mma(values[tile], a, b[0], b[1]);
        mma(values[tile + 1], a, b[2], b[3]);
      }
    }
  }
  if (last) fence_proxy_async();
  for (int i = 0; i < key_stages; ++i) ring.release(stage + i);
  stage += key_stages;
  // What comes out, of the rows that are heads.
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int row = lane / 4 + 8 * i;
    if (row >= group) continue;
    float sum[4];
#pragma unroll
    for (int c = 0; c < 4; ++c) {
      sum[c] = (shared.weight_sums[0][row][c] + shared.weight_sums[1][row][c]) +
               (shared.weight_sums[2][row][c] + shared.weight_sums[3][row][c]);
    }
    const float total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    const int head = place.kv_head * group + row;
    const int dim = warp * dims + lane % 4 * 2;
    if (place.spans == 1) {
      const float inverse = __frcp_rn(total);
#pragma unroll
      for (int tile = 0; tile < dims / 8; ++tile) {
        publish(buffers.attended.data + buffers.attended.offset(place.row, head * HeadDim + dim + tile * 8),
                bits_of(__floats2bfloat162_rn(values[tile][2 * i] * inverse, values[tile][2 * i + 1] * inverse)));
      }
    } else {
      const std::size_t piece = static_cast<std::size_t>(item) * static_cast<std::size_t>(group) + row;
      float* const target = buffers.spans + piece * HeadDim;
#pragma unroll
      for (int tile = 0; tile < dims / 8; ++tile) {
        publish(reinterpret_cast<float2*>(target + dim + tile * 8), make_float2(values[tile][2 * i], values[tile][2 * i + 1]));
      }
      if (warp == 0 && lane % 4 == 0) {
        const float most =
            fmaxf(fmaxf(shared.maxima[0][row], shared.maxima[1][row]), fmaxf(shared.maxima[2][row], shared.maxima[3][row]));
        publish(buffers.span_sums + piece, make_float2(most, total));
      }
    }
  }
}

/// Merges all spans of a sequence's KV head in ascending order, and writes the output: of `parts` that share the work, one does
/// every so many columns, a warp 32 at once.
template <int HeadDim>
__device__ void fold_spans(const DecodeShape& shape, const LayerBuffers& buffers, const SpanPlace& place, int spans_before,
                           const PartOf& part) {
  constexpr int ahead = 32;  // spans that are loaded at once
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int group = shape.heads / shape.kv_heads;
  const float factor = shape.scale * 1.4426950408889634f;
  const std::size_t first_item = static_cast<std::size_t>(spans_before * shape.kv_heads + place.kv_head * place.spans);
  const std::size_t stride = static_cast<std::size_t>(group);
  const int pieces = group * (HeadDim / 32);
  for (int piece = part.index * 4 + static_cast<int>(threadIdx.x) % warpgroup / 32; piece < pieces; piece += part.parts * 4) {
    const int row = piece / (HeadDim / 32);
    const int dim = piece % (HeadDim / 32) * 32 + lane;
    const std::size_t first = first_item * stride + static_cast<std::size_t>(row);
    float most = -INFINITY;
    float total = 0;
    float value = 0;
    for (int span = 0; span < place.spans; span += ahead) {
      const int here = min(ahead, place.spans - span);
      const auto of_span = [&](int i) { return first + static_cast<std::size_t>(span + i) * stride; };
      const auto value_of = [&](int i) { return buffers.spans + of_span(i) * HeadDim + dim; };
      const auto sums_of = [&](int /*only*/) { return buffers.span_sums + of_span(lane); };
      float loaded[ahead];
#pragma unroll
      for (int i = 0; i < ahead; ++i) loaded[i] = i < here ? load_published(value_of(i)) : 0.0f;
      // A lane a span: the largest score up to it, and with it the factors of what came before and of the span itself.
      float2 sums[1] = {lane < here ? load_published(sums_of(0)) : make_float2(-INFINITY, 0)};
      await_published(sums, sums_of);
      await_published(loaded, value_of);
      const float2 about = sums[0];
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
    const float out = value * __frcp_rn(total);
    const float beside = __shfl_down_sync(0xFFFFFFFF, out, 1);
    if (lane % 2 == 0) {
      publish(buffers.attended.data + buffers.attended.offset(place.row, column), bits_of(__floats2bfloat162_rn(out, beside)));
    }
  }
}

}  // namespace troupe::kernels::cuda
