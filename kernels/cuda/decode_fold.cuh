// How a run of spans that several blocks attended to is folded (decode_attention.hpp): by warps of all of these blocks, each
// some of the columns, in ascending order of spans.
#pragma once

#include "kernels/cuda/decode_shares.cuh"
#include "kernels/cuda/ptx.cuh"

namespace troupe::kernels::cuda {

constexpr int folding_warps = 3;  ///< of a block

/// What a warp folds at once: eight columns of a query head.
constexpr int fold_columns = 8;
constexpr int fold_entries = 64;
struct FoldShared {
  alignas(16) float values[fold_entries][fold_columns];  ///< times the entry's new factor
  alignas(16) float totals[fold_entries];                ///< likewise
  alignas(16) float old_factors[fold_entries];
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
    constexpr int head_units = HeadDim / fold_columns;
    const int units = p.heads / p.kv.kv_heads * head_units;
    const int row = p.rows[run.row].row;
    for (int unit = run.part * folding_warps + warp; unit < units; unit += run.parts * folding_warps)
      fold_columns_of(run, row, unit / head_units, unit % head_units * fold_columns);
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
  static constexpr int loads = fold_entries * fold_columns / 4 / 32;  ///< of four columns, that a lane does at once
  static constexpr int lane_entries = fold_entries / 32;
  /// Entries from `first` on, on their way.
  struct Ahead {
    float4 values[loads];
    float2 sums[lane_entries];
  };

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ static int entry_of(int load) { return load * 16 + lane() / 2; }

  /// What is after the last entry changes nothing: zero times -0 is what can be added to any float.
  __device__ __forceinline__ void load(const SplitRun& run, int head, int column, int first, Ahead& ahead) const {
    const std::size_t group = static_cast<std::size_t>(p.heads / p.kv.kv_heads);
    const std::size_t begin = static_cast<std::size_t>(run.first_entry + first) * group + static_cast<std::size_t>(head);
#pragma unroll
    for (int i = 0; i < lane_entries; ++i) {
      const int entry = i * 32 + lane();
      ahead.sums[i] = first + entry < run.entries ? __ldcg(p.workspace.sums + begin + static_cast<std::size_t>(entry) * group)
                                                  : make_float2(-INFINITY, -0.0f);
    }
#pragma unroll
    for (int i = 0; i < loads; ++i) {
      const int entry = entry_of(i);
      const float* const from =
          p.workspace.values + (begin + static_cast<std::size_t>(entry) * group) * HeadDim + column + lane() % 2 * 4;
      ahead.values[i] =
          first + entry < run.entries ? __ldcg(reinterpret_cast<const float4*>(from)) : make_float4(-0.0f, -0.0f, -0.0f, -0.0f);
    }
  }

  /// Multiplies what is there by the factors of its entries; `most` is the largest score before it, and then with it.
  __device__ __forceinline__ void spread(const Ahead& ahead, float factor, float& most) const {
    float new_factors[lane_entries];
#pragma unroll
    for (int i = 0; i < lane_entries; ++i) {
      // A lane an entry: the largest score up to it.
      const float own = ahead.sums[i].x;
      float larger = fmaxf(own, most);
#pragma unroll
      for (int other = 1; other < 32; other *= 2) {
        const float below = __shfl_up_sync(0xFFFFFFFF, larger, other);
        if (lane() >= other) larger = fmaxf(larger, below);
      }
      const float shifted = __shfl_up_sync(0xFFFFFFFF, larger, 1);
      const float before = lane() == 0 ? most : shifted;
      new_factors[i] = own == -INFINITY ? 1.0f : exp2_fast((own - larger) * factor);
      shared.old_factors[i * 32 + lane()] = exp2_fast((before - larger) * factor);
      shared.totals[i * 32 + lane()] = ahead.sums[i].y * new_factors[i];
      most = __shfl_sync(0xFFFFFFFF, larger, 31);
    }
#pragma unroll
    for (int i = 0; i < loads; ++i) {
      const float by = __shfl_sync(0xFFFFFFFF, new_factors[i * 16 / 32], entry_of(i) % 32);
      const float4 four = ahead.values[i];
      *reinterpret_cast<float4*>(&shared.values[entry_of(i)][lane() % 2 * 4]) =
          make_float4(four.x * by, four.y * by, four.z * by, four.w * by);
    }
  }

  __device__ void fold_columns_of(const SplitRun& run, int row, int head, int column) {
    const float factor = p.scale * log2_e;
    const int own = lane() % fold_columns;
    float most = -INFINITY;
    float value = 0;
    float total = 0;
    Ahead ahead;
    load(run, head, column, 0, ahead);
    for (int first = 0; first < run.entries; first += fold_entries) {
      spread(ahead, factor, most);
      __syncwarp();
      if (first + fold_entries < run.entries) load(run, head, column, first + fold_entries, ahead);
      const int here = min(fold_entries, run.entries - first);
      for (int entry = 0; entry < here; entry += 4) {
        const float4 old = *reinterpret_cast<const float4*>(shared.old_factors + entry);
        const float4 totals = *reinterpret_cast<const float4*>(shared.totals + entry);
        const float* const values = shared.values[entry] + own;
        total = fmaf(total, old.x, totals.x);
        value = fmaf(value, old.x, values[0]);
        total = fmaf(total, old.y, totals.y);
        value = fmaf(value, old.y, values[fold_columns]);
        total = fmaf(total, old.z, totals.z);
        value = fmaf(value, old.z, values[2 * fold_columns]);
        total = fmaf(total, old.w, totals.w);
        value = fmaf(value, old.w, values[3 * fold_columns]);
      }
      __syncwarp();
    }
    const int output = (run.kv_head * (p.heads / p.kv.kv_heads) + head) * HeadDim + column + own;
    if (lane() < fold_columns) p.attended.data[p.attended.offset(row, output)] = __float2bfloat16_rn(value * __frcp_rn(total));
  }
};

}  // namespace troupe::kernels::cuda
