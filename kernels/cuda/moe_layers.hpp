// The two ways in which moe.cu computes a layer.
#pragma once

#include "kernels/cuda/moe.hpp"

namespace troupe::kernels::cuda {

/// With up to so many rows, each expert that is chosen multiplies all of them.
inline constexpr int moe_few_rows_max = 8;

/// One kernel. A layer of few rows is a few microseconds of reading, which nothing may interrupt.
cudaError_t moe_few_rows(cudaStream_t stream, const Moe& arguments);
/// A kernel for each part; rows are gathered by expert.
cudaError_t moe_many_rows(cudaStream_t stream, const Moe& arguments);

/// At the head of a batch with all rows at one expert, or each row of few at every choice: the most rows that tiles sorted by
/// expert can take.
constexpr int moe_places(const MoeShape& shape, int rows) {
  const int slots = rows * shape.chosen;
  return divided_up(slots + 7 * (slots < shape.experts ? slots : shape.experts), 8) * 8;
}

/// Rows of an expert that a task multiplies at most: of kernels for few rows an expert, and for many.
inline constexpr int moe_small_task_rows = 32;
inline constexpr int moe_large_task_rows = 192;
constexpr int moe_tasks_max(const MoeShape& shape, int rows) {
  const int slots = rows * shape.chosen;
  return slots / moe_small_task_rows + (slots < shape.experts ? slots : shape.experts);
}

/// Of a layer of few rows: how many parts of each chosen expert's gated rows are complete; how many experts have answered of
/// each 16 outputs; how many blocks have ended.
struct MoeCounters {
  int experts;
  int slices;
  __host__ __device__ constexpr int slice(int index) const { return experts + index; }
  __host__ __device__ constexpr int ended() const { return experts + slices; }
  __host__ __device__ constexpr int count() const { return experts + slices + 1; }
};
__host__ __device__ constexpr MoeCounters moe_counters(const MoeShape& shape) {
  return {moe_few_rows_max * moe_chosen_max, divided_up(shape.hidden, tile_outputs) * (tile_outputs / 16)};
}

}  // namespace troupe::kernels::cuda
