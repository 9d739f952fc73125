// Attention of one token over a span of its sequence by a warpgroup, for all query heads of a KV head at once: scores of 32
// positions a warp, then values of a quarter of the dimensions a warp; and how spans fold. The orders are those of
// docs/numerics.md; where keys and values come from, and where results go, is for the kernels that attend.
#pragma once

#include <cstdint>

#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/kv_tiles.hpp"
#include "kernels/cuda/mma.cuh"

namespace troupe::kernels::cuda {

inline constexpr int attention_tile_span = 128;  ///< positions whose weighted values are added up from zero
inline constexpr int attention_tile_heads = 16;  ///< rows of a tile: query heads that share a KV head, at most
inline constexpr int attention_warp_span = 32;   ///< positions of a span that a warp scores
inline constexpr float log2_e = 1.4426950408889634f;

/// What the warps of a warpgroup tell each other of a span.
struct SpanShared {
  alignas(128) bf16 weights[attention_tile_heads * attention_tile_span];  ///< laid out like KV tiles
  float maxima[4][attention_tile_heads];                                  ///< by warp
  alignas(16) float weight_sums[4][attention_tile_heads][4];              ///< by warp, row, and lane of four
};

/// Which thread of the warpgroup one is.
struct SpanThread {
  int warp;
  int lane;
};

__device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// The scores of a warp's 32 positions. `query_place(row, dim)` says where a query's eight dimensions are in shared memory,
/// `keys` where the warp's two KV blocks begin.
template <int HeadDim, class QueryPlace>
__device__ __forceinline__ void score_positions(const SpanThread& thread, float (&scores)[4][4], const QueryPlace& query_place,
                                                std::uint32_t keys) {
  constexpr int head_bytes = kv_block_positions * HeadDim * 2;
  const int lane = thread.lane;
#pragma unroll
  for (int k = 0; k < HeadDim / 16; k += 2) {
    std::uint32_t a[2][4];
#pragma unroll
    for (int i = 0; i < 2; ++i) load_tiles(a[i], query_place(lane % 16, (k + i) * 16 + lane / 16 * 8));
#pragma unroll
    for (int tile = 0; tile < 4; ++tile) {
      std::uint32_t b[4];
      const int position = tile * 8 + lane % 8;
      const int dim = k * 16 + lane / 8 * 8;
      load_tiles(b, keys + position / kv_block_positions * head_bytes + KvTiles::place(position, dim) * 2);
      mma(scores[tile], a[0], b[0], b[1]);
      mma(scores[tile], a[1], b[2], b[3]);
    }
  }
}

/// A thread has rows lane / 4 and eight below; where there are no query heads for the latter, all that is done for them can be
/// left out by `Rows` of 1: their weights, sums and values are whatever they are.
inline constexpr int thread_rows = 2;

/// Makes weights of a warp's scores, of which those from `positions` of the span on do not count; `most` becomes the largest
/// score of the span, of rows lane / 4 and eight below. Before anyone reads the weights or their sums, warpgroup_sync has to
/// be called.
template <int Rows = thread_rows>
__device__ __forceinline__ void weigh_positions(const SpanThread& thread, float (&scores)[4][4], int positions, float factor,
                                                SpanShared& shared, float (&most)[2]) {
  const auto [warp, lane] = thread;
  float largest[2] = {-INFINITY, -INFINITY};
#pragma unroll
  for (int tile = 0; tile < 4; ++tile) {
#pragma unroll
    for (int i = 0; i < 2 * Rows; ++i) {
      const int position = warp * attention_warp_span + tile * 8 + lane % 4 * 2 + i % 2;
      if (position >= positions) scores[tile][i] = -INFINITY;
      largest[i / 2] = fmaxf(largest[i / 2], scores[tile][i]);
    }
  }
#pragma unroll
  for (int i = 0; i < Rows; ++i) {
    largest[i] = fmaxf(largest[i], __shfl_xor_sync(0xFFFFFFFF, largest[i], 1));
    largest[i] = fmaxf(largest[i], __shfl_xor_sync(0xFFFFFFFF, largest[i], 2));
    if (lane % 4 == 0) shared.maxima[warp][lane / 4 + 8 * i] = largest[i];
  }
  warpgroup_sync();
#pragma unroll
  for (int i = 0; i < Rows; ++i) {
    const int row = lane / 4 + 8 * i;
    most[i] = fmaxf(fmaxf(shared.maxima[0][row], shared.maxima[1][row]), fmaxf(shared.maxima[2][row], shared.maxima[3][row]));
    const float shift = most[i] * factor;
    float weight_sum = 0;
#pragma unroll
    for (int tile = 0; tile < 4; ++tile) {
      const float first = exp2_fast(fmaf(scores[tile][2 * i], factor, -shift));
      const float second = exp2_fast(fmaf(scores[tile][2 * i + 1], factor, -shift));
      weight_sum += first;
      weight_sum += second;
      const int position = warp * attention_warp_span + tile * 8 + lane % 4 * 2;
      *reinterpret_cast<__nv_bfloat162*>(shared.weights + KvTiles::place(row, position)) = __floats2bfloat162_rn(first, second);
    }
    shared.weight_sums[warp][row][lane % 4] = weight_sum;
  }
}

/// The sum of a row's weights.
__device__ __forceinline__ float weight_total(const SpanShared& shared, int row) {
  float4 of_warps[4];
#pragma unroll
  for (int warp = 0; warp < 4; ++warp) of_warps[warp] = *reinterpret_cast<const float4*>(shared.weight_sums[warp][row]);
  const auto add = [](float first, float second, float third, float fourth) { return (first + second) + (third + fourth); };
  return add(add(of_warps[0].x, of_warps[1].x, of_warps[2].x, of_warps[3].x),
             add(of_warps[0].y, of_warps[1].y, of_warps[2].y, of_warps[3].y),
             add(of_warps[0].z, of_warps[1].z, of_warps[2].z, of_warps[3].z),
             add(of_warps[0].w, of_warps[1].w, of_warps[2].w, of_warps[3].w));
}

/// Those of a thread's rows.
template <int Rows = thread_rows>
__device__ __forceinline__ void weight_totals(const SpanShared& shared, int lane, float (&total)[2]) {
#pragma unroll
  for (int i = 0; i < Rows; ++i) {
    total[i] = weight_total(shared, lane / 4 + 8 * i);
  }
}

/// Adds the weighted values of a span's KV block `number`, whose values are at `source` in shared memory, to those of a warp's
/// quarter of the dimensions.
template <int HeadDim>
__device__ __forceinline__ void multiply_block(const SpanThread& thread, float (&values)[HeadDim / 32][4],
                                               const SpanShared& shared, int number, std::uint32_t source) {
  const auto [warp, lane] = thread;
  std::uint32_t a[4];
  load_tiles(a, shared_address(shared.weights) + KvTiles::place(lane % 16, number * 16 + lane / 16 * 8) * 2);
#pragma unroll
  for (int tile = 0; tile < HeadDim / 32; tile += 2) {
    std::uint32_t b[4];
    const int dim = warp * (HeadDim / 4) + tile * 8 + lane / 16 * 8;
    load_tiles_transposed(b, source + KvTiles::place(lane % 16, dim) * 2);
    mma(values[tile], a, b[0], b[1]);
    mma(values[tile + 1], a, b[2], b[3]);
  }
}

/// Those of a whole span. `block_place(i)` says where the values of the span's KV block i are in shared memory; it is asked in
/// ascending order, and may wait for them.
template <int HeadDim, class BlockPlace>
__device__ __forceinline__ void multiply_positions(const SpanThread& thread, float (&values)[HeadDim / 32][4],
                                                   const SpanShared& shared, const BlockPlace& block_place) {
#pragma unroll
  for (int k = 0; k < attention_tile_span / kv_block_positions; ++k)
    multiply_block<HeadDim>(thread, values, shared, k, block_place(k));
}

/// What a thread knows of two rows of a tile (eight apart) whose spans it folds; i is which.
struct RowState {
  float most[2] = {-INFINITY, -INFINITY};  ///< the largest score of the spans so far
  float total[2] = {0, 0};                 ///< of their weights
  float old_factor[2];                     ///< what the values folded so far are multiplied by when the last span's are added
  float new_factor[2];                     ///< and what those are

  /// Takes in a span's largest score and sum of weights. A span without a position of the row changes nothing: zero times -0 is
  /// what can be added to any float.
  template <int Rows = thread_rows>
  __device__ __forceinline__ void add_span(const float (&span_most)[2], const float (&span_total)[2], float factor) {
#pragma unroll
    for (int i = 0; i < Rows; ++i) {
      const float larger = fmaxf(span_most[i], most[i]);
      old_factor[i] = exp2_fast((most[i] - larger) * factor);
      new_factor[i] = span_most[i] == -INFINITY ? -0.0f : exp2_fast((span_most[i] - larger) * factor);
      total[i] = fmaf(total[i], old_factor[i], span_total[i] * new_factor[i]);
      most[i] = larger;
    }
  }
  /// Of values as the tensor cores hold sums: two of the first row, two of the second one, ...
  template <int Count>
  __device__ __forceinline__ void fold(float (&values)[Count], const float (&sums)[Count]) const {
#pragma unroll
    for (int at = 0; at < Count; ++at) {
      const int i = at / 2 % 2;
      values[at] = fmaf(values[at], old_factor[i], sums[at] * new_factor[i]);
    }
  }
};

/// Of what RowState::add_span multiplies by, for a row's consecutive spans, by a warp: a lane has `Count` of them, with their
/// largest scores and sums of weights. Each span's place becomes the factor of what is before it, its own one, and its sum of
/// weights times that. `most` is the largest score before them, and then with them. Spans that are not there have -infinity.
template <int Count>
__device__ __forceinline__ void spread_factors(const float2 (&sums)[Count], float factor, float& most, float4* places) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float largest = sums[0].x;
#pragma unroll
  for (int i = 1; i < Count; ++i) largest = fmaxf(largest, sums[i].x);
#pragma unroll
  for (int other = 1; other < 32; other *= 2) {
    const float below = __shfl_up_sync(0xFFFFFFFF, largest, other);
    if (lane >= other) largest = fmaxf(largest, below);
  }
  const float below = __shfl_up_sync(0xFFFFFFFF, largest, 1);
  float before = lane == 0 ? most : fmaxf(most, below);
#pragma unroll
  for (int i = 0; i < Count; ++i) {
    const float larger = fmaxf(sums[i].x, before);
    const float new_factor = exp2_fast((sums[i].x - larger) * factor);
    places[lane * Count + i] = make_float4(exp2_fast((before - larger) * factor), new_factor, sums[i].y * new_factor, 0);
    before = larger;
  }
  most = __shfl_sync(0xFFFFFFFF, before, 31);
}

}  // namespace troupe::kernels::cuda
