// A layer of up to eight rows in one kernel, made like decode_step.cu: a block lives on each processor and walks the tiles of
// the chosen experts' matrices, gates and ups of all experts first, then `down`. Every block chooses the experts by itself,
// since that takes less time than to hear of it. A warp streams weights through a ring and runs ahead across experts and
// operations; an expert's second product waits only for that expert's first one, which is long past but for the last experts.
// Whoever is the last to have an expert's answer for 16 outputs adds them all up.
#include <cstdint>

#include "kernels/cuda/exchange.cuh"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/moe_layers.hpp"
#include "kernels/cuda/moe_rows.cuh"
#include "kernels/cuda/step_ring.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

namespace {

constexpr int columns = moe_few_rows_max;
constexpr int cluster_blocks = k_chunks_max;
constexpr int threads = warpgroup + 64;
using Stages = Ring<columns>;

/// Which experts were chosen. Those that were, in ascending id, are what a layer's tasks count by.
struct Chosen {
  std::int32_t count;
  std::int32_t experts[columns * moe_chosen_max];
  std::int8_t choice[columns * moe_chosen_max][columns];  ///< which of a row's choices it is, or -1
  std::int32_t expert[columns][moe_chosen_max];           ///< by row and choice
  float weight[columns][moe_chosen_max];
  std::uint32_t words[moe_experts_max / 32];  ///< a bit for each expert
  Barrier known;
};
static_assert(columns * moe_chosen_max <= warpgroup, "each slot has a thread");

/// By the warpgroup that computes.
template <int Each>
__device__ __forceinline__ void choose(const Moe& p, Chosen& chosen) {
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  if (thread < moe_experts_max / 32) chosen.words[thread] = 0;
#pragma unroll
  for (int row = 0; row < columns; ++row) chosen.choice[thread][row] = -1;
  warpgroup_sync();
  for (int row = thread / 32; row < p.rows; row += warpgroup / 32) {
    const Choice choice = route_row<Each>(p.logits + row * p.shape.experts, p.shape.experts, p.shape.chosen, p.shape.normalize);
    if (lane >= p.shape.chosen) continue;
    chosen.expert[row][choice.place] = choice.expert;
    chosen.weight[row][choice.place] = choice.weight;
    atomicOr(&chosen.words[choice.expert / 32], 1U << (choice.expert % 32));
    if (blockIdx.x == 0) {
      p.buffers.expert[row * p.shape.chosen + choice.place] = choice.expert;
      p.buffers.weight[row * p.shape.chosen + choice.place] = choice.weight;
    }
  }
  warpgroup_sync();
  const int row = thread / p.shape.chosen;
  if (row < p.rows) {
    const int place = thread % p.shape.chosen;
    const int expert = chosen.expert[row][place];
    int index = __popc(chosen.words[expert / 32] & ((1U << (expert % 32)) - 1));
    for (int word = 0; word < expert / 32; ++word) index += __popc(chosen.words[word]);
    chosen.experts[index] = expert;
    chosen.choice[index][row] = static_cast<std::int8_t>(place);
  }
  if (thread == 0) {
    int count = 0;
    for (const std::uint32_t word : chosen.words) count += __popc(word);
    chosen.count = count;
  }
  warpgroup_sync();
  if (thread == 0) chosen.known.arrive();
}

enum Operation : int { op_gate_up, op_down, operations };

/// The shape of an operation's matrices.
struct Matrices {
  WeightTiles weight;
  int chunks;
  __device__ Panels panels(int chunk) const { return panels_of_chunk(weight.panels(), chunk, chunks); }
};
__device__ __forceinline__ Matrices matrices_of(const MoeShape& shape, int operation) {
  const WeightTiles weight = operation == op_gate_up ? shape.gate_up(nullptr, 0) : shape.down(nullptr, 0);
  return {weight, k_chunks(weight)};
}

/// Walks this block's tasks, the same for every role: product(operation, matrices, index of a chosen expert, tile, chunk).
template <class Role>
__device__ __forceinline__ void walk(const MoeShape& shape, int experts, Role& role) {
  const int blocks = static_cast<int>(gridDim.x);
  int turn = static_cast<int>(blockIdx.x);
  for (int operation = 0; operation < operations; ++operation) {
    const Matrices matrices = matrices_of(shape, operation);
    const int tiles = matrices.weight.tiles();
    const int tasks = experts * tiles * matrices.chunks;
    const int turns = divided_up(tasks, cluster_blocks) * cluster_blocks;  // so that a tile's chunks stay within a cluster
    for (; turn < turns; turn += blocks) {
      const int unit = turn / matrices.chunks;
      if (turn < tasks) role.product(operation, matrices, unit / tiles, unit % tiles, turn % matrices.chunks);
    }
    turn -= turns;
  }
}

struct WeightStreamer {
  const Moe& p;
  const Stages& ring;
  const Chosen& chosen;
  int stage = 0;

  __device__ void product(int operation, const Matrices& matrices, int index, int tile, int chunk) {
    const int expert = chosen.experts[index];
    const bf16* const matrix =
        (operation == op_gate_up ? p.shape.gate_up(p.gate_up, expert) : p.shape.down(p.down, expert)).data;
    const bf16* const weights =
        matrix + static_cast<std::size_t>(tile) * static_cast<std::size_t>(matrices.weight.panels()) * tile_elements;
    const auto [first, end] = matrices.panels(chunk);
    for (int panel = first; panel < end; panel += Stages::panels, ++stage) {
      Barrier& full = ring.claim(stage);
      full.arrive_expecting(Stages::weight_bytes);
      copy_bulk_once(ring.weights(stage), weights + static_cast<std::size_t>(panel) * tile_elements, Stages::weight_bytes,
                     full);
    }
  }
};

/// Streams the rows that weights are multiplied by, as soon as they are there.
struct RowStreamer {
  const Moe& p;
  const Stages& ring;
  int stage = 0;
  int gated_known = 0;  ///< experts, the first ones, whose gated rows are there

  __device__ void product(int operation, const Matrices& matrices, int index, int /*tile*/, int chunk) {
    if (operation == op_down && index >= gated_known) {
      wait_until(p.buffers.counters + index, matrices_of(p.shape, op_gate_up).weight.tiles() * tile_slices);
      fence_proxy_async_all();
      gated_known = index + 1;
    }
    const RowTiles& rows = operation == op_gate_up ? p.input : p.buffers.gated;
    const int first_row = operation == op_gate_up ? 0 : index * columns;
    const auto [first, end] = matrices.panels(chunk);
    for (int panel = first; panel < end; panel += Stages::panels, ++stage) {
      Barrier& full = ring.claim(stage);
      full.arrive_expecting(Stages::row_bytes);
#pragma unroll
      for (int i = 0; i < Stages::panels; ++i) {
        constexpr int bytes = Stages::row_bytes / Stages::panels;
        copy_bulk(ring.rows(stage) + i * bytes,
                  rows.data + (static_cast<std::size_t>(panel + i) * static_cast<std::size_t>(rows.capacity) +
                               static_cast<std::size_t>(first_row)) *
                                  panel_inputs,
                  bytes, full);
      }
    }
  }
};

struct Computer {
  const Moe& p;
  const Stages& ring;
  const Chosen& chosen;
  Exchange<columns> (&exchanges)[2];
  int stage = 0;
  std::uint32_t exchanged = 0;

  __device__ __forceinline__ void product(int operation, const Matrices& matrices, int index, int tile, int chunk) {
    const auto [first, end] = matrices.panels(chunk);
    float sums[columns / 2];
#pragma unroll
    for (float& sum : sums) asm volatile("mov.f32 %0, 0f00000000;" : "=f"(sum));
    wgmma_fence();
    for (int panel = first; panel < end; panel += Stages::panels, ++stage) {
      ring.full(stage).wait(ring.parity(stage));
      wgmma_fence();
#pragma unroll
      for (int i = 0; i < Stages::panels; ++i) {
        const std::uint64_t a = tile_descriptor(ring.weights(stage) + i * tile_elements * 2);
        const std::uint64_t b = tile_descriptor(ring.rows(stage) + i * columns * panel_inputs * 2);
#pragma unroll
        for (int step = 0; step < panel_inputs / 16; ++step)
          Wgmma<columns>::step(sums, a + step * descriptor_step, b + step * descriptor_step, true);
      }
      wgmma_commit();
      wgmma_wait<1>();
      if (panel > first) ring.release(stage - 1);
    }
    wgmma_wait<0>();
    ring.release(stage - 1);
    if (matrices.chunks == 1 || exchange(chunk, sums)) finish(operation, index, tile, sums);
    __syncwarp();
    // A warp that gives its sums away shall not get two exchanges ahead of one that awaits some: there are two buffers.
    if (matrices.chunks > 1) warpgroup_sync();
  }
  __device__ __forceinline__ bool exchange(int chunk, float (&sums)[columns / 2]) {
    const std::uint32_t before = exchanged++;
    return exchange_chunks<columns>(exchanges[before % 2], before / 2, chunk, sums);
  }

  __device__ __forceinline__ void finish(int operation, int index, int tile, const float (&sums)[columns / 2]) {
    if (operation == op_gate_up) {
      write_gated<columns>(sums, p.buffers.gated, index * columns, tile * tile_outputs / 2, p.rows, p.row_scales);
      __syncwarp();
      if (threadIdx.x % 32 == 0) add_release(p.buffers.counters + index, 1);
      return;
    }
    write_answers(sums, index, tile);
    __syncwarp();
    const int slice = tile * tile_slices + static_cast<int>(threadIdx.x) / 32;
    std::int32_t before = 0;
    if (threadIdx.x % 32 == 0) before = add_acquire_release(p.buffers.counters + moe_counters(p.shape).slice(slice), 1);
    before = __shfl_sync(all_lanes, before, 0);
    if (before + 1 < chosen.count) return;
    __syncwarp();  // what one lane has acquired, all have
    combine_slice({p.buffers.outputs, &chosen.weight[0][0], moe_chosen_max, p.shape.chosen}, p.residual, 0, tile, p.rows);
  }
  __device__ __forceinline__ void write_answers(const float (&sums)[columns / 2], int index, int tile) {
    for_each_pair<columns>(sums, [&](int row, int output, float upper, float lower) {
      const int choice = chosen.choice[index][row];
      const int dim = tile * tile_outputs + output;
      if (choice < 0 || dim >= p.shape.hidden) return;  // slices are whole
      float* const place = p.buffers.outputs +
                           static_cast<std::size_t>(row * p.shape.chosen + choice) * static_cast<std::size_t>(p.shape.hidden) +
                           dim;
      place[0] = upper;
      place[8] = lower;
    });
  }
};

/// Zeroes the counters, once nobody looks at them any more.
__device__ __forceinline__ void end_layer(const Moe& p) {
  const MoeCounters counters = moe_counters(p.shape);
  std::int32_t before = 0;
  if (threadIdx.x == 0) before = add_acquire_release(p.buffers.counters + counters.ended(), 1);
  before = __shfl_sync(all_lanes, before, 0);
  if (before + 1 < static_cast<int>(gridDim.x)) return;
  __syncwarp();
  for (int i = static_cast<int>(threadIdx.x); i < counters.count(); i += 32) p.buffers.counters[i] = 0;
}

template <int Each>
__global__ void __launch_bounds__(threads, 1) few_rows_layer(const __grid_constant__ Moe p) {
  extern __shared__ std::byte unaligned[];
  __shared__ Stages::Barriers barriers;
  __shared__ Exchange<columns> exchanges[2];
  __shared__ Chosen chosen;
  Stages ring{unaligned + (1024 - shared_address(unaligned) % 1024) % 1024, barriers};
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    ring.init();
    chosen.known.init(1);
    for (auto& exchange : exchanges) exchange.init();
    fence_barrier_init();
  }
  __syncthreads();
  cluster_sync();  // nobody sends before the barriers are there
  let_next_begin();
  wait_for_previous();
  if (thread < warpgroup) {
    choose<Each>(p, chosen);
    Computer role{p, ring, chosen, exchanges};
    walk(p.shape, chosen.count, role);
  } else if (thread % 32 == 0) {
    chosen.known.wait(0);
    if (thread == warpgroup) {
      WeightStreamer role{p, ring, chosen};
      walk(p.shape, chosen.count, role);
    } else {
      RowStreamer role{p, ring};
      walk(p.shape, chosen.count, role);
    }
  }
  __syncwarp();
  cluster_sync();  // nobody's memory goes while others send to it
  if (thread < 32) end_layer(p);
}

template <int Each>
cudaError_t launch_layer(cudaStream_t stream, const Moe& p) {
  static const int clusters = most_clusters(few_rows_layer<Each>, threads, Stages::shared_bytes, cluster_blocks);
  const LaunchShape shape{dim3(static_cast<unsigned>(clusters * cluster_blocks)), threads, Stages::shared_bytes,
                          cluster_blocks};
  return launch(stream, shape, few_rows_layer<Each>, p);
}

}  // namespace

cudaError_t moe_few_rows(cudaStream_t stream, const Moe& arguments) {
  return arguments.shape.experts <= 128 ? launch_layer<4>(stream, arguments)
                                        : launch_layer<moe_experts_max / 32>(stream, arguments);
}

}  // namespace troupe::kernels::cuda
