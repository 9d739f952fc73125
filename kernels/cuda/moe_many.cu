// A layer of many rows: a kernel chooses experts, one sorts the slots by expert and gathers their rows, two multiply, and one
// adds up. The products' kernel is that of many rows (many_rows.cuh), but for a list of tasks that only the device knows, and
// with as many columns as a task has rows: experts have some dozens of rows each, and no two the same.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/moe_layers.hpp"
#include "kernels/cuda/moe_rows.cuh"
#include "kernels/cuda/row_staging.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

namespace {

constexpr int tile_bytes = tile_elements * 2;  // one panel of a weight tile
constexpr int row_bytes = panel_inputs * 2;
constexpr int staged_rows = 32;  // that a warp stages together, to write them
constexpr int segment_rows = 8;  // an expert's rows begin at a multiple: swizzled rows come in groups of eight

// Sorting.

constexpr int gatherers = 256;
constexpr int experts_each = moe_experts_max / gatherers;  // a thread's

struct Pair {
  int rows;
  int tasks;
};

/// The sum of the pairs of all threads before this one.
__device__ __forceinline__ Pair sum_before(Pair own, Pair (&warps)[gatherers / 32]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  Pair up_to = own;
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const int rows = __shfl_up_sync(all_lanes, up_to.rows, distance);
    const int tasks = __shfl_up_sync(all_lanes, up_to.tasks, distance);
    if (lane >= distance) up_to = {up_to.rows + rows, up_to.tasks + tasks};
  }
  if (lane == 31) warps[warp] = up_to;
  __syncthreads();
  Pair before{up_to.rows - own.rows, up_to.tasks - own.tasks};
  for (int i = 0; i < warp; ++i) before = {before.rows + warps[i].rows, before.tasks + warps[i].tasks};
  return before;
}

/// Where each expert's rows begin, in `first`, by all threads of a block. One block lists the tasks: as few as there can be of
/// up to task_rows rows, of about the same size, all but the last one of a multiple of the rows that are staged together.
__device__ __forceinline__ void divide_places(const Moe& p, int task_rows, int (&first)[moe_experts_max]) {
  __shared__ Pair warps[gatherers / 32];
  const int from = static_cast<int>(threadIdx.x) * experts_each;
  int rows[experts_each];
  Pair own{0, 0};
#pragma unroll
  for (int i = 0; i < experts_each; ++i) {
    rows[i] = from + i < p.shape.experts ? __ldcg(p.buffers.counts + from + i) : 0;
    own = {own.rows + divided_up(rows[i], segment_rows) * segment_rows, own.tasks + divided_up(rows[i], task_rows)};
  }
  Pair before = sum_before(own, warps);
#pragma unroll
  for (int i = 0; i < experts_each; ++i) {
    const int tasks = divided_up(rows[i], task_rows);
    first[from + i] = before.rows;
    if (blockIdx.x == 0 && tasks > 0) {
      const int each = divided_up(divided_up(rows[i], tasks), staged_rows) * staged_rows;
      for (int task = 0; task < tasks; ++task)
        p.buffers.tasks[before.tasks + task] = {from + i, before.rows + task * each, min(rows[i] - task * each, each)};
    }
    before = {before.rows + divided_up(rows[i], segment_rows) * segment_rows, before.tasks + tasks};
  }
  if (blockIdx.x == 0 && threadIdx.x == gatherers - 1) *p.buffers.task_count = before.tasks;
  __syncthreads();
}

/// Gives each slot its row of the tiles, and copies the slot's row and its scale there. Which of an expert's rows comes first
/// is left to chance: no sum goes over rows. A block a row, again and again.
__global__ void __launch_bounds__(gatherers) gather_rows(const __grid_constant__ Moe p, const int task_rows) {
  __shared__ int first[moe_experts_max];
  __shared__ int places[2][moe_chosen_max];  // of this row, and of the next one
  let_next_begin();
  wait_for_previous();
  divide_places(p, task_rows, first);
  const int thread = static_cast<int>(threadIdx.x);
  int turn = 0;
  for (int row = static_cast<int>(blockIdx.x); row < p.rows; row += static_cast<int>(gridDim.x), turn ^= 1) {
    if (thread < p.shape.chosen) {
      const int slot = row * p.shape.chosen + thread;
      const int expert = __ldcg(p.buffers.expert + slot);
      const int place = first[expert] + atomicAdd(p.buffers.counts + p.shape.experts + expert, 1);
      p.buffers.slot[place] = slot;
      p.buffers.scales[place] = p.row_scales == nullptr ? 1.0f : __ldcg(p.row_scales + row);
      places[turn][thread] = place;
    }
    __syncthreads();
    constexpr int piece = 8;  // elements, 16 bytes
    const int end = p.input.panels() * panel_inputs;
    for (int at = thread * piece; at < end; at += gatherers * piece) {
      const uint4 data = __ldcg(reinterpret_cast<const uint4*>(p.input.data + p.input.offset(row, at)));
      for (int i = 0; i < p.shape.chosen; ++i)
        *reinterpret_cast<uint4*>(p.buffers.gathered.data + p.buffers.gathered.offset(places[turn][i], at)) = data;
    }
  }
}

using Staging = RowStaging<staged_rows>;

// Products: persistent blocks; two warpgroups multiply 64 outputs each by a task's rows, a third one brings panels.

template <int Columns>
struct Grouped {
  static constexpr int stage_bytes = 2 * tile_bytes + Columns * row_bytes;
  static constexpr int staging_bytes = 2 * warpgroup / 32 * static_cast<int>(sizeof(Staging));
  static constexpr int stages = (225 * 1024 - staging_bytes) / stage_bytes;
  static constexpr int shared_bytes = 1024 + stages * stage_bytes + staging_bytes;
  static constexpr int threads = 3 * warpgroup;
};

enum class Half { gate_up, down };

template <Half Which>
__device__ __forceinline__ WeightTiles matrix_of(const Moe& p, int expert) {
  return Which == Half::gate_up ? p.shape.gate_up(p.gate_up, expert) : p.shape.down(p.down, expert);
}
template <Half Which>
__device__ __forceinline__ const RowTiles& input_of(const Moe& p) {
  return Which == Half::gate_up ? p.buffers.gathered : p.buffers.gated;
}

/// The unit-th product of a task and a pair of tiles. Tasks of one expert are neighbours, so they find its weights in the L2
/// cache.
struct Unit {
  MoeTask task;
  int tile;
};
__device__ __forceinline__ Unit unit_of(const Moe& p, int unit, int pairs) {
  const int* const task = &p.buffers.tasks[unit / pairs].expert;
  return {{__ldcg(task), __ldcg(task + 1), __ldcg(task + 2)}, unit % pairs * 2};
}

template <int Columns>
struct GroupedRing {
  using Shape = Grouped<Columns>;
  std::byte* memory;
  Barrier (&full)[Shape::stages];
  Barrier (&empty)[Shape::stages];
  __device__ __forceinline__ std::byte* stage(int step) const { return memory + step % Shape::stages * Shape::stage_bytes; }
};

template <int Columns, Half Which>
__device__ __forceinline__ void bring_panels(const Moe& p, const GroupedRing<Columns>& ring, int units, int pairs) {
  using Shape = Grouped<Columns>;
  const RowTiles& rows = input_of<Which>(p);
  const int blocks = static_cast<int>(gridDim.x);
  int step = 0;
  int turn = static_cast<int>(blockIdx.x);
  if (turn >= units) return;
  Unit next = unit_of(p, turn, pairs);
  for (; turn < units; turn += blocks) {
    const auto [task, tile] = next;
    next = unit_of(p, min(turn + blocks, units - 1), pairs);  // on its way meanwhile
    const WeightTiles matrix = matrix_of<Which>(p, task.expert);
    const int panels = matrix.panels();
    const int second = min(tile + 1, matrix.tiles() - 1);
    const auto copied_bytes = static_cast<std::uint32_t>(divided_up(task.rows, segment_rows) * segment_rows * row_bytes);
    for (int panel = 0; panel < panels; ++panel, ++step) {
      const int slot = step % Shape::stages;
      std::byte* const stage = ring.stage(step);
      if (step >= Shape::stages) ring.empty[slot].wait((step / Shape::stages - 1) & 1);
      ring.full[slot].arrive_expecting(2 * tile_bytes + copied_bytes);
      const auto weights = [&](int of) {
        return matrix.data +
               (static_cast<std::size_t>(of) * static_cast<std::size_t>(panels) + static_cast<std::size_t>(panel)) *
                   tile_elements;
      };
      copy_bulk(stage, weights(tile), tile_bytes, ring.full[slot]);
      copy_bulk(stage + tile_bytes, weights(second), tile_bytes, ring.full[slot]);
      copy_bulk(stage + 2 * tile_bytes,
                rows.data + (static_cast<std::size_t>(panel) * static_cast<std::size_t>(rows.capacity) +
                             static_cast<std::size_t>(task.first)) *
                                panel_inputs,
                copied_bytes, ring.full[slot]);
    }
  }
}

/// For each group of rows that are staged together, of the first `rows`: calls begin(first row) and then end(row, i, sums) for
/// each i-th row that the lane takes up, also for rows that are not there, so that `end` may exchange numbers between lanes.
template <int N, class Begin, class End>
__device__ __forceinline__ void for_staged_rows(const float (&sums)[N / 2], Staging& staging, int rows, const Begin& begin,
                                                const End& end) {
#pragma unroll 1
  for (int first = 0; first < rows; first += staged_rows) {
    begin(first);
    __syncwarp();  // all have taken up the last group
    stage_group<N>(sums, first / staged_rows, staging);
    __syncwarp();
#pragma unroll
    for (int i = 0; i < staged_rows / 8; ++i) end(first + staged_first_row() + i * 8, i, staged_sums(staging, i));
  }
}

/// A number that each row of a task has by itself, for the 32 rows that a warp stages together: a lane has one, and the next
/// rows' are on their way meanwhile. Read one by one where they are needed, each would cost the way to the L2 cache.
template <class Number>
class RowNumbers {
 public:
  __device__ __forceinline__ RowNumbers(const Number* numbers, int rows) : numbers_(numbers), rows_(rows), next_(load(0)) {}
  __device__ __forceinline__ void begin(int first) {
    now_ = next_;
    next_ = load(first + staged_rows);
  }
  /// Of the i-th row that the lane takes up; all lanes of the warp call it.
  __device__ __forceinline__ Number of(int i) const { return __shfl_sync(all_lanes, now_, staged_first_row() + i * 8); }
  __device__ __forceinline__ const Number* all() const { return numbers_; }

 private:
  __device__ __forceinline__ Number load(int first) const {
    const int row = first + static_cast<int>(threadIdx.x) % 32;
    return row < rows_ ? __ldcg(numbers_ + row) : Number{};
  }
  const Number* numbers_;
  int rows_;
  Number next_;
  Number now_{};
};

/// What a task's rows have: their scales, or which slots they are of.
template <Half Which>
__device__ __forceinline__ auto numbers_of(const Moe& p, const MoeTask& task) {
  if constexpr (Which == Half::gate_up) {
    return RowNumbers<float>(p.buffers.scales + task.first, task.rows);
  } else {
    return RowNumbers<std::int32_t>(p.buffers.slot + task.first, task.rows);
  }
}

// Few rows are written as their sums lie, more of them through the warp's staging.

template <int N>
__device__ __forceinline__ void end_tile(const Moe& p, const MoeTask& task, int tile, const float (&sums)[N / 2],
                                         Staging& staging, RowNumbers<float>& scales) {
  const RowTiles& gated = p.buffers.gated;
  const int first_output = tile * tile_outputs / 2;
  if constexpr (N < staged_rows) {
    write_gated<N>(sums, gated, task.first, first_output, task.rows, scales.all());
  } else {
    const int place = first_output + staged_output() / 16 * 8 + staged_output() % 8;
    for_staged_rows<N>(
        sums, staging, task.rows, [&](int first) { scales.begin(first); },
        [&](int row, int i, const RowSums& of) {
          const float scale = scales.of(i);
          if (row >= task.rows) return;
          __nv_bfloat162 pair;
          pair.x = __float2bfloat16_rn(silu(of.upper.x * scale) * (of.lower.x * scale));
          pair.y = __float2bfloat16_rn(silu(of.upper.y * scale) * (of.lower.y * scale));
          *reinterpret_cast<__nv_bfloat162*>(gated.data + gated.offset(task.first + row, place)) = pair;
        });
  }
}
template <int N>
__device__ __forceinline__ void end_tile(const Moe& p, const MoeTask& task, int tile, const float (&sums)[N / 2],
                                         Staging& staging, RowNumbers<std::int32_t>& slots) {
  const auto hidden = static_cast<std::size_t>(p.shape.hidden);
  if constexpr (N < staged_rows) {
    for_each_pair<N>(sums, [&](int row, int output, float upper, float lower) {
      const int dim = tile * tile_outputs + output;
      if (row >= task.rows || dim >= p.shape.hidden) return;  // the 16 outputs of a warp are all there, or none
      float* const place = p.buffers.outputs + static_cast<std::size_t>(__ldcg(slots.all() + row)) * hidden + dim;
      place[0] = upper;
      place[8] = lower;
    });
  } else {
    const int dim = tile * tile_outputs + staged_output();
    for_staged_rows<N>(
        sums, staging, task.rows, [&](int first) { slots.begin(first); },
        [&](int row, int i, const RowSums& of) {
          const int slot = slots.of(i);
          if (row >= task.rows || dim >= p.shape.hidden) return;
          float* const place = p.buffers.outputs + static_cast<std::size_t>(slot) * hidden + dim;
          *reinterpret_cast<float2*>(place) = of.upper;
          *reinterpret_cast<float2*>(place + 8) = of.lower;
        });
  }
}

/// Zeroes that the compiler takes for a beginning: what it believes to be undefined it keeps from one unit to the next.
template <int Count>
__device__ __forceinline__ void set_zero(float (&numbers)[Count]) {
#pragma unroll
  for (float& number : numbers) asm volatile("mov.f32 %0, 0f00000000;" : "=f"(number));
}

/// A warpgroup's part of a unit, in tiles of N columns. Stages before `step` have been read.
template <int N, int Columns, Half Which>
__device__ __forceinline__ void multiply_unit(const Moe& p, const GroupedRing<Columns>& ring, const Unit& unit, int side,
                                              Staging& staging, int& step) {
  using Shape = Grouped<Columns>;
  const WeightTiles matrix = matrix_of<Which>(p, unit.task.expert);
  const int panels = matrix.panels();
  const int chunks = k_chunks(matrix);
  const bool leads = threadIdx.x % 32 == 0;  // each warp says when it has read a stage
  auto numbers = numbers_of<Which>(p, unit.task);
  float total[N / 2];
  float sums[N / 2];
  set_zero(total);
  int panel = 0;
  for (int chunk = 0; chunk < chunks; ++chunk) {
    const int end = panels_of_chunk(panels, chunk, chunks).end;
    set_zero(sums);
    wgmma_fence();
    for (int first = panel; panel < end; ++panel, ++step) {
      ring.full[step % Shape::stages].wait((step / Shape::stages) & 1);
      const std::byte* const stage = ring.stage(step);
      const std::uint64_t a = tile_descriptor(stage + side * tile_bytes);
      const std::uint64_t b = tile_descriptor(stage + 2 * tile_bytes);
      wgmma_fence();
#pragma unroll
      for (int i = 0; i < panel_inputs / 16; ++i) Wgmma<N>::step(sums, a + i * descriptor_step, b + i * descriptor_step, true);
      wgmma_commit();
      wgmma_wait<1>();
      if (panel > first && leads) ring.empty[(step - 1) % Shape::stages].arrive();
    }
    wgmma_wait<0>();
    if (leads) ring.empty[(step - 1) % Shape::stages].arrive();
#pragma unroll
    for (int i = 0; i < N / 2; ++i) total[i] = chunk == 0 ? sums[i] : total[i] + sums[i];
  }
  const int tile = unit.tile + side;
  if (tile >= matrix.tiles()) return;
  end_tile<N>(p, unit.task, tile, total, staging, numbers);
}

template <int Columns, Half Which>
__global__ void __launch_bounds__(Grouped<Columns>::threads, 1) multiply_experts(const __grid_constant__ Moe p) {
  using Shape = Grouped<Columns>;
  extern __shared__ std::byte unaligned[];
  __shared__ Barrier full[Shape::stages];
  __shared__ Barrier empty[Shape::stages];
  const GroupedRing<Columns> ring{unaligned + (1024 - shared_address(unaligned) % 1024) % 1024, full, empty};
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Shape::stages; ++stage) {
      full[stage].init(1);
      empty[stage].init(2 * warpgroup / 32);
    }
    fence_barrier_init();
  }
  __syncthreads();
  let_next_begin();
  wait_for_previous();
  const int pairs = divided_up(matrix_of<Which>(p, 0).tiles(), 2);
  const int units = __ldcg(p.buffers.task_count) * pairs;
  if (threadIdx.x < warpgroup) {
    give_registers<40>();
    if (threadIdx.x < 32 && is_elected()) bring_panels<Columns, Which>(p, ring, units, pairs);
    return;
  }
  take_registers<232>();
  // From another lane, so that the compiler sees that all lanes of a warp have the same.
  const int side = __shfl_sync(all_lanes, static_cast<int>(threadIdx.x) / warpgroup, 0) - 1;
  auto* const stagings = reinterpret_cast<Staging*>(ring.memory + Shape::stages * Shape::stage_bytes);
  Staging& staging = stagings[threadIdx.x / 32 - warpgroup / 32];
  int step = 0;  // of the ring, over all units
  const int blocks = static_cast<int>(gridDim.x);
  int turn = static_cast<int>(blockIdx.x);
  if (turn >= units) return;
  Unit next = unit_of(p, turn, pairs);
  for (; turn < units; turn += blocks) {
    const Unit unit = next;
    next = unit_of(p, min(turn + blocks, units - 1), pairs);
    if (unit.task.rows <= 8) {
      multiply_unit<8, Columns, Which>(p, ring, unit, side, staging, step);
    } else if (unit.task.rows <= 16) {
      multiply_unit<16, Columns, Which>(p, ring, unit, side, staging, step);
    } else if (unit.task.rows <= 32) {
      multiply_unit<32, Columns, Which>(p, ring, unit, side, staging, step);
    } else if constexpr (Columns > 32) {
      if (unit.task.rows <= 64) {
        multiply_unit<64, Columns, Which>(p, ring, unit, side, staging, step);
      } else if (unit.task.rows <= 96) {
        multiply_unit<96, Columns, Which>(p, ring, unit, side, staging, step);
      } else if (unit.task.rows <= 128) {
        multiply_unit<128, Columns, Which>(p, ring, unit, side, staging, step);
      } else {
        multiply_unit<160, Columns, Which>(p, ring, unit, side, staging, step);
      }
    }
    __syncwarp();
  }
}

/// Adds what the experts answer to the residual rows, and zeroes the counts for the next layer. A thread four outputs: the
/// squares of 16 outputs, of which four lanes have four each, are added in the order of ResidualRows.
constexpr int combiners = 256;
constexpr int combined_each = 4;
__global__ void __launch_bounds__(combiners) combine(const __grid_constant__ Moe p) {
  let_next_begin();
  wait_for_previous();
  if (blockIdx.x == 0) {
    for (int i = static_cast<int>(threadIdx.x); i < 2 * p.shape.experts; i += combiners) p.buffers.counts[i] = 0;
  }
  const ResidualRows& target = p.residual;
  const int row_threads = target.hidden / combined_each;
  const int thread = static_cast<int>(blockIdx.x) * combiners + static_cast<int>(threadIdx.x);
  const int row = thread / row_threads;
  const int dim = thread % row_threads * combined_each;
  const bool there = row < p.rows;
  float x[combined_each] = {};
  if (there) {
    const auto hidden = static_cast<std::size_t>(target.hidden);
    const int first_slot = row * p.shape.chosen;
    const float* const weights = p.buffers.weight + first_slot;
    const float* const outputs = p.buffers.outputs + static_cast<std::size_t>(first_slot) * hidden + dim;
    auto* const place = reinterpret_cast<float4*>(target.x + static_cast<std::size_t>(row) * hidden + dim);
    const float4 old = __ldcg(place);
    float sums[combined_each];
#pragma unroll 8
    for (int i = 0; i < p.shape.chosen; ++i) {
      const float weight = __ldcg(weights + i);
      const float4 answer = __ldcs(reinterpret_cast<const float4*>(outputs + static_cast<std::size_t>(i) * hidden));
      const float answers[combined_each] = {answer.x, answer.y, answer.z, answer.w};
#pragma unroll
      for (int j = 0; j < combined_each; ++j)  // the product is not to be fused with a sum that follows
        sums[j] = i == 0 ? __fmul_rn(weight, answers[j]) : fmaf(weight, answers[j], sums[j]);
    }
    const float olds[combined_each] = {old.x, old.y, old.z, old.w};
    const float4 next = *reinterpret_cast<const float4*>(target.weights + dim);
    const float nexts[combined_each] = {next.x, next.y, next.z, next.w};
    __align__(8) bf16 normed[combined_each];
#pragma unroll
    for (int j = 0; j < combined_each; ++j) {
      x[j] = olds[j] + sums[j];
      normed[j] = __float2bfloat16_rn(x[j] * nexts[j]);
    }
    *place = {x[0], x[1], x[2], x[3]};
    *reinterpret_cast<uint2*>(target.normed.data + target.normed.offset(row, dim)) = *reinterpret_cast<const uint2*>(normed);
  }
  float squares[combined_each];
#pragma unroll
  for (int j = 0; j < combined_each; ++j) {
    const float further = __shfl_xor_sync(all_lanes, x[j], 2);  // eight outputs further, for the first two of four lanes
    squares[j] = fmaf(further, further, x[j] * x[j]);
  }
  float square = (squares[0] + squares[1]) + (squares[2] + squares[3]);
  square += __shfl_xor_sync(all_lanes, square, 1);
  if (there && threadIdx.x % 4 == 0)
    target.squares[static_cast<std::size_t>(dim / 16) * static_cast<std::size_t>(target.normed.capacity) + row] = square;
}

template <int Columns>
cudaError_t multiply_both(cudaStream_t stream, const Moe& p) {
  using Shape = Grouped<Columns>;
  const LaunchShape shape{dim3(static_cast<unsigned>(processors())), Shape::threads, Shape::shared_bytes, 1};
  const cudaError_t begun = launch(stream, shape, multiply_experts<Columns, Half::gate_up>, p);
  return begun != cudaSuccess ? begun : launch(stream, shape, multiply_experts<Columns, Half::down>, p);
}

}  // namespace

cudaError_t moe_many_rows(cudaStream_t stream, const Moe& p) {
  const int slots = p.rows * p.shape.chosen;
  // Twice the rows that an expert has on average shall still be one task.
  const bool small = 2 * slots <= p.shape.experts * moe_small_task_rows;
  constexpr int blocks_each = 6;  // of a processor's, that gather at the same time
  const LaunchShape each_row{dim3(static_cast<unsigned>(std::min(p.rows, processors() * blocks_each))), gatherers};
  const auto additions = static_cast<std::int64_t>(p.rows) * (p.shape.hidden / combined_each);
  const LaunchShape each_addition{dim3(static_cast<unsigned>((additions + combiners - 1) / combiners)), combiners};
  cudaError_t status = moe_route(stream, {p.logits, p.buffers.expert, p.buffers.weight, p.rows, p.shape.experts, p.shape.chosen,
                                          p.shape.normalize, p.buffers.counts});
  const auto then = [&](auto&& begin) {
    if (status == cudaSuccess) status = begin();
  };
  then([&] { return launch(stream, each_row, gather_rows, p, small ? moe_small_task_rows : moe_large_task_rows); });
  then([&] { return small ? multiply_both<moe_small_task_rows>(stream, p) : multiply_both<moe_large_task_rows>(stream, p); });
  then([&] { return launch(stream, each_addition, combine, p); });
  return status;
}

}  // namespace troupe::kernels::cuda
