#include "kernels/cuda/decode_attention.hpp"

#include "kernels/cuda/decode_fold.cuh"
#include "kernels/cuda/decode_shares.cuh"
#include "kernels/cuda/launch.hpp"

namespace troupe::kernels::cuda {

namespace {

// A block has three roles: a warpgroup that attends, warps that fold what several blocks have of a run, while the first goes on
// with other spans, and a warp that streams keys and values to the first, some spans ahead. All are eight warps: with nine, a
// thread would get 96 registers only.
constexpr int attending_threads = warpgroup;
constexpr int threads = attending_threads + folding_warps * 32 + 32;
constexpr int blocks_each = 2;  ///< on a multiprocessor

constexpr int warp_blocks = attention_warp_span / kv_block_positions;
constexpr int quarters = attention_tile_span / attention_warp_span;
constexpr int span_stages = 2 * quarters;  ///< the keys, then the values

/// What is to be done with a span.
struct SpanJob {
  std::int32_t row;  ///< of queries and of attended
  std::int32_t kv_head;
  std::int32_t positions;
  std::int32_t entry;    ///< where its values, or the fold up to it, are kept, or -1
  std::int32_t counter;  ///< counts that all of this block's part of the run is kept, or -1
  bool begins;           ///< a fold
  bool folds;            ///< continues it
  bool ends;             ///< the run: the fold is the output
};

/// A stage is the keys, or the values, of a quarter of a span.
template <int HeadDim>
struct RingShape {
  static constexpr int head_bytes = kv_block_positions * HeadDim * 2;
  static constexpr int stage_bytes = warp_blocks * head_bytes;
  static constexpr int stages = 88 * 1024 / stage_bytes;
  /// Spans that are in the ring at once, or whose queries are still wanted: before one is claimed that has the same place, the
  /// first stage of values of the span that had it has been read, and so have its keys.
  static constexpr int jobs = HeadDim == 128 ? 2 : 4;
  static_assert(jobs * span_stages >= stages + quarters);
  static constexpr int query_bytes = HeadDim * 2 + 16;  ///< a row; so far apart, eight rows lie in different banks
};

template <int HeadDim>
struct BlockShared {
  using Shape = RingShape<HeadDim>;
  alignas(128) std::byte stages[Shape::stages][Shape::stage_bytes];
  SpanShared span;
  alignas(16) std::byte queries[Shape::jobs][attention_tile_heads][Shape::query_bytes];
  FoldShared folds[folding_warps];
  SpanJob jobs[Shape::jobs];
  Barrier full[Shape::stages];
  Barrier empty[Shape::stages];
};

/// A place in the ring, and which filling of it.
template <int HeadDim>
struct Cursor {
  int index = 0;
  std::uint32_t parity = 0;
  __device__ __forceinline__ Cursor after(int stages) const {
    constexpr int all = RingShape<HeadDim>::stages;
    const int next = index + stages;
    return next >= all ? Cursor{next - all, parity ^ 1} : Cursor{next, parity};
  }
};

/// One warp: says what is to be done with the block's spans, and brings what they need. Of keys and values, a lane brings one
/// block.
template <int HeadDim>
struct Streamer {
  using Shape = RingShape<HeadDim>;
  const DecodeAttention& p;
  BlockShared<HeadDim>& shared;
  Cursor<HeadDim> cursor{};
  bool refills = false;  ///< the ring has been full once
  int job = 0;

  __device__ void stream(const SpanRange& range, const SplitRun& split, int entry, bool begun) {
    SpanWalk walk(p, range);
    // Spans of a run that other blocks began are kept one by one.
    int kept = !begun && split.parts > 0 ? min(walk.spans() - range.span, range.spans) : 0;
    for (; walk.at.spans > 0; walk.next()) {
      const SpanRange& at = walk.at;
      const bool keeps = kept > 0;
      const bool keeps_fold = begun && at.spans == 1;
      SpanJob now{};
      now.row = walk.row.row;
      now.kv_head = at.kv_head;
      now.positions = min(attention_tile_span, walk.row.position + 1 - at.span * attention_tile_span);
      now.entry = keeps || keeps_fold ? entry : -1;
      now.counter = (keeps && kept == 1) || keeps_fold ? split.counter : -1;
      now.begins = at.span == 0;
      now.folds = !keeps;
      now.ends = !keeps && at.span + 1 == walk.spans();
      if (keeps) {
        --kept;
        ++entry;
      }
      bring(now, walk);
    }
  }

 private:
  __device__ void bring(const SpanJob& now, const SpanWalk& walk) {
    constexpr int span_blocks = attention_tile_span / kv_block_positions;
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int values = lane / span_blocks;
    const int block = lane % span_blocks;
    const int rows = lane < 2 * span_blocks ? min(kv_block_positions, now.positions - block * kv_block_positions) : 0;
    const std::int32_t* const blocks = p.blocks + static_cast<std::size_t>(walk.row.sequence) * p.blocks_stride;
    const std::int32_t number = rows > 0 ? __ldcg(blocks + walk.at.span * span_blocks + block) : 0;
    const int group = p.heads / p.kv.kv_heads;
#pragma unroll 1
    for (int i = 0; i < span_stages; ++i) {
      Barrier& full = shared.full[cursor.index];
      if (refills) shared.empty[cursor.index].wait(cursor.parity ^ 1);
      if (lane == 0) {
        if (i == 0) shared.jobs[job] = now;
        const int quarter = i % quarters * attention_warp_span;
        const int positions = min(attention_warp_span, max(now.positions - quarter, 0));
        full.arrive_expecting(static_cast<std::uint32_t>((positions + (i == 0 ? group : 0)) * HeadDim * 2));
      }
      __syncwarp();
      if (rows > 0 && lane / warp_blocks == i) {
        std::byte* const target = shared.stages[cursor.index] + lane % warp_blocks * Shape::head_bytes;
        copy_rows(target, p.kv.head(number, p.layer, values, now.kv_head), rows, full);
      }
      const int head = lane - attention_tile_heads;
      if (i == 0 && head >= 0 && head < group) {
        const std::size_t from = static_cast<std::size_t>(now.row) * p.heads + now.kv_head * group + head;
        copy_bulk(shared.queries[job][head], p.queries + from * HeadDim, HeadDim * 2, full);
      }
      cursor = cursor.after(1);
      refills = refills || cursor.index == 0;
    }
    job = job + 1 == Shape::jobs ? 0 : job + 1;
  }
  /// The first positions of a KV block: 64 dimensions of all positions lie together.
  __device__ static void copy_rows(std::byte* target, const bf16* source, int rows, Barrier& full) {
    if (rows == kv_block_positions) return copy_bulk_once(target, source, Shape::head_bytes, full);
    constexpr int part = kv_block_positions * panel_inputs;
#pragma unroll
    for (int i = 0; i < HeadDim / panel_inputs; ++i)
      copy_bulk_once(target + i * part * 2, source + i * part, static_cast<std::uint32_t>(rows * panel_inputs * 2), full);
  }
};

/// The warpgroup that computes spans.
template <int HeadDim>
struct Attender {
  using Shape = RingShape<HeadDim>;
  static constexpr int tiles = HeadDim / 32;  ///< of eight dimensions, in a warp's quarter
  const DecodeAttention& p;
  BlockShared<HeadDim>& shared;
  Cursor<HeadDim> cursor{};
  int job = 0;
  RowState state;
  float folded[tiles][4];

  __device__ void attend(int spans) {
    for (int i = 0; i < spans; ++i) {
      attend_span();
      cursor = cursor.after(span_stages);
      job = job + 1 == Shape::jobs ? 0 : job + 1;
    }
  }

 private:
  __device__ static int warp() { return static_cast<int>(threadIdx.x) / 32; }
  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  __device__ void wait(const Cursor<HeadDim>& at) { shared.full[at.index].wait(at.parity); }
  __device__ void release(int first_stage) {
    __syncwarp();
    if (lane() < quarters) shared.empty[cursor.after(first_stage + lane()).index].arrive();
  }

  __device__ __forceinline__ void attend_span() {
    const float factor = p.scale * log2_e;
    wait(cursor);  // with the first keys come the job and its queries
    const SpanJob now = shared.jobs[job];
    const Cursor<HeadDim> own = cursor.after(warp());
    wait(own);
    float scores[4][4] = {};
    const std::uint32_t queries = shared_address(shared.queries[job]);
    score_positions<HeadDim>(
        scores, [&](int row, int dim) { return queries + row * Shape::query_bytes + dim * 2; },
        shared_address(shared.stages[own.index]));
    release(0);
    float most[2];
    weigh_positions(scores, now.positions, factor, shared.span, most);
    if (now.positions < attention_tile_span) clear_values(now.positions);
    warpgroup_sync();

    float sums[tiles][4] = {};
    multiply_positions<HeadDim>(sums, shared.span, [&](int block) {
      const Cursor<HeadDim> at = cursor.after(quarters + block / warp_blocks);
      if (block % warp_blocks == 0) wait(at);
      return shared_address(shared.stages[at.index]) + block % warp_blocks * Shape::head_bytes;
    });
    if (now.positions < attention_tile_span) fence_proxy_async();  // the copies to come are after the zeros
    release(quarters);
    const float total[2] = {weight_total(shared.span, lane() / 4), weight_total(shared.span, lane() / 4 + 8)};
    if (now.folds) {
      fold(now, sums, most, total, factor);
      if (now.ends) write_output(now);
      if (now.entry >= 0) keep(now, folded, state.most, state.total);
    } else {
      keep(now, sums, most, total);
    }
    if (now.counter >= 0) {
      warpgroup_sync();
      if (threadIdx.x == 0) add_release(p.workspace.counters + now.counter, 1);
    }
  }

  /// Zeros after the row's position, where a block may hold anything: weights are zero there, and so have values to be.
  __device__ void clear_values(int positions) {
    constexpr int pieces = HeadDim / 8;
    for (int i = 0; i < quarters; ++i) wait(cursor.after(quarters + i));
    for (int at = positions * pieces + static_cast<int>(threadIdx.x); at < attention_tile_span * pieces; at += warpgroup) {
      const int position = at / pieces;
      const int place = position % attention_warp_span / kv_block_positions * (Shape::head_bytes / 2) +
                        KvTiles::place(position, at % pieces * 8);
      std::byte* const stage = shared.stages[cursor.after(quarters + position / attention_warp_span).index];
      *reinterpret_cast<int4*>(stage + place * 2) = int4{};
    }
  }

  __device__ __forceinline__ void fold(const SpanJob& now, const float (&sums)[tiles][4], const float (&most)[2],
                                       const float (&total)[2], float factor) {
    if (now.begins) {
      state = RowState{};
#pragma unroll
      for (auto& tile : folded)
        for (float& value : tile) value = 0;
    }
    state.add_span(most, total, factor);
#pragma unroll
    for (int tile = 0; tile < tiles; ++tile) state.fold(folded[tile], sums[tile]);
  }

  /// Calls visit(head of the group, first dimension of the thread's two, tile, its place in a tile's sums).
  template <class Visit>
  __device__ __forceinline__ void for_each_pair(const Visit& visit) const {
    const int group = p.heads / p.kv.kv_heads;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int head = lane() / 4 + 8 * i;
      if (head >= group) continue;
#pragma unroll
      for (int tile = 0; tile < tiles; ++tile) visit(head, warp() * (HeadDim / 4) + tile * 8 + lane() % 4 * 2, tile, 2 * i);
    }
  }
  __device__ __forceinline__ void write_output(const SpanJob& now) const {
    const float inverse[2] = {__frcp_rn(state.total[0]), __frcp_rn(state.total[1])};
    const int first_head = now.kv_head * (p.heads / p.kv.kv_heads);
    for_each_pair([&](int head, int dim, int tile, int at) {
      bf16* const target = p.attended.data + p.attended.offset(now.row, (first_head + head) * HeadDim + dim);
      *reinterpret_cast<__nv_bfloat162*>(target) =
          __floats2bfloat162_rn(folded[tile][at] * inverse[at / 2], folded[tile][at + 1] * inverse[at / 2]);
    });
  }
  __device__ __forceinline__ void keep(const SpanJob& now, const float (&values)[tiles][4], const float (&most)[2],
                                       const float (&total)[2]) const {
    const int group = p.heads / p.kv.kv_heads;
    const std::size_t first = static_cast<std::size_t>(now.entry) * group;
    for_each_pair([&](int head, int dim, int tile, int at) {
      float* const target = p.workspace.values + (first + head) * HeadDim + dim;
      __stcg(reinterpret_cast<float2*>(target), make_float2(values[tile][at], values[tile][at + 1]));
    });
    if (warp() != 0 || lane() % 4 != 0) return;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int head = lane() / 4 + 8 * i;
      if (head < group) __stcg(p.workspace.sums + first + head, make_float2(most[i], total[i]));
    }
  }
};

template <int HeadDim>
__global__ void __launch_bounds__(threads, blocks_each) attend_shares(const __grid_constant__ DecodeAttention p) {
  extern __shared__ std::byte memory[];
  auto& shared = *reinterpret_cast<BlockShared<HeadDim>*>(memory);
  using Shape = RingShape<HeadDim>;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    for (int stage = 0; stage < Shape::stages; ++stage) {
      shared.full[stage].init(1);
      shared.empty[stage].init(attending_threads / 32);
    }
    fence_barrier_init();
  }
  __syncthreads();
  let_next_begin();
  wait_for_previous();
  const DecodeShare& share = p.workspace.shares[blockIdx.x];
  if (thread < attending_threads) {
    Attender<HeadDim> role{p, shared};
    role.attend(share.begun.spans + share.rest.spans);
  } else if (thread < attending_threads + folding_warps * 32) {
    const int warp = (thread - attending_threads) / 32;
    Folder<HeadDim> role{p, shared.folds[warp], warp};
    role.fold(share.split[0]);
    role.fold(share.split[1]);
  } else {
    Streamer<HeadDim> role{p, shared};
    role.stream(share.begun, share.split[0], share.begun_entry, true);
    role.stream(share.rest, share.split[1], share.first_entry, false);
  }
}

template <int HeadDim>
cudaError_t launch_shares(cudaStream_t stream, const DecodeAttention& p) {
  constexpr int bytes = sizeof(BlockShared<HeadDim>);
  static_assert(blocks_each * (bytes + 1024) <= 228 * 1024, "the blocks of a multiprocessor wait for each other");
  const LaunchShape shape{dim3(static_cast<unsigned>(decode_attention_blocks())), threads, bytes, 1};
  return launch(stream, shape, attend_shares<HeadDim>, p);
}

}  // namespace

int decode_attention_blocks() {
  int device = 0;
  int processors = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return 0;
  if (cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device) != cudaSuccess) return 0;
  return blocks_each * processors;
}

cudaError_t decode_attention(cudaStream_t stream, const DecodeAttention& arguments) {
  if (!fits(arguments)) return cudaErrorInvalidValue;
  if (arguments.row_count == 0) return cudaSuccess;
  if (arguments.kv.head_dim == 64) return launch_shares<64>(stream, arguments);
  if (arguments.kv.head_dim == 128) return launch_shares<128>(stream, arguments);
  return cudaErrorInvalidValue;
}

}  // namespace troupe::kernels::cuda
