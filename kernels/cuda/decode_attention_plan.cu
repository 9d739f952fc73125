// Which block attends to which spans of decoding rows (decode_attention.hpp): shares of equal cost, cut between spans, or, if
// that is hardly slower, between runs, so that nothing need be folded across blocks. A run is all spans of a row's KV head.
#include "kernels/cuda/decode_shares.cuh"
#include "kernels/cuda/launch.hpp"

namespace troupe::kernels::cuda {

namespace {

constexpr int threads = decode_attention_rows_max;  ///< one a row, then one a block's share

// Costs are counted in KV blocks of keys and values.
constexpr int span_overhead = 1;
constexpr int full_span_cost = attention_tile_span / kv_block_positions + span_overhead;
/// By how much shares of whole runs may be larger than others: what folding costs at the end of a launch, and what keeping
/// spans costs meanwhile.
constexpr int fold_cost = 2 * full_span_cost;
constexpr int kept_cost_of = 32;  ///< one in so many

__device__ __forceinline__ int run_cost(const DecodeRow& row) {
  const int spans = spans_of(row);
  if (spans == 0) return 0;
  const int positions = row.position + 1 - (spans - 1) * attention_tile_span;
  return (spans - 1) * full_span_cost + divided_up(positions, kv_block_positions) + span_overhead;
}

/// The sum of what the threads before this one have; `all` becomes that of all threads.
__device__ int sum_before(int value, int& all) {
  __shared__ int sums[threads / 32];
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int sum = value;
#pragma unroll
  for (int other = 1; other < 32; other *= 2) {
    const int below = __shfl_up_sync(0xFFFFFFFF, sum, other);
    if (lane >= other) sum += below;
  }
  __syncthreads();  // nobody reads the last sums any more
  if (lane == 31) sums[threadIdx.x / 32] = sum;
  __syncthreads();
  int before = 0;
  all = 0;
  for (int warp = 0; warp < threads / 32; ++warp) {
    if (warp < static_cast<int>(threadIdx.x) / 32) before += sums[warp];
    all += sums[warp];
  }
  return before + sum - value;
}
__device__ int largest_of(int value) {
  __shared__ int largest;
  __syncthreads();
  if (threadIdx.x == 0) largest = 0;
  __syncthreads();
  atomicMax(&largest, value);
  __syncthreads();
  return largest;
}

/// The last one of `count` ascending numbers that is not above `value`; the first one is not.
__device__ int last_up_to(const int* numbers, int count, int value) {
  int low = 0;
  int high = count;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (numbers[middle] <= value ? low : high) = middle;
  }
  return low;
}

/// Between two spans; `span` is 0 between runs.
struct Cut {
  int row;
  int kv_head;
  int span;
  int cost;  ///< of all spans before it
};

struct Planner {
  const DecodeRow* rows;
  int row_count;
  int kv_heads;
  int blocks;
  const int* cost_before;  ///< of the rows; one more at the end
  int cost;                ///< of all rows

  /// Where a block's share begins.
  __device__ Cut cut(int block, bool whole_runs) const {
    if (block >= blocks || cost == 0) return {row_count, 0, 0, cost};
    const int target = static_cast<int>(static_cast<long long>(cost) * block / blocks);
    const int row = last_up_to(cost_before, row_count, target);
    const int each = run_cost(rows[row]);
    Cut cut{row, (target - cost_before[row]) / each, 0, 0};
    const int within = (target - cost_before[row]) % each;
    if (whole_runs) {
      if (2 * within >= each) ++cut.kv_head;
    } else {
      cut.span = divided_up(within, full_span_cost);
      if (cut.span >= spans_of(rows[row])) {
        cut.span = 0;
        ++cut.kv_head;
      }
    }
    cut.cost = cost_before[row] + cut.kv_head * each + cut.span * full_span_cost;
    if (cut.kv_head == kv_heads) cut = {row + 1, 0, 0, cut.cost};
    return cut;
  }
};

struct PlanShared {
  int cost_before[decode_attention_rows_max + 1];
  int cuts[threads + 1];       ///< the cost before each block's share
  int shares_before[threads];  ///< shares of other blocks before it that are not empty
  int begun_entries[threads];  ///< where the run that a block begins and others end is kept
  int begun_spans[threads];    ///< how many spans of it the block has
};

__device__ __forceinline__ bool same_run(const Cut& one, const Cut& other) {
  return one.row == other.row && one.kv_head == other.kv_head;
}

/// How many spans there are from one cut up to another.
__device__ int spans_between(const Planner& planner, const Cut& from, const Cut& to) {
  if (from.row == to.row) {
    const int each = from.row < planner.row_count ? spans_of(planner.rows[from.row]) : 0;
    return (to.kv_head - from.kv_head) * each + to.span - from.span;
  }
  int spans = (planner.kv_heads - from.kv_head) * spans_of(planner.rows[from.row]) - from.span;
  for (int row = from.row + 1; row < to.row; ++row) spans += planner.kv_heads * spans_of(planner.rows[row]);
  if (to.row < planner.row_count) spans += to.kv_head * spans_of(planner.rows[to.row]) + to.span;
  return spans;
}

__global__ void __launch_bounds__(threads) plan_shares(const DecodeAttention p, int blocks) {
  __shared__ PlanShared shared;
  let_next_begin();
  wait_for_previous();
  const int thread = static_cast<int>(threadIdx.x);
  const int kv_heads = p.kv.kv_heads;
  int cost = 0;
  const int own_cost = thread < p.row_count ? kv_heads * run_cost(p.rows[thread]) : 0;
  shared.cost_before[thread] = sum_before(own_cost, cost);
  if (thread == 0) shared.cost_before[threads] = cost;
  __syncthreads();
  const Planner planner{p.rows, p.row_count, kv_heads, blocks, shared.cost_before, cost};

  const bool active = thread < blocks;
  const auto largest_share = [&](bool whole_runs) {
    return largest_of(active ? planner.cut(thread + 1, whole_runs).cost - planner.cut(thread, whole_runs).cost : 0);
  };
  const int largest = largest_share(false);
  bool whole_runs = largest_share(true) <= largest + largest / kept_cost_of + fold_cost;
  Cut from{};
  Cut to{};
  int kept = 0;         // entries: of a run that others began, by span,
  bool begins = false;  // and of one that others end
  int first_entry = 0;
  for (;;) {
    from = planner.cut(thread, whole_runs);
    to = planner.cut(thread + 1, whole_runs);
    begins = active && to.span > 0 && !(from.span > 0 && same_run(from, to)) && to.cost > from.cost;
    kept = 0;
    if (active && from.span > 0 && to.cost > from.cost)
      kept = (same_run(from, to) ? to.span : spans_of(p.rows[from.row])) - from.span;
    int entries = 0;
    first_entry = sum_before(kept + (begins ? 1 : 0), entries);
    if (whole_runs || entries <= p.workspace.entries) break;
    whole_runs = true;
  }
  int shares = 0;
  shared.shares_before[thread] = sum_before(active && to.cost > from.cost ? 1 : 0, shares);
  shared.cuts[thread] = active ? from.cost : cost;
  if (thread == 0) shared.cuts[threads] = cost;
  shared.begun_entries[thread] = first_entry + kept;
  shared.begun_spans[thread] = to.span;
  __syncthreads();
  if (!active) return;

  DecodeShare share;
  share.first_entry = first_entry;
  share.begun_entry = first_entry + kept;
  share.rest = {from.row, from.kv_head, from.span, spans_between(planner, from, to), {}};
  if (share.rest.spans > 0) share.rest.first = p.rows[from.row];
  if (begins) {
    share.begun = {to.row, to.kv_head, 0, to.span, p.rows[to.row]};
    share.rest.spans -= to.span;
  }
  const auto split_run = [&](int row, int kv_head) {
    const int each = run_cost(p.rows[row]);
    const int run_begin = shared.cost_before[row] + kv_head * each;
    const int first = last_up_to(shared.cuts, blocks, run_begin);
    const int last = last_up_to(shared.cuts, blocks, run_begin + each - 1);
    SplitRun run;
    run.row = row;
    run.kv_head = kv_head;
    run.first_entry = shared.begun_entries[first];
    run.entries = 1 + spans_of(p.rows[row]) - shared.begun_spans[first];
    run.part = shared.shares_before[thread] - shared.shares_before[first];
    run.parts = shared.shares_before[last] - shared.shares_before[first] + 1;
    run.counter = first;
    return run;
  };
  if (begins) share.split[0] = split_run(to.row, to.kv_head);
  if (kept > 0) share.split[1] = split_run(from.row, from.kv_head);
  p.workspace.shares[thread] = share;
}

}  // namespace

cudaError_t plan_decode_attention(cudaStream_t stream, const DecodeAttention& arguments) {
  if (!fits(arguments)) return cudaErrorInvalidValue;
  const int blocks = decode_attention_blocks();
  if (blocks <= 0 || blocks > threads) return cudaErrorInvalidDevice;
  return launch(stream, {dim3(1), threads}, plan_shares, arguments, blocks);
}

}  // namespace troupe::kernels::cuda
