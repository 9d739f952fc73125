// A layer of many rows: a kernel chooses experts, one sorts the slots by expert, one gathers their rows, two multiply, and one
// adds up. The products' kernel is that of many rows in matmul.cu, but for a list of tasks that only the device knows, and
// with as many columns as a task has rows: experts have some dozens of rows each, and no two the same.
#include <algorithm>
#include <cstdint>

#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/moe_layers.hpp"
#include "kernels/cuda/moe_rows.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

namespace {

constexpr int tile_bytes = tile_elements * 2;  // one panel of a weight tile
constexpr int row_bytes = panel_inputs * 2;
constexpr int segment_rows = 8;  // an expert's rows begin at a multiple: swizzled rows come in groups of eight

// Sorting.

constexpr int sorters = moe_experts_max;  // a thread an expert

struct Pair {
  int rows;
  int tasks;
};

/// The sum of the pairs of all threads before this one.
__device__ __forceinline__ Pair sum_before(Pair own, Pair (&warps)[sorters / 32]) {
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

/// Gives each slot its row of the tiles, and lists the tasks. Which of an expert's rows comes first is left to chance: no sum
/// goes over rows.
__global__ void __launch_bounds__(sorters) sort_slots(const Moe p, const int task_rows) {
  __shared__ int count[moe_experts_max];
  __shared__ Pair warps[sorters / 32];
  let_next_begin();
  const int thread = static_cast<int>(threadIdx.x);
  const int slots = p.rows * p.shape.chosen;
  count[thread] = 0;
  __syncthreads();
  wait_for_previous();
  for (int slot = thread; slot < slots; slot += sorters) atomicAdd(&count[__ldcg(p.buffers.expert + slot)], 1);
  __syncthreads();
  const int rows = count[thread];
  const Pair own{divided_up(rows, segment_rows) * segment_rows, divided_up(rows, task_rows)};
  const Pair before = sum_before(own, warps);
  for (int i = 0; i < own.tasks; ++i)
    p.buffers.tasks[before.tasks + i] = {thread, before.rows + i * task_rows, min(rows - i * task_rows, task_rows)};
  if (thread == sorters - 1) *p.buffers.task_count = before.tasks + own.tasks;
  count[thread] = before.rows;
  __syncthreads();
  for (int slot = thread; slot < slots; slot += sorters) {
    const int place = atomicAdd(&count[__ldcg(p.buffers.expert + slot)], 1);
    p.buffers.place[slot] = place;
    p.buffers.slot[place] = slot;
  }
}

/// Copies the row of a slot, and its scale, to where its expert has it. A warp a slot.
__global__ void __launch_bounds__(warpgroup) gather_slots(const Moe p) {
  let_next_begin();
  wait_for_previous();
  const int slot = static_cast<int>(blockIdx.x) * (warpgroup / 32) + static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (slot >= p.rows * p.shape.chosen) return;
  const int row = slot / p.shape.chosen;
  const int place = __ldcg(p.buffers.place + slot);
  constexpr int piece = 8;  // elements, 16 bytes
  constexpr int ahead = 4;
  const int pieces = p.input.panels() * (panel_inputs / piece);  // a multiple of 16
  for (int first = lane; first < pieces; first += 32 * ahead) {
    uint4 data[ahead];
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      const int at = first + 32 * i;
      if (at < pieces) data[i] = __ldcg(reinterpret_cast<const uint4*>(p.input.data + p.input.offset(row, at * piece)));
    }
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      const int at = first + 32 * i;
      if (at < pieces)
        *reinterpret_cast<uint4*>(p.buffers.gathered.data + p.buffers.gathered.offset(place, at * piece)) = data[i];
    }
  }
  if (lane == 0) p.buffers.scales[place] = p.row_scales == nullptr ? 1.0f : __ldcg(p.row_scales + row);
}

// Products: persistent blocks; two warpgroups multiply 64 outputs each by a task's rows, a third one brings panels.

template <int Columns>
struct Grouped {
  static constexpr int stage_bytes = 2 * tile_bytes + Columns * row_bytes;
  static constexpr int stages = 216 * 1024 / stage_bytes;
  static constexpr int shared_bytes = stages * stage_bytes + 1024;
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
  int step = 0;
  for (int unit = static_cast<int>(blockIdx.x); unit < units; unit += static_cast<int>(gridDim.x)) {
    const auto [task, tile] = unit_of(p, unit, pairs);
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

/// Writes the experts' answers to the slots whose rows these are.
template <int N>
__device__ __forceinline__ void write_answers(const Moe& p, const MoeTask& task, int tile, const float (&sums)[N / 2]) {
  for_each_pair<N>(sums, [&](int row, int output, float upper, float lower) {
    const int dim = tile * tile_outputs + output;
    if (row >= task.rows || dim >= p.shape.hidden) return;  // the 16 outputs of a warp are all there, or none
    const int slot = __ldcg(p.buffers.slot + task.first + row);
    float* const place = p.buffers.outputs + static_cast<std::size_t>(slot) * static_cast<std::size_t>(p.shape.hidden) + dim;
    place[0] = upper;
    place[8] = lower;
  });
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
                                              int& step) {
  using Shape = Grouped<Columns>;
  const WeightTiles matrix = matrix_of<Which>(p, unit.task.expert);
  const int panels = matrix.panels();
  const int chunks = k_chunks(matrix);
  const bool leads = threadIdx.x % 32 == 0;  // each warp says when it has read a stage
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
  if constexpr (Which == Half::gate_up) {
    write_gated<N>(total, p.buffers.gated, unit.task.first, tile * tile_outputs / 2, unit.task.rows,
                   p.buffers.scales + unit.task.first);
  } else {
    write_answers<N>(p, unit.task, tile, total);
  }
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
    if (threadIdx.x == 0) bring_panels<Columns, Which>(p, ring, units, pairs);
    return;
  }
  take_registers<232>();
  const int side = static_cast<int>(threadIdx.x) / warpgroup - 1;
  int step = 0;  // of the ring, over all units
  for (int turn = static_cast<int>(blockIdx.x); turn < units; turn += static_cast<int>(gridDim.x)) {
    const Unit unit = unit_of(p, turn, pairs);
    if (unit.task.rows <= 8) {
      multiply_unit<8, Columns, Which>(p, ring, unit, side, step);
    } else if (unit.task.rows <= 16) {
      multiply_unit<16, Columns, Which>(p, ring, unit, side, step);
    } else if (unit.task.rows <= 32) {
      multiply_unit<32, Columns, Which>(p, ring, unit, side, step);
    } else if constexpr (Columns > 32) {
      if (unit.task.rows <= 64) {
        multiply_unit<64, Columns, Which>(p, ring, unit, side, step);
      } else if (unit.task.rows <= 96) {
        multiply_unit<96, Columns, Which>(p, ring, unit, side, step);
      } else if (unit.task.rows <= 128) {
        multiply_unit<128, Columns, Which>(p, ring, unit, side, step);
      } else {
        multiply_unit<192, Columns, Which>(p, ring, unit, side, step);
      }
    }
    __syncwarp();
  }
}

/// A warp 16 outputs of eight rows.
__global__ void __launch_bounds__(warpgroup) combine(const Moe p) {
  let_next_begin();
  wait_for_previous();
  const int first_row = static_cast<int>(blockIdx.y) * 8;
  const auto first_slot = static_cast<std::size_t>(first_row) * static_cast<std::size_t>(p.shape.chosen);
  const Answers answers{p.buffers.outputs + first_slot * static_cast<std::size_t>(p.shape.hidden),
                        p.buffers.weight + first_slot, p.shape.chosen, p.shape.chosen};
  combine_slice(answers, p.residual, first_row, static_cast<int>(blockIdx.x), p.rows - first_row);
}

int processors() {
  static const int count = [] {
    int device = 0;
    int value = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, device);
    return value;
  }();
  return count;
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
  const LaunchShape each_slot{dim3(static_cast<unsigned>(divided_up(slots, warpgroup / 32))), warpgroup};
  const LaunchShape each_slice{
      dim3(static_cast<unsigned>(divided_up(p.shape.hidden, tile_outputs)), static_cast<unsigned>(divided_up(p.rows, 8))),
      warpgroup};
  cudaError_t status = moe_route(
      stream, {p.logits, p.buffers.expert, p.buffers.weight, p.rows, p.shape.experts, p.shape.chosen, p.shape.normalize});
  const auto then = [&](auto&& begin) {
    if (status == cudaSuccess) status = begin();
  };
  then([&] { return launch(stream, {dim3(1), sorters}, sort_slots, p, small ? moe_small_task_rows : moe_large_task_rows); });
  then([&] { return launch(stream, each_slot, gather_slots, p); });
  then([&] { return small ? multiply_both<moe_small_task_rows>(stream, p) : multiply_both<moe_large_task_rows>(stream, p); });
  then([&] { return launch(stream, each_slice, combine, p); });
  return status;
}

}  // namespace troupe::kernels::cuda
