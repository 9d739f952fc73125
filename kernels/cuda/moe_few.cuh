// What the warps of a layer of few rows (moe_few.cu) share: which experts were chosen, what is cut into which parts, the ring
// of weights, and where sums are handed over.
#pragma once

#include <cstdint>

#include "kernels/cuda/exchange.cuh"
#include "kernels/cuda/moe_layers.hpp"
#include "kernels/cuda/moe_rows.cuh"

namespace troupe::kernels::cuda::few_rows {

inline constexpr int columns = moe_few_rows_max;
inline constexpr int row_bytes = panel_inputs * 2;
inline constexpr int slice_outputs = 16;
inline constexpr int group_experts = moe_few_group_experts;
inline constexpr int group_columns = group_experts * columns;
inline constexpr int stage_panels = 2;
inline constexpr int stage_weight_bytes = stage_panels * tile_elements * 2;
inline constexpr int stages_min = 4;  ///< to have the memory busy
inline constexpr int stages_max = 12;

/// Which experts were chosen. Those that were, in ascending id, are what a layer's parts count by: their `index`.
struct Chosen {
  static constexpr int experts_max = columns * moe_chosen_max;

  std::int32_t count;
  std::int32_t experts[experts_max];
  std::uint32_t rows[experts_max];               ///< whose it is: a bit for each row
  std::int8_t choice[experts_max][columns];      ///< which of a row's choices it is, of its rows
  float weight[columns][moe_chosen_max];         ///< by row and choice
  float scale[columns];                          ///< of a row's inputs
  std::int32_t expert[columns][moe_chosen_max];  ///< by row and choice
  std::uint32_t words[moe_experts_max / 32];     ///< a bit for each expert

  __device__ __forceinline__ bool is_of(int index, int row) const { return rows[index] >> row & 1; }
  /// How many of an expert's rows come before a row.
  __device__ __forceinline__ int rank(int index, int row) const { return __popc(rows[index] & ((1U << row) - 1)); }
  /// Experts that are multiplied together have their rows side by side: how many those before this one have, and all.
  __device__ __forceinline__ int column(int index) const { return rows_of(index / group_experts * group_experts, index); }
  __device__ __forceinline__ int columns_of(int group) const {
    return rows_of(group * group_experts, (group + 1) * group_experts);
  }
  __device__ void clear() {
    for (int i = static_cast<int>(threadIdx.x); i < experts_max; i += static_cast<int>(blockDim.x)) rows[i] = 0;
    for (int i = static_cast<int>(threadIdx.x); i < moe_experts_max / 32; i += static_cast<int>(blockDim.x)) words[i] = 0;
  }

 private:
  __device__ __forceinline__ int rows_of(int first, int end) const {
    int sum = 0;
    for (int i = first; i < end; ++i) sum += __popc(rows[i]);
    return sum;
  }
};

/// By all threads of the block: a warp a row, then a thread a choice. The block knows afterwards.
template <int Each>
__device__ __forceinline__ void choose(const Moe& p, Chosen& chosen) {
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const MoeShape& shape = p.shape;
  if (thread / 32 < p.rows) {
    const int row = thread / 32;
    const float scale = p.row_scales == nullptr ? 1.0f : __ldcg(p.row_scales + row);
    const Choice choice = route_row<Each>(p.logits + row * shape.experts, shape.experts, shape.chosen, shape.normalize);
    if (lane == 0) chosen.scale[row] = scale;
    if (lane < shape.chosen) {
      chosen.expert[row][choice.place] = choice.expert;
      chosen.weight[row][choice.place] = choice.weight;
      atomicOr(&chosen.words[choice.expert / 32], 1U << (choice.expert % 32));
    }
  }
  __syncthreads();
  const int row = thread / shape.chosen;
  if (row < p.rows) {
    const int place = thread % shape.chosen;
    const int expert = chosen.expert[row][place];
    int index = __popc(chosen.words[expert / 32] & ((1U << (expert % 32)) - 1));
    for (int word = 0; word < expert / 32; ++word) index += __popc(chosen.words[word]);
    chosen.experts[index] = expert;
    chosen.choice[index][row] = static_cast<std::int8_t>(place);
    atomicOr(&chosen.rows[index], 1U << row);
    if (blockIdx.x == 0) {
      p.buffers.expert[thread] = expert;
      p.buffers.weight[thread] = chosen.weight[row][place];
    }
  }
  if (thread == static_cast<int>(blockDim.x) - 1) {
    int count = 0;
    for (int word = 0; word < divided_up(shape.experts, 32); ++word) count += __popc(chosen.words[word]);
    chosen.count = count;
  }
  __syncthreads();
}

/// What is cut into what, and how shared memory is. Gates and ups of an expert are cut into parts, of which one has the outputs
/// that make 64 rows of weights with all chunks of them; `down` into slices.
struct Plan {
  MoeShape shape;
  std::int32_t rows;
  std::int32_t gate_up_chunks;
  std::int32_t down_chunks;

  __host__ __device__ int expert_parts() const { return shape.gate_up(nullptr, 0).tiles() * gate_up_chunks; }
  __host__ __device__ int expert_slices() const {
    return shape.gate_up(nullptr, 0).tiles() * tile_slices;
  }  ///< of gates and ups
  __host__ __device__ Panels gate_up_panels(int chunk) const {
    return panels_of_chunk(panels_of(shape.hidden), chunk, gate_up_chunks);
  }
  /// Panels of the longest chunk, the last one. The other one is multiplied as if it had as many.
  __host__ __device__ int gate_up_length() const {
    const Panels last = gate_up_panels(gate_up_chunks - 1);
    return last.end - last.first;
  }
  __host__ __device__ Panels down_panels(int chunk) const {
    return panels_of_chunk(panels_of(shape.intermediate), chunk, down_chunks);
  }
  __host__ __device__ int group_rows() const { return moe_few_group_rows(rows); }

  // Bytes of shared memory: first the rows that gates and ups are multiplied by, then the ring. A stage has the rows that
  // `down` is multiplied by before the weights: the tensor cores read more columns than there are.
  __host__ __device__ int input_bytes() const { return gate_up_chunks * gate_up_length() * columns * row_bytes; }
  __host__ __device__ int stage_row_bytes() const { return stage_panels * group_rows() * row_bytes; }
  __host__ __device__ int stage_bytes() const { return stage_row_bytes() + stage_weight_bytes; }
  __host__ __device__ int stages() const {
    constexpr int memory = 216 * 1024;  // what the rest leaves
    const int fit = (memory - input_bytes()) / stage_bytes();
    return fit < stages_max ? fit : stages_max;
  }
  __host__ __device__ int shared_bytes() const { return 1024 + input_bytes() + stages() * stage_bytes(); }
};
__host__ __device__ inline Plan plan_of(const MoeShape& shape, int rows) {
  return {shape, rows, k_chunks(shape.gate_up(nullptr, 0)), k_chunks(shape.down(nullptr, 0))};
}

/// Where one of the ring's users is, and which parity the phases of its barriers have.
struct StagePlace {
  int slot = 0;
  std::uint32_t parity = 0;
};

/// The ring. Two warps fill a stage, with weights and rows; the warpgroup that computes empties it.
struct Stages {
  struct Barriers {
    Barrier full[stages_max];
    Barrier empty[stages_max];

    __device__ void init() {
      for (Barrier& barrier : full) barrier.init(2);
      for (Barrier& barrier : empty) barrier.init(warpgroup / 32);
    }
  };

  std::byte* memory;
  Barriers& barriers;
  std::int32_t count;
  std::int32_t bytes;  ///< of a stage
  std::int32_t row_bytes;

  __device__ __forceinline__ std::byte* rows(const StagePlace& at) const { return memory + at.slot * bytes; }
  __device__ __forceinline__ std::byte* weights(const StagePlace& at) const { return rows(at) + row_bytes; }
  __device__ __forceinline__ void advance(StagePlace& at) const {
    if (++at.slot < count) return;
    at.slot = 0;
    at.parity ^= 1;
  }
  /// Waits until a stage may be filled (again), and gives the barrier that counts what comes.
  __device__ __forceinline__ Barrier& claim(const StagePlace& at) const {
    barriers.empty[at.slot].wait(at.parity ^ 1);  // at once, in the first round
    return barriers.full[at.slot];
  }
  __device__ __forceinline__ void wait_until_full(const StagePlace& at) const { barriers.full[at.slot].wait(at.parity); }
  /// By each warp that has read a stage.
  __device__ __forceinline__ void release(int slot) const {
    if (threadIdx.x % 32 == 0) barriers.empty[slot].arrive();
  }
};

/// Where the warpgroup that computes leaves a part's sums for the one that ends it: 16 outputs of up to eight rows by each
/// warp. There are two places, used in turn: who computes goes on with the next part meanwhile.
struct Handover {
  static constexpr int pitch = 20;  ///< has a warp's accesses meet every bank once
  using WarpSums = float[columns][pitch];
  using Sums = WarpSums[warpgroup / 32];

  Sums sums[2];
  Barrier handed[2];
  Barrier taken[2];

  __device__ void init() {
    for (Barrier& barrier : handed) barrier.init(warpgroup / 32);
    for (Barrier& barrier : taken) barrier.init(warpgroup / 32);
  }
  static __device__ __forceinline__ std::uint32_t parity(int part) { return static_cast<std::uint32_t>(part / 2) & 1; }

  /// Where this warp leaves its sums of the part-th part, and that it has left them.
  __device__ __forceinline__ WarpSums& claim(int part) {
    taken[part % 2].wait(parity(part) ^ 1);  // at once, for the first two
    return sums[part % 2][threadIdx.x % warpgroup / 32];
  }
  __device__ __forceinline__ void hand(int part) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) handed[part % 2].arrive();
  }
  /// All warps' sums of the part-th part, and that this warp has read them.
  __device__ __forceinline__ const Sums& receive(int part) {
    handed[part % 2].wait(parity(part));
    return sums[part % 2];
  }
  __device__ __forceinline__ void take(int part) {
    __syncwarp();
    if (threadIdx.x % 32 == 0) taken[part % 2].arrive();
  }
};

}  // namespace troupe::kernels::cuda::few_rows
