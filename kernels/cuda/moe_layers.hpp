// The two ways in which moe.cu computes a layer.
#pragma once

#include "kernels/cuda/moe.hpp"

namespace troupe::kernels::cuda {

/// With up to so many rows, each expert that is chosen multiplies all of them.
inline constexpr int moe_few_rows_max = 8;
/// Experts that have their rows side by side then, at multiples of so many rows.
inline constexpr int moe_few_group_experts = 4;
inline constexpr int moe_few_groups_max = moe_few_rows_max * moe_chosen_max / moe_few_group_experts;
__host__ __device__ constexpr int moe_few_group_rows(int rows) { return divided_up(moe_few_group_experts * rows, 8) * 8; }

/// One kernel. A layer of few rows is a few microseconds of reading, which nothing may interrupt.
cudaError_t moe_few_rows(cudaStream_t stream, const Moe& arguments);
/// Whether it can do so many rows of so many inputs.
bool moe_few_rows_fits(const MoeShape& shape, int rows);
/// A kernel for each part; rows are gathered by expert.
cudaError_t moe_many_rows(cudaStream_t stream, const Moe& arguments);

/// The most rows that tiles sorted by expert can take: each expert's at a multiple of 8, or each group's of few rows.
constexpr int moe_places(const MoeShape& shape, int rows) {
  const int slots = rows * shape.chosen;
  const int few = rows < moe_few_rows_max ? rows : moe_few_rows_max;
  const int few_experts = few * shape.chosen < shape.experts ? few * shape.chosen : shape.experts;
  const int by_group = divided_up(few_experts, moe_few_group_experts) * moe_few_group_rows(few);
  const int by_expert = divided_up(slots + 7 * (slots < shape.experts ? slots : shape.experts), 8) * 8;
  return by_expert > by_group ? by_expert : by_group;
}

/// Rows of an expert that a task multiplies at most: of kernels for few rows an expert, and for many.
inline constexpr int moe_small_task_rows = 32;
inline constexpr int moe_large_task_rows = 160;
constexpr int moe_tasks_max(const MoeShape& shape, int rows) {
  const int slots = rows * shape.chosen;
  return slots / moe_small_task_rows + (slots < shape.experts ? slots : shape.experts);
}

/// Of a layer of few rows: how many slices of each group's gated rows are complete, and how many blocks have ended.
inline constexpr int moe_counters = moe_few_groups_max + 1;

}  // namespace troupe::kernels::cuda
