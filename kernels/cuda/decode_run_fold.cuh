// How blocks that share a sequence's KV head within a step of decoding fold the spans that each of them has published
// (decode_attention.cuh): each block some of the query heads, or of their columns, in ascending order of spans.
#pragma once

#include "kernels/cuda/attention_span.cuh"
#include "kernels/cuda/decode_buffers.hpp"
#include "kernels/cuda/decode_runs.cuh"
#include "kernels/cuda/published.cuh"

namespace troupe::kernels::cuda {

struct RunFoldShared {
  static constexpr int spans_at_once = 128;
  float4 factors[warpgroup / 32][spans_at_once];  ///< by warp; of spans, by spread_factors
};

/// What a lane has of a head's values: elements side by side. `nothing` is minus zero, which can be added to any float, for
/// spans that are not there; the factors of these are one and zero.
template <int HeadDim>
struct LaneValues;
template <>
struct LaneValues<128> {
  using Loaded = uint4;
  static __device__ __forceinline__ uint4 nothing() { return make_uint4(1U << 31, 1U << 31, 1U << 31, 1U << 31); }
  static __device__ __forceinline__ float at(const uint4& loaded, int i) {
    return __uint_as_float(i == 0 ? loaded.x : i == 1 ? loaded.y : i == 2 ? loaded.z : loaded.w);
  }
};
template <>
struct LaneValues<64> {
  using Loaded = float2;
  static __device__ __forceinline__ float2 nothing() { return make_float2(-0.0f, -0.0f); }
  static __device__ __forceinline__ float at(const float2& loaded, int i) { return i == 0 ? loaded.x : loaded.y; }
};

/// A warp of a part of a run's sequence and KV head. Whatever it folds at once it asks for at once: a word from another block
/// is some thousand cycles away. Few spans are folded by a warp for each head, with few instructions; of many, warps have
/// columns.
template <int HeadDim>
struct RunFolder {
  int group;    ///< query heads that share a KV head
  float scale;  ///< of attention scores
  const LayerBuffers& buffers;
  RunFoldShared& shared;
  const Run& run;
  const PartOf& part;

  __device__ void fold() const {
    const SpanThread thread = SpanThread::of_block(thread_read_anew());
    if (run.spans <= few_spans) {
      for (int head = part.index * 4 + thread.warp; head < group; head += part.parts * 4) fold_head(thread, head);
    } else {
      constexpr int head_pieces = HeadDim / columns;
      const int pieces = group * head_pieces;
      for (int piece = part.index * 4 + thread.warp; piece < pieces; piece += part.parts * 4)
        fold_columns(thread, piece / head_pieces, piece % head_pieces * columns);
    }
  }

 private:
  static constexpr int half_spans = 10;  ///< of few: the latter half is mostly not there
  static constexpr int few_spans = 2 * half_spans;
  static constexpr int columns = 8;  ///< of a head, that a warp folds for many spans

  __device__ __forceinline__ std::size_t entry_of(int span, int head) const {
    return static_cast<std::size_t>(run.begin + span) * static_cast<std::size_t>(group) + static_cast<std::size_t>(head);
  }

  /// Of few spans.
  __device__ __forceinline__ void fold_head(const SpanThread& thread, int head) const {
    using Lane = LaneValues<HeadDim>;
    using Loaded = typename Lane::Loaded;
    constexpr int each = HeadDim / 32;
    const std::size_t stride = static_cast<std::size_t>(group) * HeadDim / each;  // from span to span
    const auto* const first = reinterpret_cast<const Loaded*>(buffers.spans + entry_of(0, head) * HeadDim) + thread.lane;
    Loaded values[2][half_spans];
#pragma unroll
    for (int i = 0; i < few_spans; ++i) values[i / half_spans][i % half_spans] = Lane::nothing();
    const auto source = [&](int half, int i) { return first + static_cast<std::size_t>(half * half_spans + i) * stride; };
    const auto ask = [&](int half) {
#pragma unroll
      for (int i = 0; i < half_spans; ++i) {
        if (half * half_spans + i < run.spans) values[half][i] = load_published(source(half, i));
      }
    };
    ask(0);
    if (run.spans > half_spans) ask(1);
    const auto sums_of = [&](int /*index*/) { return buffers.span_sums + entry_of(thread.lane, head); };
    float2 sums[1] = {make_float2(-INFINITY, 0)};
    if (thread.lane < run.spans) sums[0] = load_published(sums_of(0));
    await_published(sums, sums_of);
    __syncwarp();
    float most = -INFINITY;
    float4* const factors = shared.factors[thread.warp];
    spread_factors(sums, scale * log2_e, most, factors);
    __syncwarp();
    float total = 0;
    float folded[each] = {};
    const auto add = [&](int half) {
      await_published(values[half], [&](int i) { return source(half, i); });
      __syncwarp();
#pragma unroll
      for (int i = 0; i < half_spans; ++i) {
        const float4 of_span = factors[half * half_spans + i];
        total = fmaf(total, of_span.x, of_span.z);
#pragma unroll
        for (int k = 0; k < each; ++k) folded[k] = fmaf(folded[k], of_span.x, Lane::at(values[half][i], k) * of_span.y);
      }
    };
    add(0);
    if (run.spans > half_spans) add(1);
    __syncwarp();  // before the factors are others
    const float inverse = __frcp_rn(total);
    bf16* const target =
        buffers.attended.data + buffers.attended.offset(run.row, (run.kv_head * group + head) * HeadDim + thread.lane * each);
#pragma unroll
    for (int k = 0; k < each; k += 2)
      publish(target + k, bits_of(__floats2bfloat162_rn(folded[k] * inverse, folded[k + 1] * inverse)));
  }

  /// A lane has one of the columns, of every fourth span.
  __device__ __forceinline__ void fold_columns(const SpanThread& thread, int head, int first_dim) const {
    constexpr int together = 32 / columns;  // spans that the lanes have side by side
    constexpr int at_once = RunFoldShared::spans_at_once;
    constexpr int ahead = at_once / together;
    constexpr int lane_sums = at_once / 32;
    const int lane = thread.lane;
    const int dim = first_dim + lane % columns;
    float4* const factors = shared.factors[thread.warp];
    float most = -INFINITY;
    float total = 0;
    float value = 0;
    for (int first = 0; first < run.spans; first += at_once) {
      const int here = min(at_once, run.spans - first);
      const auto span_of = [&](int i) { return i * together + lane / columns; };
      const auto value_of = [&](int i) { return buffers.spans + entry_of(first + span_of(i), head) * HeadDim + dim; };
      const auto sums_of = [&](int i) { return buffers.span_sums + entry_of(first + lane * lane_sums + i, head); };
      float values[ahead];
#pragma unroll
      for (int i = 0; i < ahead; ++i) values[i] = span_of(i) < here ? load_published(value_of(i)) : 0.0f;
      float2 sums[lane_sums];
#pragma unroll
      for (int i = 0; i < lane_sums; ++i)
        sums[i] = lane * lane_sums + i < here ? load_published(sums_of(i)) : make_float2(-INFINITY, 0);
      await_published(sums, sums_of);
      __syncwarp();
      spread_factors(sums, scale * log2_e, most, factors);
      await_published(values, value_of);
      __syncwarp();
#pragma unroll
      for (int i = 0; i < ahead; ++i) {
        if (i * together >= here) break;
        // Minus zero is what can be added to any float.
        const float weighted = span_of(i) < here ? values[i] * factors[span_of(i)].y : -0.0f;
#pragma unroll
        for (int beside = 0; beside < together; ++beside) {
          const float4 of_span = factors[i * together + beside];
          total = fmaf(total, of_span.x, of_span.z);
          value = fmaf(value, of_span.x, __shfl_sync(0xFFFFFFFF, weighted, beside * columns + lane % columns));
        }
      }
      __syncwarp();  // before the factors are others
    }
    const float out = value * __frcp_rn(total);
    const float beside = __shfl_down_sync(0xFFFFFFFF, out, 1);
    if (lane < columns && lane % 2 == 0) {
      const RowTiles& attended = buffers.attended;
      publish(attended.data + attended.offset(run.row, (run.kv_head * group + head) * HeadDim + dim),
              bits_of(__floats2bfloat162_rn(out, beside)));
    }
  }
};

}  // namespace troupe::kernels::cuda
