// How blocks that share a sequence's KV head within a step of decoding fold the spans that each of them has published
// (decode_attention.cuh): each block some of the columns, a warp some of a query head's at once, in ascending order of spans.
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

/// A warp of a part of a run's sequence and KV head. Whatever it folds at once it asks for at once: a word from another block
/// is some thousand cycles away.
template <int HeadDim>
struct RunFolder {
  int group;    ///< query heads that share a KV head
  float scale;  ///< of attention scores
  const LayerBuffers& buffers;
  RunFoldShared& shared;
  const Run& run;
  const PartOf& part;

  __device__ void fold() const {
    constexpr int few_spans = 16;
    if (run.spans <= few_spans) {
      fold_pieces<32, few_spans>();  // few blocks have them: the fewer pieces, the fewer ways for each
    } else {
      fold_pieces<8, RunFoldShared::spans_at_once / 4>();
    }
  }

 private:
  /// A lane has one of `Columns` columns, of every so many spans `Ahead` at once.
  template <int Columns, int Ahead>
  __device__ __forceinline__ void fold_pieces() const {
    const SpanThread thread = SpanThread::of_block(thread_read_anew());
    constexpr int head_pieces = HeadDim / Columns;
    const int pieces = group * head_pieces;
    for (int piece = part.index * 4 + thread.warp; piece < pieces; piece += part.parts * 4)
      fold_piece<Columns, Ahead>(thread, piece / head_pieces, piece % head_pieces * Columns);
  }

  template <int Columns, int Ahead>
  __device__ __forceinline__ void fold_piece(const SpanThread& thread, int head, int first_dim) const {
    constexpr int together = 32 / Columns;  // spans that the lanes have side by side
    constexpr int at_once = Ahead * together;
    constexpr int lane_sums = divided_up(at_once, 32);
    static_assert(lane_sums * 32 <= RunFoldShared::spans_at_once);
    const int lane = thread.lane;
    const int dim = first_dim + lane % Columns;
    float4* const factors = shared.factors[thread.warp];
    const auto entry_of = [&](int span) {
      return static_cast<std::size_t>(run.begin + span) * static_cast<std::size_t>(group) + static_cast<std::size_t>(head);
    };
    float most = -INFINITY;
    float total = 0;
    float value = 0;
    for (int first = 0; first < run.spans; first += at_once) {
      const int here = min(at_once, run.spans - first);
      const auto span_of = [&](int i) { return i * together + lane / Columns; };
      const auto value_of = [&](int i) { return buffers.spans + entry_of(first + span_of(i)) * HeadDim + dim; };
      const auto sums_of = [&](int i) { return buffers.span_sums + entry_of(first + lane * lane_sums + i); };
      float values[Ahead];
#pragma unroll
      for (int i = 0; i < Ahead; ++i) values[i] = span_of(i) < here ? load_published(value_of(i)) : 0.0f;
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
      for (int i = 0; i < Ahead; ++i) {
        if (i * together >= here) break;
        // Minus zero is what can be added to any float.
        const float weighted = span_of(i) < here ? values[i] * factors[span_of(i)].y : -0.0f;
#pragma unroll
        for (int beside = 0; beside < together; ++beside) {
          const float4 of_span = factors[i * together + beside];
          total = fmaf(total, of_span.x, of_span.z);
          value = fmaf(value, of_span.x, __shfl_sync(0xFFFFFFFF, weighted, beside * Columns + lane % Columns));
        }
      }
      __syncwarp();  // before the factors are others
    }
    const float out = value * __frcp_rn(total);
    const float beside = __shfl_down_sync(0xFFFFFFFF, out, 1);
    if (lane < Columns && lane % 2 == 0) {
      const RowTiles& attended = buffers.attended;
      publish(attended.data + attended.offset(run.row, (run.kv_head * group + head) * HeadDim + dim),
              bits_of(__floats2bfloat162_rn(out, beside)));
    }
  }
};

}  // namespace troupe::kernels::cuda
