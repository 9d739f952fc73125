#include "kernels/cuda/decode_attention.hpp"

#include "kernels/cuda/decode_fold.cuh"
#include "kernels/cuda/decode_shares.cuh"
#include "kernels/cuda/launch.hpp"

namespace troupe::kernels::cuda {

namespace {

// A block has two warpgroups that attend, to every other span each, and four warps that stream keys and values to them, some
// spans ahead: a quarter of the positions each. What is folded passes from one warpgroup to the other, thread by thread. In the
// end those that attended fold what several blocks have of a run, where keys and values were.
constexpr int attending_warpgroups = 2;
constexpr int attending_threads = attending_warpgroups * warpgroup;
constexpr int threads = attending_threads + warpgroup;
constexpr int attending_barrier = 1 + threads / warpgroup;  ///< the first ones are those of warpgroup_sync
static_assert(folding_warps * 32 == attending_threads);

constexpr int warp_blocks = attention_warp_span / kv_block_positions;
constexpr int quarters = attention_tile_span / attention_warp_span;
constexpr int span_stages = 2 * quarters;  ///< the keys, then the values
constexpr int ring_bytes = 160 * 1024;

/// What is to be done with a span.
struct SpanJob {
  std::int32_t row;  ///< of queries and of attended
  std::int32_t kv_head;
  std::int32_t positions;
  std::int32_t entry;    ///< where the fold before it is kept, or is to be after it, or where its own values are to be; or -1
  std::int32_t counter;  ///< counts that all of this block's part of the run is kept
  bool begins;           ///< a fold
  bool resumes;          ///< one that another block began
  bool folds;            ///< continues it; if not, it is kept by itself
  bool ends;             ///< the run: the fold is the output
  bool tells;            ///< the counter, once it is kept
};

/// A stage is the keys, or the values, of a quarter of a span. Each streaming warp has every fourth one.
template <int HeadDim>
struct RingShape {
  static constexpr int head_bytes = kv_block_positions * HeadDim * 2;
  static constexpr int stage_bytes = warp_blocks * head_bytes;
  static constexpr int stages = ring_bytes / stage_bytes;
  static_assert(stages % quarters == 0, "a stage is always the same warp's");
  /// Spans that are in the ring at once, or whose queries are still wanted: before one is claimed that has the same place, the
  /// first stage of values of the span that had it has been read, and so have its keys.
  static constexpr int jobs = (stages + quarters + span_stages - 1) / span_stages;
  static_assert(jobs >= attending_warpgroups && stages >= attending_warpgroups * span_stages);
  static constexpr int query_bytes = HeadDim * 2 + 16;  ///< a row; so far apart, eight rows lie in different banks
};

template <int HeadDim>
struct BlockShared {
  using Shape = RingShape<HeadDim>;
  union {
    alignas(128) std::byte stages[Shape::stages][Shape::stage_bytes];
    FoldShared folds[folding_warps];  ///< once all spans have been attended to
  };
  SpanShared spans[attending_warpgroups];
  alignas(16) std::byte queries[Shape::jobs][attention_tile_heads][Shape::query_bytes];
  float4 folded[HeadDim / 32][warpgroup];  ///< by tile, and thread of whichever warpgroup has it
  float4 fold_state[warpgroup];            ///< two rows' largest scores and sums of weights, likewise
  SpanJob jobs[Shape::jobs];
  Barrier full[Shape::stages];
  Barrier empty[Shape::stages];
  Barrier turns[attending_warpgroups][warpgroup / 32];  ///< ends a phase when the warp is done with the fold for a span
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

/// A warp that brings a quarter of the positions of the block's spans; the first one also says what is to be done with them,
/// and brings queries.
template <int HeadDim>
struct Streamer {
  using Shape = RingShape<HeadDim>;
  const DecodeAttention& p;
  BlockShared<HeadDim>& shared;
  int quarter;
  Cursor<HeadDim> cursor;
  bool refills = false;  ///< its stages have been full once
  int job = 0;

  __device__ Streamer(const DecodeAttention& p, BlockShared<HeadDim>& shared, int quarter)
      : p(p), shared(shared), quarter(quarter), cursor(Cursor<HeadDim>{}.after(quarter)) {}

  __device__ void stream(const DecodeShare& share) {
    stream(share.begun, [&](const SpanWalk& walk, int, SpanJob& now) {
      now.folds = true;
      now.tells = walk.at.spans == 1;
      now.entry = now.tells ? share.begun_entry : -1;
      now.counter = share.begun_counter;
    });
    stream(share.rest, [&](const SpanWalk&, int index, SpanJob& now) {
      now.folds = index >= share.kept_spans;
      now.tells = index + 1 == share.kept_spans;
      now.entry = now.folds ? -1 : share.kept_entry + index;
      now.counter = share.split[1].counter;
    });
    stream(share.resumed, [&](const SpanWalk&, int index, SpanJob& now) {
      now.folds = true;
      now.resumes = index == 0;
      now.entry = now.resumes ? share.resumed_entry : -1;
      now.counter = share.resumed_counter;
    });
  }

 private:
  /// A span, and which KV block a lane is to bring of it.
  struct Coming {
    SpanJob job;
    std::int32_t block;
  };

  template <class Describe>
  __device__ __forceinline__ void stream(const SpanRange& range, const Describe& describe) {
    SpanWalk walk(p, range);
    if (walk.at.spans == 0) return;
    const auto look = [&](int index) {
      Coming coming{};
      SpanJob& now = coming.job;
      now.row = walk.row.row;
      now.kv_head = walk.at.kv_head;
      now.positions = min(attention_tile_span, walk.row.position + 1 - walk.at.span * attention_tile_span);
      now.begins = walk.at.span == 0;
      describe(walk, index, now);
      now.ends = now.folds && walk.at.span + 1 == walk.spans();
      constexpr int span_blocks = attention_tile_span / kv_block_positions;
      const std::int32_t* const blocks = p.blocks + static_cast<std::size_t>(walk.row.sequence) * p.blocks_stride;
      if (rows_of(now) > 0) coming.block = __ldcg(blocks + walk.at.span * span_blocks + quarter * warp_blocks + lane());
      return coming;
    };
    // The numbers of a span's KV blocks are on their way while the one before it is brought.
    Coming coming = look(0);
    for (int index = 1;; ++index) {
      const Coming now = coming;
      walk.next();
      const bool last = walk.at.spans == 0;
      if (!last) coming = look(index);
      bring(now);
      if (last) break;
    }
  }

  __device__ static int lane() { return static_cast<int>(threadIdx.x) % 32; }
  /// Of the lane's KV block.
  __device__ int rows_of(const SpanJob& now) const {
    return lane() < warp_blocks ? min(kv_block_positions, now.positions - (quarter * warp_blocks + lane()) * kv_block_positions)
                                : 0;
  }

  __device__ void bring(const Coming& coming) {
    const SpanJob& now = coming.job;
    const int rows = rows_of(now);
    const int positions = min(attention_warp_span, max(now.positions - quarter * attention_warp_span, 0));
    const int group = p.heads / p.kv.kv_heads;
#pragma unroll
    for (int values = 0; values < 2; ++values) {
      Barrier& full = shared.full[cursor.index];
      const bool tells_job = values == 0 && quarter == 0;
      if (refills) shared.empty[cursor.index].wait(cursor.parity ^ 1);
      if (lane() == 0) {
        if (tells_job) shared.jobs[job] = now;
        full.arrive_expecting(static_cast<std::uint32_t>((positions + (tells_job ? group : 0)) * HeadDim * 2));
      }
      __syncwarp();
      if (rows > 0) {
        std::byte* const target = shared.stages[cursor.index] + lane() * Shape::head_bytes;
        copy_rows(target, p.kv.head(coming.block, p.layer, values, now.kv_head), rows, full);
      }
      const int head = lane() - attention_tile_heads;
      if (tells_job && head >= 0 && head < group) {
        const std::size_t from = static_cast<std::size_t>(now.row) * p.heads + now.kv_head * group + head;
        copy_bulk(shared.queries[job][head], p.queries + from * HeadDim, HeadDim * 2, full);
      }
      const Cursor<HeadDim> next = cursor.after(quarters);
      refills = refills || next.index < cursor.index;
      cursor = next;
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

/// One of the warpgroups that compute spans.
template <int HeadDim>
struct Attender {
  using Shape = RingShape<HeadDim>;
  static constexpr int tiles = HeadDim / 32;  ///< of eight dimensions, in a warp's quarter
  const DecodeAttention& p;
  BlockShared<HeadDim>& shared;
  int which;
  SpanShared& span;
  Cursor<HeadDim> cursor;
  int job;

  __device__ Attender(const DecodeAttention& p, BlockShared<HeadDim>& shared, int which)
      : p(p),
        shared(shared),
        which(which),
        span(shared.spans[which]),
        cursor(Cursor<HeadDim>{}.after(which * span_stages)),
        job(which) {}

  __device__ void attend(int spans) {
    for (int index = which; index < spans; index += attending_warpgroups) {
      attend_span(index);
      cursor = cursor.after(attending_warpgroups * span_stages);
      job = (job + attending_warpgroups) % Shape::jobs;
    }
  }

 private:
  __device__ static int thread() { return static_cast<int>(threadIdx.x) % warpgroup; }
  __device__ static int warp() { return thread() / 32; }
  __device__ static int lane() { return thread() % 32; }
  __device__ static SpanThread thread_of_span() { return {warp(), lane()}; }
  __device__ void wait(const Cursor<HeadDim>& at) { shared.full[at.index].wait(at.parity); }
  __device__ void release(int first_stage) {
    __syncwarp();
    if (lane() < quarters) shared.empty[cursor.after(first_stage + lane()).index].arrive();
  }

  __device__ __forceinline__ void attend_span(int index) {
    const float factor = p.scale * log2_e;
    wait(cursor);  // with the first keys come the job and its queries
    const SpanJob now = shared.jobs[job];
    const Cursor<HeadDim> own = cursor.after(warp());
    wait(own);
    float scores[4][4] = {};
    const std::uint32_t queries = shared_address(shared.queries[job]);
    score_positions<HeadDim>(
        thread_of_span(), scores, [&](int row, int dim) { return queries + row * Shape::query_bytes + dim * 2; },
        shared_address(shared.stages[own.index]));
    release(0);
    float most[2];
    weigh_positions(thread_of_span(), scores, now.positions, factor, span, most);
    if (now.positions < attention_tile_span) clear_values(now.positions);
    warpgroup_sync();

    float sums[tiles][4] = {};
    multiply_positions<HeadDim>(thread_of_span(), sums, span, [&](int block) {
      const Cursor<HeadDim> at = cursor.after(quarters + block / warp_blocks);
      if (block % warp_blocks == 0) wait(at);
      return shared_address(shared.stages[at.index]) + block % warp_blocks * Shape::head_bytes;
    });
    if (now.positions < attention_tile_span) fence_proxy_async();  // the copies to come are after the zeros
    release(quarters);
    float total[2];
    weight_totals(span, lane(), total);
    if (!now.folds) keep(now, sums, most, total);
    wait_for_turn(index);
    if (now.folds) fold(now, sums, most, total, factor);
    end_turn();
    if (now.tells) {  // the spans before it are kept: this one's turn came after theirs
      warpgroup_sync();
      if (thread() == 0) add_release(p.workspace.counters + now.counter, 1);
    }
  }

  /// The warp of the other warpgroup that has the same rows and dimensions is done with the span before. Each span takes a
  /// turn, so that no barrier is ever two phases ahead of who waits for it.
  __device__ void wait_for_turn(int index) {
    const int other = (which + attending_warpgroups - 1) % attending_warpgroups;
    if (index > 0) shared.turns[other][warp()].wait(static_cast<std::uint32_t>((index - 1) / attending_warpgroups % 2));
  }
  __device__ void end_turn() {
    __syncwarp();
    if (lane() == 0) shared.turns[which][warp()].arrive();
  }

  /// Zeros after the row's position, where a block may hold anything: weights are zero there, and so have values to be.
  __device__ void clear_values(int positions) {
    constexpr int pieces = HeadDim / 8;
    for (int i = 0; i < quarters; ++i) wait(cursor.after(quarters + i));
    for (int at = positions * pieces + thread(); at < attention_tile_span * pieces; at += warpgroup) {
      const int position = at / pieces;
      const int place = position % attention_warp_span / kv_block_positions * (Shape::head_bytes / 2) +
                        KvTiles::place(position, at % pieces * 8);
      std::byte* const stage = shared.stages[cursor.after(quarters + position / attention_warp_span).index];
      *reinterpret_cast<int4*>(stage + place * 2) = int4{};
    }
  }

  __device__ __forceinline__ void fold(const SpanJob& now, const float (&sums)[tiles][4], const float (&most)[2],
                                       const float (&total)[2], float factor) {
    RowState state;
    float folded[tiles][4] = {};
    if (now.resumes) {
      resume(now, folded, state);
    } else if (!now.begins) {
      const float4 before = shared.fold_state[thread()];
      state.most[0] = before.x;
      state.most[1] = before.y;
      state.total[0] = before.z;
      state.total[1] = before.w;
#pragma unroll
      for (int tile = 0; tile < tiles; ++tile) {
        const float4 four = shared.folded[tile][thread()];
        folded[tile][0] = four.x;
        folded[tile][1] = four.y;
        folded[tile][2] = four.z;
        folded[tile][3] = four.w;
      }
    }
    state.add_span(most, total, factor);
#pragma unroll
    for (int tile = 0; tile < tiles; ++tile) state.fold(folded[tile], sums[tile]);
    if (now.ends) {
      write_output(now, folded, state);
    } else if (now.tells) {
      keep(now, folded, state.most, state.total);
    } else {
      shared.fold_state[thread()] = make_float4(state.most[0], state.most[1], state.total[0], state.total[1]);
#pragma unroll
      for (int tile = 0; tile < tiles; ++tile)
        shared.folded[tile][thread()] = make_float4(folded[tile][0], folded[tile][1], folded[tile][2], folded[tile][3]);
    }
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
  __device__ __forceinline__ void write_output(const SpanJob& now, const float (&folded)[tiles][4],
                                               const RowState& state) const {
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
  /// The fold that another block has kept; nobody else waits for it.
  __device__ __forceinline__ void resume(const SpanJob& now, float (&values)[tiles][4], RowState& state) const {
    if (thread() == 0) {
      wait_until(p.workspace.counters + now.counter, 1);
      p.workspace.counters[now.counter] = 0;
    }
    warpgroup_sync();
    const int group = p.heads / p.kv.kv_heads;
    const std::size_t first = static_cast<std::size_t>(now.entry) * group;
    for_each_pair([&](int head, int dim, int tile, int at) {
      const float* const source = p.workspace.values + (first + head) * HeadDim + dim;
      const float2 pair = __ldcg(reinterpret_cast<const float2*>(source));
      values[tile][at] = pair.x;
      values[tile][at + 1] = pair.y;
    });
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int head = lane() / 4 + 8 * i;
      if (head >= group) continue;
      const float2 kept = __ldcg(p.workspace.sums + first + head);
      state.most[i] = kept.x;
      state.total[i] = kept.y;
    }
  }
};

__device__ __forceinline__ void attenders_sync() {
  asm volatile("bar.sync %0, %1;" ::"n"(attending_barrier), "n"(attending_threads) : "memory");
}

template <int HeadDim>
__global__ void __launch_bounds__(threads, 1) attend_shares(const __grid_constant__ DecodeAttention p) {
  extern __shared__ std::byte memory[];
  auto& shared = *reinterpret_cast<BlockShared<HeadDim>*>(memory);
  using Shape = RingShape<HeadDim>;
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    for (int stage = 0; stage < Shape::stages; ++stage) {
      shared.full[stage].init(1);
      shared.empty[stage].init(warpgroup / 32);
    }
    for (auto& turns : shared.turns)
      for (Barrier& turn : turns) turn.init(1);
    fence_barrier_init();
  }
  __syncthreads();
  let_next_begin();
  wait_for_previous();
  const DecodeShare& share = p.workspace.shares[blockIdx.x];
  if (thread < attending_threads) {
    Attender<HeadDim> role(p, shared, thread / warpgroup);
    role.attend(share.begun.spans + share.rest.spans + share.resumed.spans);
    if (share.split[0].parts == 0 && share.split[1].parts == 0) return;
    attenders_sync();  // nobody needs the ring any more
    Folder<HeadDim> folder{p, shared.folds[thread / 32], thread / 32};
    folder.fold(share.split[0]);
    folder.fold(share.split[1]);
  } else {
    Streamer<HeadDim> role(p, shared, (thread - attending_threads) / 32);
    role.stream(share);
  }
}

template <int HeadDim>
cudaError_t launch_shares(cudaStream_t stream, const DecodeAttention& p) {
  constexpr int bytes = sizeof(BlockShared<HeadDim>);
  static_assert(bytes <= 227 * 1024);
  const LaunchShape shape{dim3(static_cast<unsigned>(decode_attention_blocks())), threads, bytes, 1};
  return launch(stream, shape, attend_shares<HeadDim>, p);
}

}  // namespace

int decode_attention_blocks() { return processors(); }

cudaError_t decode_attention(cudaStream_t stream, const DecodeAttention& arguments) {
  if (!fits(arguments)) return cudaErrorInvalidValue;
  if (arguments.row_count == 0) return cudaSuccess;
  if (arguments.kv.head_dim == 64) return launch_shares<64>(stream, arguments);
  if (arguments.kv.head_dim == 128) return launch_shares<128>(stream, arguments);
  return cudaErrorInvalidValue;
}

}  // namespace troupe::kernels::cuda
