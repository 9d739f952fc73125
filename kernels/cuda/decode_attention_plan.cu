// Which block attends to which spans of decoding rows (decode_attention.hpp): shares of equal cost, cut between spans, or, if
// that is hardly slower, between runs. A run is all spans of a row's KV head.
#include "kernels/cuda/decode_shares.cuh"
#include "kernels/cuda/launch.hpp"

namespace troupe::kernels::cuda {

namespace {

constexpr int threads_max = decode_attention_rows_max;  ///< one a row, then one a block's share
constexpr int blocks_max = 256;

// Costs are counted in KV blocks of keys and values.
constexpr int span_overhead = 1;
constexpr int full_span_cost = attention_tile_span / kv_block_positions + span_overhead;
/// By how much shares of whole runs may be larger than others: what folding costs at the end of a launch, and what keeping
/// spans costs meanwhile.
constexpr int fold_cost = 2 * full_span_cost;
constexpr int kept_cost_of = 32;  ///< one in so many
/// Likewise if no run is longer than a share, so that each that is cut is resumed.
constexpr int resume_cost = full_span_cost;

__device__ __forceinline__ int run_cost(const DecodeRow& row) {
  const int spans = spans_of(row);
  if (spans == 0) return 0;
  const int positions = row.position + 1 - (spans - 1) * attention_tile_span;
  return (spans - 1) * full_span_cost + divided_up(positions, kv_block_positions) + span_overhead;
}

/// Between two spans; `span` is 0 between runs.
struct Cut {
  int row;
  int kv_head;
  int span;
  int cost;  ///< of all spans before it
};

struct PlanShared {
  DecodeRow rows[decode_attention_rows_max];
  // Of all KV heads of the rows before, and one more at the end.
  int cost_before[decode_attention_rows_max + 1];
  int spans_before[decode_attention_rows_max + 1];
  Cut cuts[2][blocks_max + 1];        ///< where blocks' shares begin: between spans, or between runs
  int largest[2];                     ///< shares
  int longest;                        ///< run
  int shares_before[blocks_max + 1];  ///< shares of other blocks before it that are not empty
  int begun_entries[blocks_max];      ///< where the run that a block begins and others end is kept
  int2 warp_sums[threads_max / 32];
};

__device__ __forceinline__ int2 warp_sum_up_to(int2 value) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int other = 1; other < 32; other *= 2) {
    const int x = __shfl_up_sync(0xFFFFFFFF, value.x, other);
    const int y = __shfl_up_sync(0xFFFFFFFF, value.y, other);
    if (lane < other) continue;
    value.x += x;
    value.y += y;
  }
  return value;
}
/// The sums of what the threads before this one have; `all` becomes those of all threads.
__device__ int2 sums_before(int2 value, PlanShared& shared, int2& all) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int2 up_to = warp_sum_up_to(value);
  __syncthreads();  // nobody reads the last sums any more
  if (lane == 31) shared.warp_sums[warp] = up_to;
  __syncthreads();
  const int2 warps = warp_sum_up_to(lane < static_cast<int>(blockDim.x) / 32 ? shared.warp_sums[lane] : int2{});
  all = {__shfl_sync(0xFFFFFFFF, warps.x, 31), __shfl_sync(0xFFFFFFFF, warps.y, 31)};
  const int2 before = {__shfl_sync(0xFFFFFFFF, warps.x, max(warp - 1, 0)), __shfl_sync(0xFFFFFFFF, warps.y, max(warp - 1, 0))};
  return {up_to.x - value.x + (warp > 0 ? before.x : 0), up_to.y - value.y + (warp > 0 ? before.y : 0)};
}
__device__ __forceinline__ void make_largest(int& largest, int value) {
  value = __reduce_max_sync(0xFFFFFFFF, value);
  if (threadIdx.x % 32 == 0) atomicMax(&largest, value);
}

/// The last one of `count` ascending numbers, at(i), that is not above `value`; the first one is not.
template <class At>
__device__ __forceinline__ int last_up_to(const At& at, int count, int value) {
  int low = 0;
  int high = count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (at(middle) <= value ? low : high) = middle;
  }
  return low;
}

struct Planner {
  PlanShared& shared;
  int row_count;
  int kv_heads;
  int blocks;
  bool whole_runs = false;

  /// Where a block's share begins, both ways.
  __device__ void make_cuts(int block) {
    const int cost = shared.cost_before[row_count];
    if (block == blocks || cost == 0) {
      shared.cuts[0][block] = shared.cuts[1][block] = {row_count, 0, 0, cost};
      return;
    }
    const int target = cost / blocks * block + cost % blocks * block / blocks;
    const int row = last_up_to([&](int i) { return shared.cost_before[i]; }, row_count, target);
    const int each = run_cost(shared.rows[row]);
    const int kv_head = (target - shared.cost_before[row]) / each;
    const int within = target - shared.cost_before[row] - kv_head * each;
    const int span = divided_up(within, full_span_cost);
    const bool next_run = span >= spans_of(shared.rows[row]);
    shared.cuts[0][block] = cut_at(row, kv_head + (next_run ? 1 : 0), next_run ? 0 : span);
    shared.cuts[1][block] = cut_at(row, kv_head + (2 * within >= each ? 1 : 0), 0);
  }
  __device__ const Cut& cut(int block) const { return shared.cuts[whole_runs ? 1 : 0][block]; }
  __device__ bool has_share(int block) const { return cut(block + 1).cost > cut(block).cost; }
  /// How many spans there are from one cut up to another.
  __device__ int spans_between(const Cut& from, const Cut& to) const { return spans_before(to) - spans_before(from); }

  /// A run that is cut, as the block sees it that has its first spans, or one that has later ones. Of the entries, only their
  /// number is known.
  struct CutRun {
    SplitRun run;
    bool resumed;  ///< by the second one of its two blocks, since it does that last
  };
  __device__ CutRun cut_run(int row, int kv_head, int block) const {
    const int each = run_cost(shared.rows[row]);
    const int begin = shared.cost_before[row] + kv_head * each;
    const auto cost_at = [&](int i) { return cut(i).cost; };
    const int first = last_up_to(cost_at, blocks, begin);
    const int last = last_up_to(cost_at, blocks, begin + each - 1);
    CutRun cut_run;
    cut_run.run.row = row;
    cut_run.run.kv_head = kv_head;
    cut_run.run.entries = 1 + spans_of(shared.rows[row]) - cut(first + 1).span;
    cut_run.run.part = shared.shares_before[block] - shared.shares_before[first];
    cut_run.run.parts = shared.shares_before[last] - shared.shares_before[first] + 1;
    cut_run.run.counter = first;
    cut_run.resumed = cut_run.run.parts == 2 && each <= shared.largest[0] + fold_cost;
    return cut_run;
  }

 private:
  __device__ Cut cut_at(int row, int kv_head, int span) const {
    const int cost = shared.cost_before[row] + kv_head * run_cost(shared.rows[row]) + span * full_span_cost;
    if (kv_head == kv_heads) return {row + 1, 0, 0, cost};
    return {row, kv_head, span, cost};
  }
  __device__ int spans_before(const Cut& cut) const {
    const int each = cut.row < row_count ? spans_of(shared.rows[cut.row]) : 0;
    return shared.spans_before[cut.row] + cut.kv_head * each + cut.span;
  }
};

__global__ void __launch_bounds__(threads_max) plan_shares(const DecodeAttention p, int blocks) {
  __shared__ PlanShared shared;
  let_next_begin();
  wait_for_previous();
  const int thread = static_cast<int>(threadIdx.x);
  const int kv_heads = p.kv.kv_heads;
  if (thread == 0) shared.largest[0] = shared.largest[1] = shared.longest = 0;
  DecodeRow own;
  own.position = -1;
  if (thread < p.row_count) own = shared.rows[thread] = p.rows[thread];
  int2 all;
  const int2 before = sums_before({kv_heads * run_cost(own), kv_heads * spans_of(own)}, shared, all);
  if (thread < p.row_count) {
    shared.cost_before[thread] = before.x;
    shared.spans_before[thread] = before.y;
  }
  if (thread == 0) {
    shared.cost_before[p.row_count] = all.x;
    shared.spans_before[p.row_count] = all.y;
  }
  __syncthreads();

  Planner planner{shared, p.row_count, kv_heads, blocks};
  const bool active = thread < blocks;
  if (thread <= blocks) planner.make_cuts(thread);
  __syncthreads();
  make_largest(shared.longest, run_cost(own));
  for (int i = 0; i < 2; ++i)
    make_largest(shared.largest[i], active ? shared.cuts[i][thread + 1].cost - shared.cuts[i][thread].cost : 0);
  __syncthreads();
  const int largest = shared.largest[0];
  planner.whole_runs =
      shared.largest[1] <= largest + (shared.longest <= largest ? resume_cost : largest / kept_cost_of + fold_cost);

  Cut from{};
  Cut to{};
  bool begins = false;  // a run that others end,
  bool ends = false;    // and has a later part of one that others began
  Planner::CutRun begun{};
  Planner::CutRun ended{};
  int end_spans = 0;
  int kept = 0;
  int2 entries{};
  for (;;) {
    const bool shares = active && planner.has_share(thread);
    const int2 shares_before = sums_before({shares ? 1 : 0, 0}, shared, all);
    if (active) shared.shares_before[thread] = shares_before.x;
    __syncthreads();
    if (active) {
      from = planner.cut(thread);
      to = planner.cut(thread + 1);
    }
    const bool same_run = from.row == to.row && from.kv_head == to.kv_head;
    ends = shares && from.span > 0;
    begins = shares && to.span > 0 && !(ends && same_run);
    if (begins) begun = planner.cut_run(to.row, to.kv_head, thread);
    if (ends) {
      ended = planner.cut_run(from.row, from.kv_head, thread);
      end_spans = (same_run ? to.span : spans_of(shared.rows[from.row])) - from.span;
    }
    kept = ends && !ended.resumed ? end_spans : 0;
    entries = sums_before({kept + (begins ? 1 : 0), 0}, shared, all);
    if (planner.whole_runs || all.x <= p.workspace.entries) break;
    planner.whole_runs = true;
  }
  if (active) shared.begun_entries[thread] = entries.x + kept;
  __syncthreads();
  if (!active) return;

  DecodeShare share;
  share.kept_spans = kept;
  share.kept_entry = entries.x;
  share.begun_entry = entries.x + kept;
  share.begun_counter = thread;
  Cut rest = from;
  int rest_spans = planner.spans_between(from, to);
  if (ends && ended.resumed) {
    share.resumed = {from.row, from.kv_head, from.span, end_spans, shared.rows[from.row]};
    share.resumed_entry = shared.begun_entries[ended.run.counter];
    share.resumed_counter = ended.run.counter;
    rest = from.kv_head + 1 < kv_heads ? Cut{from.row, from.kv_head + 1, 0, 0} : Cut{from.row + 1, 0, 0, 0};
    rest_spans -= end_spans;
  } else if (ends) {
    share.split[1] = ended.run;
    share.split[1].first_entry = shared.begun_entries[ended.run.counter];
  }
  if (begins) {
    share.begun = {to.row, to.kv_head, 0, to.span, shared.rows[to.row]};
    rest_spans -= to.span;
    if (!begun.resumed) {
      share.split[0] = begun.run;
      share.split[0].first_entry = share.begun_entry;
    }
  }
  if (rest_spans > 0) share.rest = {rest.row, rest.kv_head, rest.span, rest_spans, shared.rows[rest.row]};
  p.workspace.shares[thread] = share;
}

}  // namespace

cudaError_t plan_decode_attention(cudaStream_t stream, const DecodeAttention& arguments) {
  if (!fits(arguments)) return cudaErrorInvalidValue;
  const int blocks = decode_attention_blocks();
  if (blocks <= 0 || blocks > blocks_max) return cudaErrorInvalidDevice;
  const int threads = divided_up(max(arguments.row_count, blocks + 1), 32) * 32;
  return launch(stream, {dim3(1), threads}, plan_shares, arguments, blocks);
}

}  // namespace troupe::kernels::cuda
