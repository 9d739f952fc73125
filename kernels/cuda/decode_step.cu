#include "kernels/cuda/decode_step.hpp"

#include <algorithm>

#include "kernels/cuda/decode_attention.cuh"
#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/matmul.hpp"
#include "kernels/cuda/step_ring.cuh"
#include "kernels/cuda/wgmma.cuh"

namespace troupe::kernels::cuda {

namespace {

constexpr int cluster_blocks = k_chunks_max;

/// Of a layer; after the last one come the logits.
enum Operation : int { op_qkv, op_attention, op_output, op_gate_up, op_down, operations, op_logits = operations };

__host__ __device__ int qkv_outputs(const DecodeShape& shape) { return (shape.heads + 2 * shape.kv_heads) * shape.head_dim; }

/// The matrix of one product of the step.
struct Matrix {
  WeightTiles weight;
  int chunks;
  __device__ Panels panels(int chunk) const { return panels_of_chunk(weight.panels(), chunk, chunks); }
};
__host__ __device__ Matrix matrix_of(const DecodeShape& shape, int operation) {
  WeightTiles weight;
  switch (operation) {
    case op_qkv: weight = {nullptr, qkv_outputs(shape), shape.hidden}; break;
    case op_output: weight = {nullptr, shape.hidden, shape.heads * shape.head_dim}; break;
    case op_gate_up: weight = {nullptr, 2 * shape.intermediate, shape.hidden}; break;
    case op_down: weight = {nullptr, shape.hidden, shape.intermediate}; break;
    default: weight = {nullptr, shape.vocabulary, shape.hidden}; break;
  }
  return {weight, k_chunks(weight)};
}
__device__ const bf16* weights_of(const DecodeStep& step, int layer, int operation) {
  if (layer == step.shape.layers) return step.output_projection;
  const DecodeLayer& weights = step.layers[layer];
  switch (operation) {
    case op_qkv: return weights.qkv;
    case op_output: return weights.attention_output;
    case op_gate_up: return weights.gate_up;
    default: return weights.down;
  }
}
__device__ const RowTiles& input_of(const DecodeStep& step, int operation) {
  return operation == op_output ? step.attended : operation == op_down ? step.gated : step.normed;
}

/// Counters, zero at the begin of a step: how many parts of an operation are complete, [layers][operations]; then, over all
/// layers, how many spans of a row's KV head are, [row_capacity][kv_heads], and how many parts of each panel of `gated`.
__host__ __device__ int gated_counters(const DecodeShape& shape, int row_capacity) {
  return shape.layers * operations + row_capacity * shape.kv_heads;
}
__host__ __device__ int counters_of(const DecodeShape& shape, int row_capacity) {
  return gated_counters(shape, row_capacity) + panels_of(shape.intermediate);
}

/// Walks the tasks of this block, the same for every role: product(layer, operation, matrix, tile, chunk), attention(layer,
/// first item, end), and begin(layer, operation) before the first of an operation.
template <class Role>
__device__ __forceinline__ void walk(const DecodeStep& step, const BatchShared& shared_batch, Role& role) {
  const int blocks = static_cast<int>(gridDim.x);
  const int block = static_cast<int>(blockIdx.x);
  int turn = block;  // this block's next tile and chunk, counted over all, less those that are past
  Items items{0, 0};
  for (int layer = 0; layer <= step.shape.layers; ++layer) {
    const bool logits = layer == step.shape.layers;
    for (int operation = 0; operation < (logits ? 1 : operations); ++operation) {
      if (operation == op_attention) {
        if (layer == 0) {
          role.wait_for_batch();
          items = items_of(shared_batch, step.rows, step.shape.kv_heads, block, blocks);
        }
        if (items.first == items.end) continue;
        role.begin(layer, operation);
        role.attention(layer, items.first, items.end);
        continue;
      }
      const Matrix matrix = matrix_of(step.shape, logits ? static_cast<int>(op_logits) : operation);
      const int tasks = matrix.weight.tiles() * matrix.chunks;
      const int turns = divided_up(tasks, cluster_blocks) * cluster_blocks;  // so that a tile's chunks stay within a cluster
      if (turn < tasks) role.begin(layer, operation);
      for (; turn < turns; turn += blocks) {
        if (turn < tasks) role.product(layer, operation, matrix, turn / matrix.chunks, turn % matrix.chunks);
      }
      turn -= turns;
    }
  }
}

/// How many tasks have to be complete before an operation may read: the one before it, and what that counts to.
struct Dependency {
  int counter;
  int target;
};
__device__ Dependency dependency_of(const DecodeStep& step, int parts, int layer, int operation) {
  const auto tiles = [&](int of) { return matrix_of(step.shape, of).weight.tiles(); };
  if (operation == op_qkv) return {(layer - 1) * operations + op_down, tiles(op_down) * tile_slices};
  const int before = operation - 1;
  return {layer * operations + before, before == op_attention ? parts : tiles(before) * tile_slices};
}
__device__ __forceinline__ void wait_for(const DecodeStep& step, int parts, int layer, int operation) {
  if (layer == 0 && operation == op_qkv) return;  // what was there before the step
  const Dependency dependency = dependency_of(step, parts, layer, operation);
  wait_until(step.counters + dependency.counter, dependency.target);
}

/// Streams weights, keys and values: nothing of it but the last position of a sequence is written by this step.
template <int N, int HeadDim>
struct WeightStreamer {
  using Stages = Ring<N>;
  const DecodeStep& step;
  Stages& ring;
  StepShared<N>& shared;
  int stage = 0;

  __device__ void wait_for_batch() { shared.batch.known.wait(0); }
  __device__ void begin(int /*layer*/, int /*operation*/) {}
  __device__ void product(int layer, int operation, const Matrix& matrix, int tile, int chunk) {
    const auto [first, end] = matrix.panels(chunk);
    const bf16* const weights = weights_of(step, layer, operation) + static_cast<std::size_t>(tile) *
                                                                         static_cast<std::size_t>(matrix.weight.panels()) *
                                                                         tile_elements;
    for (int panel = first; panel < end; panel += Ring<N>::panels, ++stage) {
      if (threadIdx.x % 32 != 0) continue;
      constexpr std::uint32_t bytes = Stages::weight_bytes;
      Barrier& full = ring.claim(stage);
      full.arrive_expecting(bytes);
      copy_bulk_once(ring.weights(stage), weights + static_cast<std::size_t>(panel) * tile_elements, bytes, full);
    }
  }
  __device__ void attention(int layer, int first_item, int end_item) {
    constexpr int positions = Stages::template positions<HeadDim>;
    constexpr int stage_blocks = positions / kv_block_positions;
    constexpr std::uint32_t block_bytes = kv_block_positions * HeadDim * 2;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    SpanPlace place = shared.batch.place(first_item, step.shape.kv_heads);
    for (int item = first_item; item < end_item; ++item, place = shared.batch.next(place, step.shape.kv_heads)) {
      // A lane a block: the copies of a stage are asked for at once.
      const int blocks = divided_up(place.positions, kv_block_positions);
      const int number = place.first_position / kv_block_positions + lane;
      const std::int32_t own = lane < blocks ? __ldcg(step.blocks + place.row * step.blocks_stride + number) : 0;
      for (int values = 0; values < 2; ++values) {
        for (int first = 0; first < attention_tile_span / kv_block_positions; first += stage_blocks, ++stage) {
          const int here = min(stage_blocks, max(blocks - first, 0));
          Barrier& full = ring.claim(stage);
          if (lane == 0) full.arrive_expecting(static_cast<std::uint32_t>(here) * block_bytes);
          __syncwarp();
          if (lane >= first && lane < first + here) {
            copy_bulk_once(ring.weights(stage) + (lane - first) * block_bytes, step.kv.head(own, layer, values, place.kv_head),
                           block_bytes, full);
          }
        }
      }
    }
  }
};

constexpr int panel_tiles = panel_inputs / (tile_outputs / 2);  ///< of gates and ups, that a panel of `gated` comes from

__device__ __forceinline__ bool wants_scales(int operation) { return operation == op_qkv || operation == op_gate_up; }

/// Streams activations as soon as the operation before has written them, and says what their lengths divide products by.
template <int N, int HeadDim>
struct RowStreamer {
  using Stages = Ring<N>;
  const DecodeStep& step;
  Stages& ring;
  StepShared<N>& shared;
  int stage = 0;
  bool scales_due = false;

  __device__ void wait_for_batch() { shared.batch.known.wait(0); }
  __device__ void begin(int layer, int operation) {
    if (threadIdx.x % 32 == 0) {
      if (layer == 0) wait_for_previous();
      // `down` waits for the panels one by one. It changes nothing that gates and ups read before all of them are there: its
      // tiles are complete only with the last panel.
      if (operation != op_down) wait_for(step, operation == op_output ? shared.batch.parts : 0, layer, operation);
      fence_proxy_async_all();
    }
    __syncwarp();
    scales_due = wants_scales(operation);
  }
  /// Returns up to which panel of `gated` all are there, at least the next ones after `known`: a lane looks at a panel. Tiles
  /// of gates and ups take several rounds; what is there already is multiplied meanwhile.
  __device__ int wait_for_gated(int layer, int known, int wanted, int end) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int tiles = divided_up(2 * step.shape.intermediate, tile_outputs);
    const int panel = min(known + lane, end - 1);
    const int target = min(panel_tiles, max(tiles - panel * panel_tiles, 0)) * tile_slices * (layer + 1);
    const std::int32_t* const counter = step.counters + gated_counters(step.shape, step.row_capacity) + panel;
    int ready = known;
    for (long long looks = 0; ready < wanted; ++looks) {
      const unsigned there = __ballot_sync(0xFFFFFFFF, load_acquire(counter) >= target);
      ready = min(known + (~there == 0 ? 32 : __ffs(static_cast<int>(~there)) - 1), end);
      if (looks > looks_max) trap();
    }
    fence_proxy_async_all();
    __syncwarp();
    return ready;
  }
  __device__ void product(int layer, int operation, const Matrix& matrix, int /*tile*/, int chunk) {
    const auto [first, end] = matrix.panels(chunk);
    const RowTiles& rows = input_of(step, operation);
    int ready = operation == op_down ? first : end;
    for (int panel = first; panel < end; panel += Ring<N>::panels, ++stage) {
      if (panel + Ring<N>::panels > ready) ready = wait_for_gated(layer, ready, panel + Ring<N>::panels, end);
      if (panel - first == Stages::panels * Stages::stages || (panel > first && panel + Stages::panels >= end)) say_scales();
      if (threadIdx.x % 32 != 0) continue;
      constexpr std::uint32_t bytes = Stages::row_bytes;
      Barrier& full = ring.claim(stage);
      full.arrive_expecting(bytes);
      copy_bulk(ring.rows(stage), rows.data + static_cast<std::size_t>(panel) * N * panel_inputs, bytes, full);
    }
    say_scales();
  }
  /// Once the rows that there is room for are on their way.
  __device__ void say_scales() {
    if (!scales_due) return;
    scales_due = false;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    for (int first = 0; first < step.rows; first += 8) {
      const int row = first + lane / 4;
      const float scale = norm_scale(step.squares + row, static_cast<std::size_t>(step.row_capacity),
                                     divided_up(step.shape.hidden, 16), step.shape.hidden, step.shape.epsilon);
      if (lane % 4 == 0) shared.row_scales[row] = scale;
    }
    __syncwarp();
    if (threadIdx.x % 32 == 0) shared.scales_said.arrive();
  }
  __device__ void attention(int /*layer*/, int first_item, int end_item) {
    const int end = stage + (end_item - first_item) * Stages::template stages_of_span<HeadDim>;
    for (; stage < end; ++stage) {
      if (threadIdx.x % 32 == 0) ring.claim(stage).arrive();
    }
  }
};

/// Multiplies, attends, and writes what comes out.
template <int N, int HeadDim>
struct Computer {
  const DecodeStep& step;
  Ring<N>& ring;
  StepShared<N>& shared;
  int stage = 0;
  int scales_wanted = 0;
  int scales_heard = 0;
  std::uint32_t exchanges = 0;  ///< so far

  __device__ void wait_for_batch() {}
  /// The stages' barriers say when what is to be read has been written.
  __device__ void begin(int /*layer*/, int operation) {
    hear_scales();
    if (wants_scales(operation)) ++scales_wanted;
  }
  __device__ void hear_scales() {
    if (scales_heard < scales_wanted) shared.scales_said.wait(scales_heard++ & 1);
  }

  static __device__ __forceinline__ void add_panel(float (&sums)[N / 2], const void* weights, const void* rows) {
    const std::uint64_t a = tile_descriptor(weights);
    const std::uint64_t b = tile_descriptor(rows);
#pragma unroll
    for (int i = 0; i < panel_inputs / 16; ++i) Wgmma<N>::step(sums, a + i * descriptor_step, b + i * descriptor_step, true);
  }

  __device__ __forceinline__ void product(int layer, int operation, const Matrix& matrix, int tile, int chunk) {
    const auto [first, end] = matrix.panels(chunk);
    float sums[N / 2];
#pragma unroll
    for (int i = 0; i < N / 2; ++i) asm volatile("mov.f32 %0, 0f00000000;" : "=f"(sums[i]));
    wgmma_fence();
    for (int panel = first; panel < end; panel += Ring<N>::panels, ++stage) {
      ring.full(stage).wait(ring.parity(stage));
      wgmma_fence();
#pragma unroll
      for (int i = 0; i < Ring<N>::panels; ++i) {
        add_panel(sums, ring.weights(stage) + i * tile_elements * 2, ring.rows(stage) + i * N * panel_inputs * 2);
      }
      wgmma_commit();
      wgmma_wait<1>();
      if (panel > first) ring.release(stage - 1);
    }
    wgmma_wait<0>();
    ring.release(stage - 1);
    if (matrix.chunks == 1 || exchange(chunk, sums)) {
      finish(layer, operation, matrix, tile, sums);
      __syncwarp();
      if (layer < step.shape.layers && threadIdx.x % 32 == 0)
        add_release(step.counters + counter_of(layer, operation, tile), 1);
    }
  }

  __device__ __forceinline__ int counter_of(int layer, int operation, int tile) const {
    if (operation == op_gate_up) return gated_counters(step.shape, step.row_capacity) + tile / panel_tiles;
    return layer * operations + operation;
  }
  __device__ __forceinline__ bool exchange(int chunk, float (&sums)[N / 2]) {
    const std::uint32_t before = exchanges++;
    return exchange_chunks<N>(shared.exchanges[before % 2], before / 2, chunk, sums);
  }

  __device__ __forceinline__ void finish(int layer, int operation, const Matrix& matrix, int tile, const float (&sums)[N / 2]) {
    const int first_output = tile * tile_outputs;
    const int outputs = matrix.weight.outputs - first_output;
    if (wants_scales(operation)) hear_scales();
    if (layer == step.shape.layers) {
      const auto stride = static_cast<std::size_t>(step.shape.vocabulary);
      write_rows<N>(sums, step.logits + first_output, stride, step.rows, outputs, shared.row_scales);
    } else if (operation == op_qkv) {
      const auto stride = static_cast<std::size_t>(matrix.weight.outputs);
      write_rows<N>(sums, step.qkv + first_output, stride, step.rows, outputs, shared.row_scales);
    } else if (operation == op_gate_up) {
      write_gated<N>(sums, step.gated, 0, first_output / 2, step.rows, shared.row_scales);
    } else {
      const float* next = operation == op_output           ? step.layers[layer].feed_forward_norm
                          : layer + 1 == step.shape.layers ? step.final_norm
                                                           : step.layers[layer + 1].attention_norm;
      const ResidualRows target{step.x, next, step.normed, step.squares, step.shape.hidden};
      add_residual<N>(sums, target, 0, tile, step.rows);
    }
  }

  __device__ void attention(int layer, int first_item, int end_item) {
    const SpanPlace first_place = shared.batch.place(first_item, step.shape.kv_heads);
    SpanPlace place = first_place;
    bool loaded = false;  // the queries of this sequence's KV head
    for (int item = first_item; item < end_item; ++item) {
      if (item > first_item) place = shared.batch.next(place, step.shape.kv_heads);
      attend_span<N, HeadDim>(step, layer, item, place, !loaded, ring, shared.attention, stage);
      const bool last_span = place.span + 1 == place.spans;
      loaded = !last_span;
      if (place.spans == 1) {
        complete(layer * operations + op_attention, 1);
      } else if (last_span || item + 1 == end_item) {
        const int spans = min(place.span, item - first_item) + 1;
        complete(spans_counter(place), spans);
        // What other blocks have spans of waits until this block has done all of its own.
        if (spans == place.spans) merge_spans(layer, place, {0, 1});
      }
    }
    const bool one_run = first_place.row == place.row && first_place.kv_head == place.kv_head;
    if (first_place.span > 0) merge_part(layer, first_place);
    if (place.span + 1 < place.spans && !(one_run && first_place.span > 0)) merge_part(layer, place);
  }
  __device__ int spans_counter(const SpanPlace& place) const {
    return step.shape.layers * operations + run_of(place, step.shape.kv_heads);
  }
  __device__ void complete(int counter, int parts) {
    warpgroup_sync();
    if (threadIdx.x == 0) add_release(step.counters + counter, parts);
  }
  __device__ void merge_part(int layer, const SpanPlace& place) {
    merge_spans(layer, place,
                part_of(shared.batch, step.rows, step.shape.kv_heads, place, static_cast<int>(blockIdx.x),
                        static_cast<int>(gridDim.x)));
  }
  /// Merges this block's part of the columns, once all spans of the sequence's KV head are complete.
  __device__ void merge_spans(int layer, const SpanPlace& place, const PartOf& part) {
    if (threadIdx.x == 0) wait_until(step.counters + spans_counter(place), place.spans * (layer + 1));
    warpgroup_sync();
    fold_spans<HeadDim>(step, place, shared.batch.spans_before[place.row], part.index, part.parts);
    complete(layer * operations + op_attention, 1);
  }
};

constexpr int step_threads = warpgroup + 64;

template <int N, int HeadDim>
__global__ void __launch_bounds__(step_threads, 1) whole_step(const __grid_constant__ DecodeStep step) {
  extern __shared__ std::byte unaligned[];
  __shared__ StepShared<N> shared;
  Ring<N> ring{unaligned + (1024 - shared_address(unaligned) % 1024) % 1024, shared.barriers};
  if (threadIdx.x == 0) {
    ring.init();
    shared.batch.known.init(1);
    shared.scales_said.init(1);
    for (auto& exchange : shared.exchanges) exchange.init();
    fence_barrier_init();
  }
  __syncthreads();
  cluster_sync();  // nobody sends before the barriers are there
  let_next_begin();
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < warpgroup) {
    wait_for_previous();
    shared.batch.load(step.spans_before, step.positions, step.rows);
    warpgroup_sync();
    count_parts(shared.batch, step.rows, step.shape.kv_heads, static_cast<int>(gridDim.x));
    warpgroup_sync();
    if (thread == 0) shared.batch.known.arrive();
    Computer<N, HeadDim> role{step, ring, shared};
    walk(step, shared.batch, role);
  } else if (thread < warpgroup + 32) {
    WeightStreamer<N, HeadDim> role{step, ring, shared};
    walk(step, shared.batch, role);
  } else {
    RowStreamer<N, HeadDim> role{step, ring, shared};
    walk(step, shared.batch, role);
  }
  __syncwarp();
  cluster_sync();  // nobody's memory goes while others send to it
}

/// Embeds the tokens, and readies what the first layer and the step's counters need. One block a row.
__global__ void __launch_bounds__(warpgroup) begin_step(const DecodeStep step) {
  let_next_begin();
  wait_for_previous();
  const int row = static_cast<int>(blockIdx.x);
  const ResidualRows target{step.x, step.layers[0].attention_norm, step.normed, step.squares, step.shape.hidden};
  const WeightTiles embedding{step.embedding, step.shape.vocabulary, step.shape.hidden};
  embed_row<warpgroup>(embedding, step.tokens[row], target, row);
  if (row == 0) {
    for (int i = static_cast<int>(threadIdx.x); i < counters_of(step.shape, step.row_capacity); i += warpgroup)
      step.counters[i] = 0;
  }
}

template <int N, int HeadDim>
cudaError_t launch_step(cudaStream_t stream, const DecodeStep& step) {
  static const int clusters = most_clusters(whole_step<N, HeadDim>, step_threads, Ring<N>::shared_bytes, cluster_blocks);
  const cudaError_t begun = launch(stream, {dim3(static_cast<unsigned>(step.rows)), warpgroup, 0, 1}, begin_step, step);
  if (begun != cudaSuccess) return begun;
  const LaunchShape shape{dim3(static_cast<unsigned>(clusters * cluster_blocks)), step_threads, Ring<N>::shared_bytes,
                          cluster_blocks};
  return launch(stream, shape, whole_step<N, HeadDim>, step);
}

template <int N>
cudaError_t launch_step(cudaStream_t stream, const DecodeStep& step) {
  return step.shape.head_dim == 128 ? launch_step<N, 128>(stream, step) : launch_step<N, 64>(stream, step);
}

}  // namespace

DecodeWorkspace decode_workspace(const DecodeShape& shape, int row_capacity, int spans) {
  DecodeWorkspace needed;
  needed.spans =
      static_cast<std::size_t>(spans) * static_cast<std::size_t>(shape.heads) * static_cast<std::size_t>(shape.head_dim);
  needed.span_sums = static_cast<std::size_t>(spans) * static_cast<std::size_t>(shape.heads);
  needed.counters = static_cast<std::size_t>(counters_of(shape, row_capacity));
  return needed;
}

cudaError_t decode_step(cudaStream_t stream, const DecodeStep& step) {
  const DecodeShape& shape = step.shape;
  const bool fits = (shape.head_dim == 64 || shape.head_dim == 128) && shape.kv_heads > 0 &&
                    shape.heads % shape.kv_heads == 0 && shape.heads / shape.kv_heads <= decode_group_max &&
                    shape.intermediate % (tile_outputs / 2) == 0 && step.rows > 0 && step.rows <= step.row_capacity;
  if (!fits) return cudaErrorInvalidValue;
  switch (step.row_capacity) {
    case 8: return launch_step<8>(stream, step);
    case 16: return launch_step<16>(stream, step);
    case 32: return launch_step<32>(stream, step);
    case 64: return launch_step<64>(stream, step);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace troupe::kernels::cuda
