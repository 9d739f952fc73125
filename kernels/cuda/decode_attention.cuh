// Attention within a step of decoding: what a block does with its spans (decode_items.cuh). The arithmetic of a span is in
// attention_span.cuh.
//
// A sequence's only span is its output. Of several, each is published by itself, and then the blocks that have them fold all of
// them together, each some of the columns.
#pragma once

#include "kernels/cuda/attention_span.cuh"
#include "kernels/cuda/decode_buffers.hpp"
#include "kernels/cuda/decode_items.cuh"
#include "kernels/cuda/published.cuh"
#include "kernels/cuda/rows.cuh"
#include "kernels/cuda/step_ring.cuh"

namespace troupe::kernels::cuda {

struct AttentionShared {
  /// 16 rows of up to two times 64, laid out like KV tiles.
  alignas(128) bf16 queries[decode_group_max * 128];
  SpanShared span;
};

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

/// One span of a block, by a warpgroup. Takes its stages from the ring.
template <int N, int HeadDim>
struct SpanAttender {
  using Stages = Ring<N>;
  static constexpr int positions = Stages::template positions<HeadDim>;  ///< of a stage
  static constexpr int span_stages = attention_tile_span / positions;    ///< of a span's keys, and as many of its values
  static constexpr int head_bytes = kv_block_positions * HeadDim * 2;
  static constexpr int tiles = HeadDim / 32;  ///< of eight dimensions, in a warp's quarter
  // The token's own keys and values are two warps'; queries a head a warp.
  static constexpr int key_warp = 3;
  static constexpr int value_warp = 2;

  const DecodeStep& step;
  const LayerBuffers& buffers;
  const HeadNorms& norms;
  int layer;
  const Stages& ring;
  AttentionShared& shared;
  int& stage;
  const SpanPlace& place;
  HeadRotation<HeadDim> key_rotation;
  HeadAhead<HeadDim> token;
  std::int32_t token_block = 0;  ///< the KV block that it goes to

  /// `item` is its number. Its sequence's KV head's queries may be there already.
  __device__ __forceinline__ void attend(int item, bool takes_queries) {
    const bool last = place.span + 1 == place.spans;
    // All that a warp needs is asked for at once.
    if (last && warp() >= value_warp) ask_token();
    if (takes_queries) take_queries();
    wait_for_stages();
    if (last && warp() == key_warp) {
      float out[HeadDim / 32];
      token.await();
      rotate_head<HeadDim>(token.value, key_rotation, step.shape.epsilon, out);
      append_token(0, out);
    }
    if (last || takes_queries) warpgroup_sync();
    float scores[4][4] = {};
    const std::uint32_t queries = shared_address(shared.queries);
    score_positions<HeadDim>(
        scores, [&](int row, int dim) { return queries + KvTiles::place(row, dim) * 2; },
        shared_address(block_of(warp() * attention_warp_span)));
    float most[2];
    weigh_positions(scores, place.positions, step.shape.scale * log2_e, shared.span, most);
    warpgroup_sync();
    release_stages();
    float values[tiles][4] = {};
    wait_for_stages();
    if (last) {
      if (warp() == value_warp) {
        token.await();
        append_token(1, token.value);
      }
      clear_values_after();
      warpgroup_sync();
    }
    multiply_positions<HeadDim>(values, shared.span, [&](int k) { return shared_address(block_of(k * kv_block_positions)); });
    if (last) fence_proxy_async();
    release_stages();
    publish_span(item, values, most);
  }

 private:
  static __device__ __forceinline__ int warp() { return static_cast<int>(threadIdx.x) % warpgroup / 32; }
  static __device__ __forceinline__ int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ __forceinline__ int group() const { return step.shape.heads / step.shape.kv_heads; }
  __device__ __forceinline__ const float* cosine() const { return step.cosine + place.position * (HeadDim / 2); }
  __device__ __forceinline__ const float* sine() const { return step.sine + place.position * (HeadDim / 2); }
  __device__ __forceinline__ void wait_for_stages() const {
    for (int i = 0; i < span_stages; ++i) ring.full(stage + i).wait(ring.parity(stage + i));
  }
  __device__ __forceinline__ void release_stages() {
    for (int i = 0; i < span_stages; ++i) ring.release(stage + i);
    stage += span_stages;
  }
  /// Where a position of the keys or values in the ring's next stages has its KV block.
  __device__ __forceinline__ std::byte* block_of(int position) const {
    return ring.weights(stage + position / positions) + position % positions / kv_block_positions * head_bytes;
  }

  __device__ __forceinline__ void ask_token() {
    token_block = __ldcg(step.blocks + place.row * step.blocks_stride + place.position / kv_block_positions);
    key_rotation.load(norms.key, cosine(), sine());
    token.ask(step.shape, buffers.qkv, place.row,
              step.shape.heads + place.kv_head + (warp() == value_warp ? step.shape.kv_heads : 0));
  }
  /// Rows that are no heads become zeros.
  __device__ __forceinline__ void take_queries() {
    HeadRotation<HeadDim> rotation;
    HeadAhead<HeadDim> query;
    rotation.load(norms.query, cosine(), sine());
    const auto ask = [&](int head) {
      if (head < group()) query.ask(step.shape, buffers.qkv, place.row, place.kv_head * group() + head);
    };
    ask(warp());
    for (int head = warp(); head < decode_group_max; head += 4) {
      float out[HeadDim / 32] = {};
      if (head < group()) {
        query.await();
        rotate_head<HeadDim>(query.value, rotation, step.shape.epsilon, out);
        ask(head + 4);
      }
#pragma unroll
      for (int i = 0; i < HeadDim / 32; ++i)
        shared.queries[KvTiles::place(head, lane() + 32 * i)] = __float2bfloat16_rn(out[i]);
    }
  }
  /// Writes the token's own keys (or values), which a warp has, to its block and, over whatever came with the block, to the
  /// ring.
  __device__ __forceinline__ void append_token(int values, const float (&elements)[HeadDim / 32]) {
    bf16* const target = step.kv.head(token_block, layer, values, place.kv_head);
    bf16* const here = reinterpret_cast<bf16*>(block_of(place.positions - 1));
#pragma unroll
    for (int i = 0; i < HeadDim / 32; ++i) {
      const bf16 rounded = __float2bfloat16_rn(elements[i]);
      target[KvTiles::place(place.position, lane() + 32 * i)] = rounded;
      here[KvTiles::place(place.position, lane() + 32 * i)] = rounded;
    }
  }
  /// Zeros after the token's values, so that nothing of what a block held before counts, not even times zero.
  __device__ __forceinline__ void clear_values_after() {
    for (int at = place.positions + warp(); at < attention_tile_span; at += 4) {
      bf16* const here = reinterpret_cast<bf16*>(block_of(at));
#pragma unroll
      for (int i = 0; i < HeadDim / 32; ++i) here[KvTiles::place(at, lane() + 32 * i)] = __float2bfloat16_rn(0.0f);
    }
  }
  /// What comes out, of the thread's two heads and its quarter's dimensions.
  __device__ __forceinline__ void publish_span(int item, const float (&values)[tiles][4], const float (&most)[2]) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int head = lane() / 4 + 8 * i;
      if (head >= group()) continue;
      const float total = weight_total(shared.span, head);
      const int dim = warp() * (HeadDim / 4) + lane() % 4 * 2;
      if (place.spans == 1) {
        const float inverse = __frcp_rn(total);
        const int column = (place.kv_head * group() + head) * HeadDim + dim;
#pragma unroll
        for (int tile = 0; tile < tiles; ++tile) {
          publish(buffers.attended.data + buffers.attended.offset(place.row, column + tile * 8),
                  bits_of(__floats2bfloat162_rn(values[tile][2 * i] * inverse, values[tile][2 * i + 1] * inverse)));
        }
        continue;
      }
      const std::size_t piece = static_cast<std::size_t>(item) * static_cast<std::size_t>(group()) + head;
      float* const target = buffers.spans + piece * HeadDim + dim;
#pragma unroll
      for (int tile = 0; tile < tiles; ++tile)
        publish(reinterpret_cast<float2*>(target + tile * 8), make_float2(values[tile][2 * i], values[tile][2 * i + 1]));
      if (warp() == 0 && lane() % 4 == 0) publish(buffers.span_sums + piece, make_float2(most[i], total));
    }
  }
};

/// Folds all spans of a sequence's KV head in ascending order, and publishes the output: of the parts that share the work, one
/// does every so many columns, a warp 32 at once.
template <int HeadDim>
__device__ void fold_spans(const DecodeShape& shape, const LayerBuffers& buffers, const SpanPlace& place, int spans_before,
                           const PartOf& part) {
  constexpr int ahead = 32;  // spans that are loaded at once
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int group = shape.heads / shape.kv_heads;
  const float factor = shape.scale * log2_e;
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
      __syncwarp();
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
