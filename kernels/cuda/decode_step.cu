#include "kernels/cuda/decode_step.hpp"

#include "kernels/cuda/decode_ends.cuh"
#include "kernels/cuda/decode_products.cuh"
#include "kernels/cuda/decode_run_fold.cuh"
#include "kernels/cuda/decode_streams.cuh"
#include "kernels/cuda/launch.hpp"

namespace troupe::kernels::cuda {

namespace {

/// Up to how many rows what a product is added to is asked for meanwhile: of more, it would take too many registers for too
/// long.
constexpr int residual_ahead_rows_max = 32;

/// Multiplies, attends, and publishes what comes out.
template <int N, int HeadDim>
struct Computer {
  const StepArguments& arguments;
  const Ring<N>& ring;
  StepShared<N>& shared;
  int warp;  ///< of the four
  RingPlace<Ring<N>::stages> at;
  std::int32_t scales_wanted = 0;  ///< how often the rows' scales have to have been said
  std::int32_t clears_begun = 0;   ///< layers in which this block clears buffers, so far
  int present_layer = 0;
  HeadNorms norms = norms_of(0);  ///< of the present layer, asked for long before they are wanted
  std::uint32_t exchanges = 0;    ///< so far
  Run last_run = {};              ///< of this block's
  PartOf first_part = {};         ///< the block's first run's
  PartOf last_part = {};

  __device__ const DecodeStep& step() const { return arguments.step; }
  __device__ HeadNorms norms_of(int layer) const { return {step().layers[layer].query_norm, step().layers[layer].key_norm}; }
  __device__ void wait_for_batch() {}
  /// The stages' barriers say when what is to be read has been written.
  __device__ void begin(int layer, int operation, const Deal& /*deal*/) {
    if (layer > present_layer) {
      present_layer = layer;
      if (layer < step().shape.layers) norms = norms_of(layer);
      // Nothing is published before what a layer before had this block clear is cleared.
      await_count(&shared.cleared, clears_begun);
    }
    if (operation == op_attention) return;
    if (wants_scales(operation)) ++scales_wanted;
    if (operation == op_qkv && layer < step().shape.layers) ++clears_begun;
  }

  /// What happens to a tile's sums, prepared before they are there.
  struct TileEnd {
    RowsEnd rows;
    GatedEnd gated;
    ResidualEnd<N> residual;
  };

  __device__ __forceinline__ void product(int layer, int operation, const Matrix& matrix, int tile, int chunk) {
    const auto [first, end] = matrix.panels(chunk);
    TileEnd tile_end;
    if (matrix.chunks() == 1 || ends_slice(warp, chunk)) prepare(tile_end, layer, operation, matrix, tile);
    float sums[N / 2];
    const bool exchanges_sums = matrix.chunks() > 1;
    ExchangePart<N> part;
    if (exchanges_sums) {
      // Then no warp gives to an exchange that another one of the other block may still be taking from, two before.
      warpgroup_sync();
      part.prepare(shared.exchanges[exchanges % 2], warp, chunk);
    }
    multiply_stages<N>(ring, at, (end - first) / Ring<N>::panels, sums);
    if (exchanges_sums && !part.exchange(exchanges++ / 2, sums)) return;
    if (wants_scales(operation)) await_count<0>(&shared.scales_said, scales_wanted);
    finish(layer, operation, matrix, tile, sums, tile_end);
  }
  /// The weights of the norm that the next operation's input has.
  __device__ const float* norm_after(int layer, int operation) const {
    if (operation == op_output) return step().layers[layer].feed_forward_norm;
    return layer + 1 == step().shape.layers ? step().final_norm : step().layers[layer + 1].attention_norm;
  }

  __device__ __forceinline__ void prepare(TileEnd& tile_end, int layer, int operation, const Matrix& matrix, int tile) const {
    if (layer == step().shape.layers) return;
    const LayerBuffers& buffers = arguments.buffers.of(layer);
    const int first_output = tile * tile_outputs;
    if (operation == op_qkv) {
      tile_end.rows.place(buffers.qkv + first_output, static_cast<std::size_t>(matrix.weight.outputs));
    } else if (operation == op_gate_up) {
      tile_end.gated.place(buffers.gated, first_output / 2);
    } else {
      const ResidualBuffers& to =
          operation == op_output ? buffers.feed_forward_input : arguments.buffers.of(layer + 1).attention_input;
      tile_end.residual.place(operation == op_output ? buffers.attention_input : buffers.feed_forward_input, to, warp, tile);
      if constexpr (N <= residual_ahead_rows_max) tile_end.residual.ask(norm_after(layer, operation), tile, step().rows);
    }
  }
  __device__ __forceinline__ void finish(int layer, int operation, const Matrix& matrix, int tile, const float (&sums)[N / 2],
                                         TileEnd& tile_end) const {
    if (layer == step().shape.layers) {
      const int first_output = tile * tile_outputs;
      write_rows<N>(sums, step().logits + first_output, static_cast<std::size_t>(matrix.weight.outputs), step().rows,
                    matrix.weight.outputs - first_output, shared.row_scales);
    } else if (operation == op_qkv) {
      tile_end.rows.template publish_sums<N>(sums, step().rows, shared.row_scales);
    } else if (operation == op_gate_up) {
      tile_end.gated.template publish_sums<N>(sums, step().rows, shared.row_scales);
    } else {
      if constexpr (N > residual_ahead_rows_max) tile_end.residual.ask(norm_after(layer, operation), tile, step().rows);
      tile_end.residual.publish_sums(sums, step().rows);
    }
  }

  __device__ void attention(int layer, const Items& items) {
    const LayerBuffers& buffers = arguments.buffers.of(layer);
    const bool has_one_row = arguments.group <= attention_tile_heads / thread_rows;
    const Run first_run = has_one_row ? attend<1>(layer, buffers, items) : attend<2>(layer, buffers, items);
    // What many blocks have spans of waits until this block has done all of its own.
    PartOf part = last_part;
    for (Run folded = last_run;; folded = first_run, part = first_part) {
      if (part.parts > folding_parts_max)
        RunFolder<HeadDim>{arguments.group, step().shape.scale, buffers, shared.run_fold, warp, folded, part}.fold();
      if (folded.begin == first_run.begin) break;
    }
  }
  /// From the last run to the first, which is returned. Of the rows that a thread has in a tile of query heads, so many are
  /// there.
  template <int Rows>
  __device__ __forceinline__ Run attend(int layer, const LayerBuffers& buffers, const Items& items) {
    RunAttender<N, HeadDim, Rows> attender{step(), arguments.group, buffers, norms, layer, ring, shared.attention, warp, at};
    Run run = last_run;
    for (;;) {
      attender.attend(run, run.begin == last_run.begin ? last_part : run.begin <= items.first ? first_part : PartOf{0, 1});
      if (run.begin <= items.first) return run;
      run = shared.batch.run_before(items, run, step().shape.kv_heads);
    }
  }
  /// What is the same in every layer: with whom this block shares its first and its last run, the only ones that it shares.
  __device__ void learn_runs() {
    const int kv_heads = step().shape.kv_heads;
    const int block = static_cast<int>(blockIdx.x);
    const int blocks = static_cast<int>(gridDim.x);
    const Items items = shared.batch.items_of(step().rows, kv_heads, block, blocks);
    if (items.first == items.end) return;
    const auto part = [&](const Run& run) { return part_of(shared.batch, step().rows, kv_heads, run, block, blocks); };
    last_run = shared.batch.run_of(items, items.end - 1, kv_heads);
    last_part = part(last_run);
    first_part = part(shared.batch.run_of(items, items.first, kv_heads));
    RunAttender<N, HeadDim, 1>::clear_queries(arguments.group, warp, shared.attention);
  }
};

// Of the 168 that each of the three warpgroups begins with.
constexpr int computer_registers = 240;
constexpr int streamer_registers = 128;
static_assert(step_threads == 3 * warpgroup && computer_registers + 2 * streamer_registers <= 3 * 168);

template <int N, int HeadDim>
__global__ void __launch_bounds__(step_threads, 1) whole_step(const __grid_constant__ StepArguments arguments) {
  extern __shared__ std::byte unaligned[];
  __shared__ StepShared<N> shared;
  const DecodeStep& step = arguments.step;
  const Ring<N> ring{unaligned + (1024 - shared_address(unaligned) % 1024) % 1024, shared.barriers};
  if (threadIdx.x == 0) {
    ring.init();
    shared.batch.known.init(1);
    shared.scales_said = 0;
    shared.cleared = 0;
    for (auto& exchange : shared.exchanges) exchange.init();
    fence_barrier_init();
  }
  __syncthreads();
  cluster_sync();  // nobody sends before the barriers are there
  let_next_begin();
  const int warp = warp_of_block();
  if (warp < warpgroup / 32) {
    take_registers<computer_registers>();
    wait_for_previous();
    shared.batch.load(step.spans_before, step.positions, step.rows);
    warpgroup_sync();
    if (threadIdx.x == 0) shared.batch.known.arrive();
    Computer<N, HeadDim> role{arguments, ring, shared, warp};
    role.learn_runs();
    walk(arguments, shared.batch, role);
  } else {
    give_registers<streamer_registers>();
    const int streamer = warp - warpgroup / 32;
    if (streamer == 0) {
      WeightStreamer<N, HeadDim> role{step, ring, shared, shared_address(ring.memory)};
      walk(arguments, shared.batch, role);
    } else if (streamer == 1) {
      wait_for_previous();
      ScaleSayer<N> role{arguments, shared};
      walk(arguments, shared.batch, role);
    } else {
      wait_for_previous();
      RowStreamer<N, HeadDim> role{arguments, ring, shared, streamer - 2};
      walk(arguments, shared.batch, role);
    }
  }
  __syncwarp();
  cluster_sync();  // nobody's memory goes while others send to it
}

constexpr int clearing_blocks = 128;

/// Embeds the tokens, a row a block, while others clear the buffers that are not cleared in the first layers.
__global__ void __launch_bounds__(warpgroup) begin_step(const __grid_constant__ StepArguments arguments) {
  const DecodeStep& step = arguments.step;
  let_next_begin();
  wait_for_previous();
  const int block = static_cast<int>(blockIdx.x);
  if (block < step.rows) {
    const ResidualBuffers& input = arguments.buffers.of(0).attention_input;
    const ResidualRows target{input.x, step.layers[0].attention_norm, input.normed, input.squares, step.shape.hidden};
    const WeightTiles embedding{step.embedding, step.shape.vocabulary, step.shape.hidden};
    embed_row<warpgroup>(embedding, known_token(step.tokens[block], step.chosen), target, block);
    return;
  }
  const Share share{(block - step.rows) * warpgroup + static_cast<int>(threadIdx.x), clearing_blocks * warpgroup};
  for (int layer = 0; layer < generations - 1; ++layer)
    share.clear(step.shape, arguments.buffers.of(layer), step.rows, step.spans_before[step.rows], layer > 0);
  for (const LayerBuffers& buffers : arguments.buffers.generation) {
    for (const RowTiles& tiles :
         {buffers.attention_input.normed, buffers.attended, buffers.feed_forward_input.normed, buffers.gated})
      share.clear_padding(tiles, step.rows);
  }
}

template <int N, int HeadDim>
cudaError_t launch_step(cudaStream_t stream, const StepArguments& arguments) {
  static const int clusters = most_clusters(whole_step<N, HeadDim>, step_threads, Ring<N>::shared_bytes, cluster_blocks);
  const cudaError_t begun = launch(
      stream, {dim3(static_cast<unsigned>(arguments.step.rows + clearing_blocks)), warpgroup, 0, 1}, begin_step, arguments);
  if (begun != cudaSuccess) return begun;
  const int blocks = std::min(clusters * cluster_blocks, blocks_max(arguments.step.shape));
  const LaunchShape shape{dim3(static_cast<unsigned>(blocks)), step_threads, Ring<N>::shared_bytes, cluster_blocks};
  return launch(stream, shape, whole_step<N, HeadDim>, arguments);
}

template <int N>
cudaError_t launch_step(cudaStream_t stream, const StepArguments& arguments) {
  return arguments.step.shape.head_dim == 128 ? launch_step<N, 128>(stream, arguments) : launch_step<N, 64>(stream, arguments);
}

}  // namespace

std::size_t decode_workspace_bytes(const DecodeShape& shape, int row_capacity, int span_capacity) {
  BufferPlacer placer(nullptr);
  placer.step(shape, row_capacity, span_capacity);
  return placer.bytes();
}

cudaError_t decode_step(cudaStream_t stream, const DecodeStep& step) {
  const DecodeShape& shape = step.shape;
  const bool fits = (shape.head_dim == 64 || shape.head_dim == 128) && shape.kv_heads > 0 &&
                    shape.heads % shape.kv_heads == 0 && shape.heads / shape.kv_heads <= decode_group_max &&
                    shape.hidden % 16 == 0 && shape.intermediate % (tile_outputs / 2) == 0 && step.rows > 0 &&
                    step.rows <= step.row_capacity && static_cast<long long>(step.span_capacity) * shape.kv_heads <= items_max;
  if (!fits) return cudaErrorInvalidValue;
  const StepArguments arguments =
      arguments_of(step, BufferPlacer(step.workspace).step(shape, step.row_capacity, step.span_capacity));
  switch (step.row_capacity) {
    case 8: return launch_step<8>(stream, arguments);
    case 16: return launch_step<16>(stream, arguments);
    case 32: return launch_step<32>(stream, arguments);
    case 64: return launch_step<64>(stream, arguments);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace troupe::kernels::cuda
