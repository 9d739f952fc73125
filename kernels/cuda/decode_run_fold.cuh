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
  int warp;  ///< of the four
  const Run& run;
  const PartOf& part;

  __device__ void fold() const {
    const SpanThread thread{warp, static_cast<int>(thread_read_anew() % 32)};
    if (run.spans <= half_spans) {
      fold_heads<1>(thread);
    } else if (run.spans <= 2 * half_spans) {
      fold_heads<2>(thread);
    } else {
      constexpr int head_pieces = HeadDim / columns;
      const int pieces = group * head_pieces;
      for (int piece = part.index * 4 + thread.warp; piece < pieces; piece += part.parts * 4)
        fold_columns(thread, piece / head_pieces, piece % head_pieces * columns);
    }
  }

 private:
  static constexpr int half_spans = 10;  ///< that are folded at once, or twice as many
  static constexpr int columns = 8;      ///< of a head, that a warp folds for many spans

  __device__ __forceinline__ std::size_t entry_of(int span, int head) const {
    return static_cast<std::size_t>(run.begin + span) * static_cast<std::size_t>(group) + static_cast<std::size_t>(head);
  }

  /// Of few spans: up to `Halves` times half_spans.
  template <int Halves>
  __device__ __forceinline__ void fold_heads(const SpanThread& thread) const {
    for (int head = part.index * 4 + thread.warp; head < group; head += part.parts * 4) fold_head<Halves>(thread, head);
  }
  template <int Halves>
  __device__ __forceinline__ void fold_head(const SpanThread& thread, int head) const {
    using Lane = LaneValues<HeadDim>;
    using Loaded = typename Lane::Loaded;
    constexpr int each = HeadDim / 32;
    const float factor = scale * log2_e;
    const std::size_t first_entry = entry_of(0, head);
    const auto* const first = reinterpret_cast<const Loaded*>(buffers.spans + first_entry * HeadDim) + thread.lane;
    const float2* const own_sums = buffers.span_sums + first_entry + thread.lane * group;
    float2 sums[1] = {make_float2(-INFINITY, 0)};
    if (thread.lane < run.spans) sums[0] = load_published(own_sums);
    const auto source = [&](int half, int i) { return first + (half * half_spans + i) * group * (HeadDim / each); };
    Loaded values[Halves][half_spans];
#pragma unroll
    for (int i = 0; i < Halves * half_spans; ++i) {
      Loaded& value = values[i / half_spans][i % half_spans];
      value = Lane::nothing();
      if (i < run.spans) value = load_published(source(i / half_spans, i % half_spans));
    }
    await_published(sums, [&](int /*index*/) { return own_sums; });
    float most = -INFINITY;
    float total = 0;
    float folded[each] = {};
#pragma unroll
    for (int half = 0; half < Halves; ++half) {
      await_published(values[half], [&](int i) { return source(half, i); });
#pragma unroll
      for (int i = 0; i < half_spans; ++i) {  // as RowState::add_span, which all lanes do: it is quicker than sharing it
        const float span_most = __shfl_sync(0xFFFFFFFF, sums[0].x, half * half_spans + i);
        const float span_total = __shfl_sync(0xFFFFFFFF, sums[0].y, half * half_spans + i);
        const float larger = fmaxf(span_most, most);
        const float old_factor = exp2_fast((most - larger) * factor);
        const float new_factor = exp2_fast((span_most - larger) * factor);
        most = larger;
        total = fmaf(total, old_factor, span_total * new_factor);
#pragma unroll
        for (int k = 0; k < each; ++k) folded[k] = fmaf(folded[k], old_factor, Lane::at(values[half][i], k) * new_factor);
      }
    }
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
      spread_factors(sums, scale * log2_e, most, factors);
      await_published(values, value_of);
      __syncwarp();  // the factors are there for all
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
