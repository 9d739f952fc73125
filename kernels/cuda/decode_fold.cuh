// How a run of spans that several blocks attended to at the same time is folded (decode_attention.hpp): by warps of all of
// these blocks, each some of the columns, in ascending order of spans.
#pragma once

#include "kernels/cuda/decode_shares.cuh"
#include "kernels/cuda/ptx.cuh"

namespace troupe::kernels::cuda {

constexpr int folding_warps = 8;        ///< of a block
constexpr int fold_floats = 2048;       ///< of values that a warp copies at once
constexpr int fold_columns_wide = 32;   ///< of a query head, that a warp folds at once: one a lane,
constexpr int fold_columns_narrow = 8;  ///< or fewer, if there are more warps than columns

/// A warp's. While it folds some entries, the values of the next ones are on their way.
struct FoldShared {
  alignas(16) float values[2][fold_floats];           ///< [entries, columns]
  float4 factors[fold_floats / fold_columns_narrow];  ///< of the entries, by spread_factors
};

/// A warp of those that fold a split run, each some of its columns.
template <int HeadDim>
struct Folder {
  const DecodeAttention& p;
  FoldShared& shared;
  int warp;  ///< which of the block's

  __device__ void fold(const SplitRun& run) {
    if (run.parts == 0) return;
    std::int32_t* const counters = p.workspace.counters;
    if (lane() == 0) wait_until(counters + run.counter, run.parts);
    __syncwarp();
    const int columns = p.heads / p.kv.kv_heads * HeadDim;
    if (2 * columns >= run.parts * folding_warps * fold_columns_wide) {
      fold_units<fold_columns_wide>(run, columns);
    } else {
      fold_units<fold_columns_narrow>(run, columns);
    }
    // The last warp that has what it waited for makes the counters ready for the next launch.
    if (lane() == 0) {
      std::int32_t* const left = counters + gridDim.x + run.counter;
      if (atomicAdd(left, 1) == run.parts * folding_warps - 1) {
        counters[run.counter] = 0;
        *left = 0;
      }
    }
  }

 private:
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }

  template <int Columns>
  __device__ __forceinline__ void fold_units(const SplitRun& run, int columns) const {
    const int row = p.rows[run.row].row;
    for (int unit = run.part * folding_warps + warp; unit < columns / Columns; unit += run.parts * folding_warps) {
      constexpr int head_units = HeadDim / Columns;
      fold_unit<Columns>(run, row, unit / head_units, unit % head_units * Columns);
    }
  }

  template <int Columns>
  __device__ __forceinline__ void fold_unit(const SplitRun& run, int row, int head, int column) const {
    constexpr int entries = fold_floats / Columns;
    constexpr int lane_entries = entries / 32;  ///< consecutive
    const float factor = p.scale * log2_e;
    const std::size_t group = static_cast<std::size_t>(p.heads / p.kv.kv_heads);
    const std::size_t begin = static_cast<std::size_t>(run.first_entry) * group + static_cast<std::size_t>(head);
    const float* const values = p.workspace.values + begin * HeadDim + column;
    const float2* const sums = p.workspace.sums + begin;

    const auto copy_values = [&](int first, int buffer) {
      constexpr int pieces = Columns / 4;  // of 16 bytes
      constexpr int together = 32 / pieces;
      const int at = lane() % pieces * 4;
      const std::size_t stride = group * HeadDim;
      const float* from = values + static_cast<std::size_t>(first + lane() / pieces) * stride + at;
      float* to = &shared.values[buffer][lane() / pieces * Columns + at];
#pragma unroll 4
      for (int entry = first + lane() / pieces; entry < min(first + entries, run.entries); entry += together) {
        copy_async(to, from);
        from += together * stride;
        to += together * Columns;
      }
      end_copies();
    };
    float2 own_sums[lane_entries];
    const auto load_sums = [&](int first) {
#pragma unroll
      for (int i = 0; i < lane_entries; ++i) {
        const int entry = first + lane() * lane_entries + i;
        own_sums[i] = entry < run.entries ? __ldcg(sums + static_cast<std::size_t>(entry) * group) : make_float2(-INFINITY, 0);
      }
    };

    const int own = lane() % Columns;
    float most = -INFINITY;
    float value = 0;
    float total = 0;
    load_sums(0);
    copy_values(0, 0);
    for (int first = 0, buffer = 0; first < run.entries; first += entries, buffer ^= 1) {
      spread_factors(own_sums, factor, most, shared.factors);
      if (first + entries < run.entries) load_sums(first + entries);
      copy_values(first + entries, buffer ^ 1);
      wait_for_copies<1>();
      __syncwarp();
      const int here = min(entries, run.entries - first);
#pragma unroll 8
      for (int entry = 0; entry < here; ++entry) {
        const float4 factors = shared.factors[entry];
        total = fmaf(total, factors.x, factors.z);
        value = fmaf(value, factors.x, shared.values[buffer][entry * Columns + own] * factors.y);
      }
      __syncwarp();
    }
    const int output = (run.kv_head * static_cast<int>(group) + head) * HeadDim + column + own;
    if (lane() < Columns) p.attended.data[p.attended.offset(row, output)] = __float2bfloat16_rn(value * __frcp_rn(total));
  }
};

}  // namespace troupe::kernels::cuda
