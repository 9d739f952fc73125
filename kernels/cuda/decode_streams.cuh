// The warps that bring a step's tasks what they read: one streams weights, keys and values, which nobody waits for; some bring
// the rows of activations as soon as they are written; one says what their lengths divide products by.
#pragma once

#include "kernels/cuda/decode_tasks.cuh"

namespace troupe::kernels::cuda {

// Loops that mostly run once or twice are not unrolled: their code has to be fetched for each layer.

inline constexpr int row_warps = 6;
/// The threads of a block: a warpgroup that computes, then the warp of weights, that of scales, and those of rows.
inline constexpr int step_threads = warpgroup + (2 + row_warps) * 32;

/// Nothing of what this streams but the last position of a sequence is written by the step.
template <int N, int HeadDim>
struct WeightStreamer {
  using Stages = Ring<N>;
  /// Where the ring is full and stays so, all blocks wait for an operation before, and the memory has nothing to do. Then some
  /// of what comes next goes to the L2 cache, if the ring has few stages (beside many rows) and they are soon computed:
  /// elsewhere it is in the way of what is waited for (docs/performance.md).
  static constexpr bool fetches_ahead = N == 32 && HeadDim == 128;
  static constexpr int waits_of_a_standstill = 12;
  static constexpr int stages_fetched = 4;

  const DecodeStep& step;
  const Stages& ring;
  StepShared<N>& shared;
  std::uint32_t memory;  ///< of the ring, as a shared_address
  int stage = 0;
  Run last_run = {};  ///< of this block's

  __device__ void wait_for_batch() { shared.batch.known.wait(0); }
  __device__ void begin(int /*layer*/, int /*operation*/, const Deal& /*deal*/) {}
  __device__ void product(int layer, int operation, const Matrix& matrix, int tile, int chunk) {
    const auto [first, end] = matrix.panels(chunk);
    const bf16* const weights = weights_of(step, layer, operation) + static_cast<std::size_t>(tile) *
                                                                         static_cast<std::size_t>(matrix.weight.panels()) *
                                                                         tile_elements;
    const int stages = (end - first) / Stages::panels;
    if (is_elected()) stream_stages(weights + static_cast<std::size_t>(first) * tile_elements, stages);
    __syncwarp();
    stage += stages;
  }
  __device__ void attention(int layer, const Items& items) {
    const int kv_heads = step.shape.kv_heads;
    if (layer == 0) last_run = shared.batch.run_of(items, items.end - 1, kv_heads);
    for (Run run = last_run;; run = shared.batch.run_before(items, run, kv_heads)) {
      for (int span = run.first_span; span < run.end_span; ++span) stream_span(layer, run, span);
      if (run.begin <= items.first) break;
    }
  }

 private:
  /// From a stage's being empty until it is asked for the memory has less to do, so whatever can be is done before.
  __device__ void stream_stages(const bf16* source, int count) const {
    const int end = stage + count;
    int fetched = stage;        ///< stages up to here are in the L2 cache, or on their way
#pragma unroll N == 64 ? 4 : 1  // of 64 rows a stage has half of the weights
    for (int at = stage; at < end; ++at, source += Stages::panels * tile_elements) {
      const std::uint32_t target = place_of(at);
      Barrier& full = ring.full(at);
      if (fetches_ahead && !ring.is_empty_within(at, waits_of_a_standstill) && at >= fetched) {
        fetched = min(at + stages_fetched, end);
        prefetch_bulk(source, static_cast<std::uint32_t>((fetched - at) * Stages::weight_bytes));
      }
      ring.await_empty(at);
      full.arrive_expecting(Stages::weight_bytes);
      copy_bulk_once(target, source, Stages::weight_bytes, full);
      ring.claim(at);
    }
  }
  __device__ void stream_span(int layer, const Run& run, int span) {
    constexpr int positions = Stages::template positions<HeadDim>;
    constexpr int stage_blocks = positions / kv_block_positions;
    constexpr std::uint32_t block_bytes = kv_block_positions * HeadDim * 2;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    // A lane a block: the copies of a stage are asked for at once.
    const int blocks = divided_up(run.positions(span), kv_block_positions);
    const int number = span * (attention_tile_span / kv_block_positions) + lane;
    const std::int32_t own = lane < blocks ? __ldcg(step.blocks + run.row * step.blocks_stride + number) : 0;
    for (int values = 0; values < 2; ++values) {
      const bf16* const source = step.kv.head(own, layer, values, run.kv_head);
#pragma unroll 1
      for (int first = 0; first < attention_tile_span / kv_block_positions; first += stage_blocks, ++stage) {
        const int here = min(stage_blocks, max(blocks - first, 0));
        const std::uint32_t target = place_of(stage) + static_cast<std::uint32_t>(lane - first) * block_bytes;
        Barrier& full = ring.full(stage);
        ring.await_empty(stage);
        if (lane == 0) {
          full.arrive();  // for the rows that a product would have
          full.arrive_expecting(static_cast<std::uint32_t>(here) * block_bytes);
        }
        __syncwarp();
        if (lane >= first && lane < first + here) copy_bulk_once(target, source, block_bytes, full);
        if (lane == 0) ring.claim(stage);
      }
    }
  }
  /// A stage's weights in the ring; computed where it stands, before whatever is waited for next.
  __device__ std::uint32_t place_of(int at) const {
    std::uint32_t place = memory + static_cast<std::uint32_t>(at % Stages::stages * Stages::stage_bytes);
    asm volatile("" : "+r"(place));
    return place;
  }
};

/// The warps of rows and the one of scales begin an operation together, so that each knows of whatever any of them has seen.
__device__ __forceinline__ void begin_together() {
  constexpr int barrier = 8;
  __syncwarp();
  asm volatile("bar.sync %0, %1;" ::"n"(barrier), "n"((row_warps + 1) * 32) : "memory");
}

/// Streams activations: the warps take a product's stages in turn. The first product of an operation looks at every word until
/// it is written; the next ones copy what the same warp has seen.
template <int N, int HeadDim>
struct RowStreamer {
  using Stages = Ring<N>;
  static constexpr int row_pieces = panel_inputs * 2 / 16;  ///< of 16 bytes, of a row in a panel
  static constexpr int panel_pieces = N * row_pieces;
  static constexpr int stage_elements = Stages::panels * N * panel_inputs;
  /// Nanoseconds between looks at few rows. Whoever looks all the time is in the way of what is looked for: all blocks look at
  /// the same few lines of the L2 cache.
  static constexpr int look_pause = 100;
  const StepArguments& arguments;
  const Stages& ring;
  StepShared<N>& shared;
  int warp;  ///< of the row_warps
  int stage = 0;
  bool seen = false;  ///< this operation's rows

  __device__ void wait_for_batch() { shared.batch.known.wait(0); }
  __device__ void begin(int /*layer*/, int operation, const Deal& /*deal*/) {
    if (operation == op_attention) return;
    begin_together();
    seen = false;
  }
  __device__ void product(int layer, int operation, const Matrix& matrix, int /*tile*/, int chunk) {
    const auto [first, end] = matrix.panels(chunk);
    const bf16* const rows =
        input_of(arguments.buffers.of(layer), operation).data + static_cast<std::size_t>(first) * N * panel_inputs;
    const int stages = (end - first) / Stages::panels;
    if (seen) {
#pragma unroll 1
      for (int i = warp; i < stages; i += row_warps) copy(stage + i, rows + static_cast<std::size_t>(i) * stage_elements);
    } else {
      if (Stages::panels * arguments.step.rows * row_pieces <= 32) {
        take_few(rows, stages);
      } else {
#pragma unroll 1
        for (int i = warp; i < stages; i += row_warps)
          take(stage + i, rows + static_cast<std::size_t>(i) * stage_elements, i == warp);
      }
      fence_proxy_async_all();  // what the warp has seen, the copy engine shall see
      seen = true;
    }
    stage += stages;
  }
  __device__ void copy(int at, const bf16* source) const {
    constexpr std::uint32_t bytes = Stages::row_bytes;
    ring.await_claim(at);
    if (!is_elected()) return;
    Barrier& full = ring.full(at);
    full.arrive_expecting(bytes);
    copy_bulk(ring.rows(at), source, bytes, full);
  }
  /// The rows that are sequences, 16 bytes at a time, where a stage has at most one such piece for each lane. The next stage's
  /// are asked for before this one's are handed on.
  __device__ void take_few(const bf16* rows, int stages) const {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int of_panel = arguments.step.rows * row_pieces;
    const bool is_there = lane < Stages::panels * of_panel;
    const int place = lane < of_panel ? lane : lane - of_panel + panel_pieces;
    const auto* source = reinterpret_cast<const uint4*>(rows + static_cast<std::size_t>(warp) * stage_elements) + place;
    uint4 piece[1] = {};
    if (is_there && warp < stages) piece[0] = load_published(source);
#pragma unroll 1
    for (int i = warp; i < stages; i += row_warps) {
      auto* const target = reinterpret_cast<uint4*>(ring.rows(stage + i)) + place;
      ring.await_claim(stage + i);
      await_published<look_pause>(piece, [&](int /*index*/) { return source; });
      const uint4 found = piece[0];
      source += row_warps * stage_elements / 8;
      if (is_there && i + row_warps < stages) piece[0] = load_published(source);
      if (is_there) *target = found;
      give(stage + i);
    }
  }
  /// A stage's rows are there.
  __device__ __forceinline__ void give(int at) const {
    fence_proxy_async();  // the tensor cores read them
    __syncwarp();
    if (threadIdx.x % 32 == 0) ring.full(at).arrive();
  }
  /// The same of more rows, several pieces a lane at once. Before the first of an operation's nothing may be written yet.
  __device__ void take(int at, const bf16* source, bool first_stage) const {
    // Of few rows the lanes share what there is; of more each has its places, which need no computation.
    constexpr bool shares = N == 8;
    constexpr int ahead = shares ? 4 : 8;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int of_panel = arguments.step.rows * row_pieces;
    const auto* const from = reinterpret_cast<const uint4*>(source);
    auto* const to = reinterpret_cast<uint4*>(ring.rows(at));
    ring.await_claim(at);
    for (int first = 0; first < Stages::panels * panel_pieces; first += 32 * ahead) {
      const auto place = [&](int i) {
        const int index = first + 32 * i + lane;
        return !shares || index < of_panel ? index : index - of_panel + panel_pieces;
      };
      const auto is_there = [&](int i) {
        const int index = first + 32 * i + lane;
        return shares ? index < Stages::panels * of_panel : index % panel_pieces < of_panel;
      };
      const auto source_of = [&](int i) { return from + place(i); };
      uint4 piece[ahead] = {};
      if (is_there(0)) piece[0] = load_published(source_of(0));
      if (first_stage) await_first(piece[0], source_of);
#pragma unroll
      for (int i = 1; i < ahead; ++i) {
        if (is_there(i)) piece[i] = load_published(source_of(i));
      }
      await_published(piece, source_of);
#pragma unroll
      for (int i = 0; i < ahead; ++i) {
        if (is_there(i)) to[place(i)] = piece[i];
      }
    }
    give(at);
  }
  __device__ void attention(int /*layer*/, const Items& items) {
    stage += (items.end - items.first) * Stages::template stages_of_span<HeadDim>;
  }
};

/// Clears a part of what a layer's blocks write for each other: every so many pieces of 16 bytes.
struct Share {
  int first;
  int step;

  __device__ void clear(const RowTiles& tiles, int rows) const {
    const int pieces = rows * (tiles.inputs / 8);
#pragma unroll 1
    for (int i = first; i < pieces; i += step)
      *reinterpret_cast<uint4*>(tiles.data + tiles.offset(i % rows, i / rows * 8)) = cleared();
  }
  /// What is beyond the inputs becomes zero, and stays so.
  __device__ void clear_padding(const RowTiles& tiles, int rows) const {
    const int pieces = tiles.panels() * panel_inputs / 8 - tiles.inputs / 8;
#pragma unroll 1
    for (int i = first; i < rows * pieces; i += step)
      *reinterpret_cast<uint4*>(tiles.data + tiles.offset(i % rows, tiles.inputs + i / rows * 8)) = uint4{};
  }
  template <class Element>
  __device__ void clear(Element* elements, std::size_t count) const {
    const std::size_t pieces = (count * sizeof(Element) + 15) / 16;
#pragma unroll 1
    for (auto i = static_cast<std::size_t>(first); i < pieces; i += static_cast<std::size_t>(step))
      reinterpret_cast<uint4*>(elements)[i] = cleared();
  }
  __device__ void clear(const ResidualBuffers& buffers, int rows) const {
    clear(buffers.x, product_of(rows, buffers.normed.inputs));
    clear(buffers.normed, rows);
    clear(buffers.squares, product_of(divided_up(buffers.normed.inputs, 16), buffers.normed.capacity));
  }
  /// Of a step's rows, which have so many spans together; with or without the input, which the layer before writes.
  __device__ void clear(const DecodeShape& shape, const LayerBuffers& buffers, int rows, int spans, bool input) const {
    if (input) clear(buffers.attention_input, rows);
    clear(buffers.qkv, product_of(rows, (shape.heads + 2 * shape.kv_heads) * shape.head_dim));
    clear(buffers.spans, product_of(spans, shape.heads * shape.head_dim));
    clear(buffers.span_sums, product_of(spans, shape.heads));
    clear(buffers.attended, rows);
    clear(buffers.feed_forward_input, rows);
    clear(buffers.gated, rows);
  }

 private:
  static __device__ std::size_t product_of(int left, int right) {
    return static_cast<std::size_t>(left) * static_cast<std::size_t>(right);
  }
  static __device__ uint4 cleared() { return make_uint4(unwritten, unwritten, unwritten, unwritten); }
};

/// Says the rows' scales, and clears the buffers that are next to be written to.
template <int N>
struct ScaleSayer {
  const StepArguments& arguments;
  StepShared<N>& shared;
  std::int32_t scales_said = 0;
  std::int32_t cleared = 0;
  static constexpr int look_pause = 100;

  __device__ void wait_for_batch() const { shared.batch.known.wait(0); }
  __device__ void begin(int layer, int operation, const Deal& deal) {
    if (operation == op_attention) return;
    begin_together();
    if (!wants_scales(operation)) return;
    const LayerBuffers& buffers = arguments.buffers.of(layer);
    say_scales((operation == op_qkv ? buffers.attention_input : buffers.feed_forward_input).squares);
    if (operation == op_qkv && layer < arguments.step.shape.layers) clear(layer, deal);
  }
  /// Four lanes have a row, each every fourth slice.
  __device__ void find_scales(const float* squares) {
    const DecodeStep& step = arguments.step;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int slices = divided_up(step.shape.hidden, 16);
    for (int first = 0; first < step.rows; first += 8) {
      const int row = first + lane / 4;
      const auto load = [&](float(&square)[slices_at_once], int slice) {
        const auto source = [&](int i) { return squares + static_cast<std::size_t>(slice + 4 * i) * N + row; };
#pragma unroll
        for (int i = 0; i < slices_at_once; ++i)
          square[i] = row >= step.rows ? 1.0f : slice + 4 * i < slices ? __uint_as_float(unwritten) : 0.0f;
        await_published<look_pause>(square, source);
      };
      const float scale = norm_scale(load, slices, step.shape.hidden, step.shape.epsilon);
      if (lane % 4 == 0) shared.row_scales[row] = scale;
    }
  }
  /// The same of many rows: eight lanes have every fourth slice of 32 rows, each of them four.
  __device__ void find_many_scales(const float* squares) {
    constexpr int each = 4;
    constexpr int at_once = 8;
    const DecodeStep& step = arguments.step;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int slices = divided_up(step.shape.hidden, 16);
    for (int first = 0; first < step.rows; first += 32) {
      const int row = first + lane % 8 * each;
      const int rows = step.rows - row;  ///< that there are, from the lane's first on
      const auto largest = [&](const uint4& of) {
        return max(max(rows > 0 ? of.x : 0, rows > 1 ? of.y : 0), max(rows > 2 ? of.z : 0, rows > 3 ? of.w : 0));
      };
      const float* const own = squares + lane / 8 * N + row;
      const bool is_there = rows > 0 && lane / 8 < slices;
      float look = is_there ? load_published(own) : 0.0f;
      await_first<look_pause>(look, [&](int /*index*/) { return own; });
      float sums[each] = {};
      for (int first_slice = 0; first_slice < slices; first_slice += 4 * at_once) {  // as often in all lanes
        const int slice = first_slice + lane / 8;
        const auto source = [&](int i) {
          return reinterpret_cast<const uint4*>(squares + static_cast<std::size_t>(slice) * N + row) + i * N;
        };
        uint4 squared[at_once] = {};
#pragma unroll
        for (int i = 0; i < at_once; ++i) {
          if (rows > 0 && slice + 4 * i < slices) squared[i] = load_published(source(i));
        }
        await_published(squared, source, largest);
#pragma unroll
        for (int i = 0; i < at_once; ++i) {
          sums[0] += __uint_as_float(squared[i].x);
          sums[1] += __uint_as_float(squared[i].y);
          sums[2] += __uint_as_float(squared[i].z);
          sums[3] += __uint_as_float(squared[i].w);
        }
      }
#pragma unroll
      for (int i = 0; i < each; ++i) {
        sums[i] += __shfl_xor_sync(0xFFFFFFFF, sums[i], 8);
        sums[i] += __shfl_xor_sync(0xFFFFFFFF, sums[i], 16);
        if (lane < 8) shared.row_scales[row + i] = norm_scale(sums[i], step.shape.hidden, step.shape.epsilon);
      }
    }
  }
  __device__ void say_scales(const float* squares) {
    if constexpr (N < 32) {
      find_scales(squares);
    } else {
      find_many_scales(squares);
    }
    __syncwarp();
    ++scales_said;
    if (threadIdx.x % 32 == 0) store_release(&shared.scales_said, scales_said);
  }
  __device__ void clear(int layer, const Deal& deal) {
    const DecodeStep& step = arguments.step;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    wait_for_batch();
    for (int task = deal.first; task < deal.end; task += deal.step) {
      const Share share{task * 32 + lane, deal.end * 32};
      share.clear(step.shape, arguments.buffers.of(layer + generations - 1), step.rows, shared.batch.spans_before[step.rows],
                  true);
    }
    __threadfence();
    __syncwarp();
    ++cleared;
    if (lane == 0) store_release(&shared.cleared, cleared);
  }
  __device__ void product(int /*layer*/, int /*operation*/, const Matrix& /*matrix*/, int /*tile*/, int /*chunk*/) {}
  __device__ void attention(int /*layer*/, const Items& /*items*/) {}
};

}  // namespace troupe::kernels::cuda
