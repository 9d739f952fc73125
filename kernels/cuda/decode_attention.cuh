// Attention within a step of decoding: what a block does with its runs (decode_runs.cuh). The arithmetic of a span is in
// attention_span.cuh.
//
// A run that the block has whole is folded in registers, span by span. So is one that two blocks have: the first one publishes
// how far it has come, and the other goes on from there. Of one that more blocks have, each span is published by itself, and
// then these blocks fold all of them together (decode_run_fold.cuh).
#pragma once

#include "kernels/cuda/attention_span.cuh"
#include "kernels/cuda/decode_buffers.hpp"
#include "kernels/cuda/decode_runs.cuh"
#include "kernels/cuda/published.cuh"
#include "kernels/cuda/rows.cuh"
#include "kernels/cuda/step_ring.cuh"

namespace troupe::kernels::cuda {

struct AttentionShared {
  /// 16 rows of up to two times 64, laid out like KV tiles.
  alignas(128) bf16 queries[decode_group_max * 128];
  SpanShared span;
};

/// A layer's weights of norms over heads, or null.
struct HeadNorms {
  const float* query;
  const float* key;
};

/// A head of a row's queries, keys or values (in this order), a lane's elements of it as rotate_head wants them. What is not
/// written yet is asked for again by `await`, so that several heads can be on their way at once.
template <int HeadDim>
struct HeadAhead {
  const float* source = nullptr;
  float value[HeadDim / 32] = {};

  __device__ void ask(const DecodeShape& shape, const float* qkv, int row, int head, int lane) {
    const std::size_t width = static_cast<std::size_t>(shape.heads + 2 * shape.kv_heads) * HeadDim;
    source = qkv + static_cast<std::size_t>(row) * width + static_cast<std::size_t>(head) * HeadDim + lane;
#pragma unroll
    for (int i = 0; i < HeadDim / 32; ++i) value[i] = load_published(source + 32 * i);
  }
  __device__ void await() {
    await_published(value, [&](int i) { return source + 32 * i; });
  }
};

/// A block's runs, by a warpgroup. Takes their stages from the ring. `Rows` of a thread's two rows are query heads' at all.
template <int N, int HeadDim, int Rows>
struct RunAttender {
  using Stages = Ring<N>;
  static constexpr int positions = Stages::template positions<HeadDim>;  ///< of a stage
  static constexpr int span_stages = attention_tile_span / positions;    ///< of a span's keys, and as many of its values
  static constexpr int head_bytes = kv_block_positions * HeadDim * 2;
  static constexpr int tiles = HeadDim / 32;  ///< of eight dimensions, in a warp's quarter
  // The token's own keys and values are two warps'; queries a head a warp.
  static constexpr int key_warp = 3;
  static constexpr int value_warp = 2;

  const DecodeStep& step;
  int group;  ///< query heads that share a KV head
  const LayerBuffers& buffers;
  const HeadNorms& norms;
  int layer;
  const Stages& ring;
  AttentionShared& shared;
  int own_warp;  ///< of the four
  RingPlace<Stages::stages>& at;
  SpanThread thread;  ///< as this_thread says, for each run

  /// Rows that are no heads are zeros, from the first run on. Whoever reads them has met at warpgroup_sync by then.
  __device__ __forceinline__ static void clear_queries(int group, int warp, AttentionShared& shared) {
    const SpanThread of = this_thread(warp);
    for (int head = group + of.warp; head < decode_group_max; head += 4) {
#pragma unroll
      for (int i = 0; i < HeadDim / 32; ++i) shared.queries[KvTiles::place(head, of.lane + 32 * i)] = __float2bfloat16_rn(0.0f);
    }
  }
  /// The run is so many parts' of its sequence's KV head, the one of this index.
  __device__ __forceinline__ void attend(const Run& run, const PartOf& part) {
    const bool folds = part.parts <= folding_parts_max;
    thread = this_thread(own_warp);
    // All that a warp needs of other blocks is asked for at once, before anything is computed.
    OfRow query;
    OfRow token;
    std::int32_t token_block = 0;  // the KV block that it goes to
    if (warp() < group) query.elements.ask(step.shape, buffers.qkv, run.row, run.kv_head * group + warp(), lane());
    const bool appends = run.has_token() && warp() >= value_warp;
    if (appends) {
      const int head = step.shape.heads + run.kv_head + (warp() == value_warp ? step.shape.kv_heads : 0);
      token.elements.ask(step.shape, buffers.qkv, run.row, head, lane());
      token_block = __ldcg(step.blocks + run.row * step.blocks_stride + run.position / kv_block_positions);
      token.rotation.load(norms.key, cosine(run), sine(run));
    }
    query.rotation.load(norms.query, cosine(run), sine(run));
    RowState state;
    float folded[tiles][4] = {};
    for (int span = run.first_span; span < run.end_span; ++span) {
      float values[tiles][4] = {};
      float most[2];
      float total[2];
      if (span == run.first_span) take_queries(run, query);
      attend_span(run, span, token, token_block, values, most, total);
      if (!folds) {
        publish_entry(run.begin + span, values, most, total);
        continue;
      }
      if (span > 0 && span == run.first_span) take_entry(run.begin, folded, state);
      state.template add_span<Rows>(most, total, step.shape.scale * log2_e);
#pragma unroll
      for (int tile = 0; tile < tiles; ++tile) state.fold(folded[tile], values[tile]);
    }
    if (!folds) return;
    if (run.has_token()) {
      publish_output(run, folded, state);
    } else {
      publish_entry(run.begin, folded, state.most, state.total);
    }
  }

 private:
  /// What a warp has of a row that the step computes.
  struct OfRow {
    HeadAhead<HeadDim> elements;
    HeadRotation<HeadDim> rotation;
  };

  /// Beside many rows there are no registers for what could be computed once for all layers.
  __device__ __forceinline__ static SpanThread this_thread(int warp) {
    return {warp, static_cast<int>((N == 8 ? threadIdx.x : thread_read_anew()) % 32)};
  }
  __device__ __forceinline__ int warp() const { return thread.warp; }
  __device__ __forceinline__ int lane() const { return thread.lane; }
  __device__ __forceinline__ const float* cosine(const Run& run) const { return step.cosine + run.position * (HeadDim / 2); }
  __device__ __forceinline__ const float* sine(const Run& run) const { return step.sine + run.position * (HeadDim / 2); }
  /// The stages of the ring that hold a span's keys, or its values.
  struct SpanStages {
    int slots[span_stages];
  };
  /// The ring's next ones, as soon as they are there.
  __device__ __forceinline__ SpanStages next_stages() {
    SpanStages stages;
    RingPlace<Stages::stages> places[span_stages];
    bool are_there = true;
#pragma unroll
    for (int i = 0; i < span_stages; ++i) {
      stages.slots[i] = at.slot;
      places[i] = at;
      are_there &= ring.barriers.full[at.slot].has_ended(at.parity);
      at.advance();
    }
    if (!are_there) {
#pragma unroll
      for (int i = 0; i < span_stages; ++i) ring.barriers.full[places[i].slot].wait(places[i].parity);
    }
    return stages;
  }
  __device__ __forceinline__ void release(const SpanStages& stages) const {
    if (lane() != 0) return;
#pragma unroll
    for (int i = 0; i < span_stages; ++i) ring.barriers.empty[stages.slots[i]].arrive();
  }
  /// Where a position of the span has its KV block.
  __device__ __forceinline__ std::byte* block_of(const SpanStages& stages, int position) const {
    int slot = stages.slots[0];
#pragma unroll
    for (int i = 1; i < span_stages; ++i) slot = position >= i * positions ? stages.slots[i] : slot;
    return ring.memory + slot * Stages::stage_bytes + position % positions / kv_block_positions * head_bytes;
  }

  /// The weighted values of a span, its largest scores and its sums of weights. Queries come with the run's first span, the
  /// token with the sequence's last one.
  __device__ __forceinline__ void attend_span(const Run& run, int span, OfRow& token, std::int32_t token_block,
                                              float (&values)[tiles][4], float (&most)[2], float (&total)[2]) {
    const bool first = span == run.first_span;
    const bool last = span + 1 == run.spans;
    const SpanStages keys = next_stages();
    SpanStages span_values{};
    if (last) {
      span_values = next_stages();
      if (warp() == key_warp) {
        float out[HeadDim / 32];
        token.elements.await();
        rotate_head<HeadDim>(token.elements.value, token.rotation, step.shape.epsilon, out);
        append_token(run, token_block, 0, keys, out);
      } else if (warp() == value_warp) {
        token.elements.await();
        append_token(run, token_block, 1, span_values, token.elements.value);
      }
      clear_values_after(run, span_values);
    }
    if (last || first) warpgroup_sync();
    float scores[4][4] = {};
    const std::uint32_t queries = shared_address(shared.queries);
    const int positions_here = run.positions(span);
    // Of a short span a warp may have no position; its scores do not count.
    if (warp() * attention_warp_span < positions_here) {
      score_positions<HeadDim>(
          thread, scores, [&](int row, int dim) { return queries + KvTiles::place(row, dim) * 2; },
          shared_address(block_of(keys, warp() * attention_warp_span)));
    }
    weigh_positions<Rows>(thread, scores, positions_here, step.shape.scale * log2_e, shared.span, most);
    warpgroup_sync();
    if (last) fence_proxy_async();  // the copy engine will write over what has been written here
    release(keys);
    weight_totals<Rows>(shared.span, lane(), total);
    if (!last) span_values = next_stages();
    const auto block_place = [&](int k) { return shared_address(block_of(span_values, k * kv_block_positions)); };
    if (positions_here < attention_tile_span) {
      // Nothing is added for the blocks that a short span has not: their weights are zeros.
#pragma unroll 1
      for (int k = 0; k < divided_up(positions_here, kv_block_positions); ++k)
        multiply_block<HeadDim>(thread, values, shared.span, k, block_place(k));
    } else {
      multiply_positions<HeadDim>(thread, values, shared.span, block_place);
    }
    release(span_values);
  }
  __device__ __forceinline__ void take_queries(const Run& run, OfRow& query) {
    for (int head = warp(); head < group; head += 4) {
      float out[HeadDim / 32];
      query.elements.await();
      rotate_head<HeadDim>(query.elements.value, query.rotation, step.shape.epsilon, out);
      if (head + 4 < group) query.elements.ask(step.shape, buffers.qkv, run.row, run.kv_head * group + head + 4, lane());
#pragma unroll
      for (int i = 0; i < HeadDim / 32; ++i)
        shared.queries[KvTiles::place(head, lane() + 32 * i)] = __float2bfloat16_rn(out[i]);
    }
  }
  /// Writes the token's own keys (or values), which a warp has, to its block and, over whatever came with the block, to the
  /// ring.
  __device__ __forceinline__ void append_token(const Run& run, std::int32_t block, int values, const SpanStages& stages,
                                               const float (&elements)[HeadDim / 32]) const {
    bf16* const target = step.kv.head(block, layer, values, run.kv_head);
    bf16* const here = reinterpret_cast<bf16*>(block_of(stages, run.position % attention_tile_span));
#pragma unroll
    for (int i = 0; i < HeadDim / 32; ++i) {
      const bf16 rounded = __float2bfloat16_rn(elements[i]);
      target[KvTiles::place(run.position, lane() + 32 * i)] = rounded;
      here[KvTiles::place(run.position, lane() + 32 * i)] = rounded;
    }
  }
  /// Zeros after the token's values in its KV block, so that nothing of what it held before counts, not even times zero.
  __device__ __forceinline__ void clear_values_after(const Run& run, const SpanStages& stages) const {
    const int first = run.position % attention_tile_span + 1;
    const int end = divided_up(first, kv_block_positions) * kv_block_positions;
    for (int position = first + warp(); position < end; position += 4) {
      bf16* const here = reinterpret_cast<bf16*>(block_of(stages, position));
#pragma unroll
      for (int i = 0; i < HeadDim / 32; ++i) here[KvTiles::place(position, lane() + 32 * i)] = __float2bfloat16_rn(0.0f);
    }
  }

  // What comes out, of the thread's two heads and its quarter's dimensions.

  __device__ __forceinline__ int head_of(int i) const { return lane() / 4 + 8 * i; }
  __device__ __forceinline__ int dim_of(int tile) const { return warp() * (HeadDim / 4) + tile * 8 + lane() % 4 * 2; }
  __device__ __forceinline__ std::size_t piece_of(int entry, int i) const {
    return static_cast<std::size_t>(entry) * static_cast<std::size_t>(group) + static_cast<std::size_t>(head_of(i));
  }
  __device__ __forceinline__ float2* values_at(int entry, int i, int tile) const {
    return reinterpret_cast<float2*>(buffers.spans + piece_of(entry, i) * HeadDim + dim_of(tile));
  }
  /// A span, or the fold up to one.
  __device__ __forceinline__ void publish_entry(int entry, const float (&values)[tiles][4], const float (&most)[2],
                                                const float (&total)[2]) const {
#pragma unroll
    for (int i = 0; i < Rows; ++i) {
      if (head_of(i) >= group) continue;
      if (warp() == 0 && lane() % 4 == 0) publish(buffers.span_sums + piece_of(entry, i), make_float2(most[i], total[i]));
#pragma unroll
      for (int tile = 0; tile < tiles; ++tile)
        publish(values_at(entry, i, tile), make_float2(values[tile][2 * i], values[tile][2 * i + 1]));
    }
  }
  /// The fold up to the run, which another block publishes.
  __device__ __forceinline__ void take_entry(int entry, float (&folded)[tiles][4], RowState& state) const {
#pragma unroll
    for (int i = 0; i < Rows; ++i) {
      const auto source = [&](int at) { return at < tiles ? values_at(entry, i, at) : buffers.span_sums + piece_of(entry, i); };
      float2 taken[tiles + 1] = {};
#pragma unroll
      for (int at = 0; at <= tiles; ++at) {
        if (head_of(i) < group) taken[at] = load_published(source(at));
      }
      await_published(taken, source);
#pragma unroll
      for (int tile = 0; tile < tiles; ++tile) {
        folded[tile][2 * i] = taken[tile].x;
        folded[tile][2 * i + 1] = taken[tile].y;
      }
      state.most[i] = taken[tiles].x;
      state.total[i] = taken[tiles].y;
    }
  }
  __device__ __forceinline__ void publish_output(const Run& run, const float (&folded)[tiles][4], const RowState& state) const {
#pragma unroll
    for (int i = 0; i < Rows; ++i) {
      if (head_of(i) >= group) continue;
      const float inverse = __frcp_rn(state.total[i]);
      const int column = (run.kv_head * group + head_of(i)) * HeadDim;
#pragma unroll
      for (int tile = 0; tile < tiles; ++tile) {
        publish(buffers.attended.data + buffers.attended.offset(run.row, column + dim_of(tile)),
                bits_of(__floats2bfloat162_rn(folded[tile][2 * i] * inverse, folded[tile][2 * i + 1] * inverse)));
      }
    }
  }
};

}  // namespace troupe::kernels::cuda
