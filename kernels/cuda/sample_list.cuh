// The few tokens of a row that matter where only the likeliest stay: a histogram says down to where that is, and what is not
// below goes to the first block, in the order of ids, which then does alone what would take all blocks a synchronisation each
// time.
#pragma once

#include <cstdint>

#include "kernels/cuda/sample_cluster.cuh"
#include "kernels/cuda/sample_rank.cuh"

namespace troupe::kernels::cuda {

/// How far a logit is below the best, in bins; what is as far as the last bin is too far.
struct Nearness {
  static constexpr float bins_per_unit = 8;
  static constexpr int last_bin = bins - 1;

  float best;

  __device__ __forceinline__ float of(float logit) const { return __fmul_rn(__fsub_rn(best, logit), bins_per_unit); }
};

/// Adds the cluster's near tokens into its `counts`.
template <int Blocks>
__device__ __forceinline__ void count_by_nearness(SampleCluster<Blocks>& cluster, const Nearness nearness) {
  Histogram& histogram = cluster.histogram();
  cluster.for_each([&](float logit, std::int32_t) {
    const float distance = nearness.of(logit);
    if (distance < static_cast<float>(Nearness::last_bin)) histogram.add(static_cast<std::uint32_t>(distance));
  });
  cluster.template add_histograms<false>();
}

/// The bin with which the running sum reaches `wanted`, which is 1 at least; the last bin if it does not.
__device__ __forceinline__ int bin_reaching(const std::uint64_t* sums, std::uint64_t wanted) {
  return sum_words<bins / 32>(sums) < wanted ? Nearness::last_bin : find_sum<bins / 32>(sums, wanted).index;
}

/// How many there are up to and including this bin.
__device__ __forceinline__ std::uint64_t count_through(const std::uint64_t* counts, int bin) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  std::uint64_t own = 0;
#pragma unroll
  for (int i = 0; i < bins; i += 32) own += i + lane <= bin ? counts[i + lane] : 0;
  return warp_sum(own);
}

/// The list, for the threads of the first block. As SampleCluster, of one block: its ranges are the block's warps.
template <int Blocks>
class SampleList {
 public:
  static constexpr int words_each = 1;

  __device__ SampleList(SampleCluster<Blocks>& cluster, int count)
      : memory_(cluster.memory()),
        count_(count),
        pass_(cluster.pass()),
        iterations_((count + sample_threads - 1) / sample_threads) {}

  __device__ int lane() const { return static_cast<int>(threadIdx.x) % 32; }
  __device__ int range() const { return static_cast<int>(threadIdx.x) / 32; }
  __device__ SampleMemory<Blocks>& memory() { return memory_; }
  __device__ bool is_first_warp() const { return range() == 0; }

  template <class Visit>
  __device__ __forceinline__ void for_each(const Visit& visit) const {
#pragma unroll 1
    for (int i = 0; i < iterations_; ++i) {
      const int place = place_of(range(), i);
      if (place < count_) visit(memory_.entries[place].logit, memory_.entries[place].id);
    }
  }

  __device__ const std::uint64_t* share(std::uint64_t word) {
    exchange_ ^= 1;
    std::uint64_t* const words = memory_.words[exchange_];
    if (lane() == 0) words[range()] = word;
    if (lane() == 1) words[sample_warps + range()] = 0;
    synchronise();
    return words;
  }
  __device__ std::uint64_t share_sum(std::uint64_t of_thread) { return sum_words<words_each>(share(warp_sum(of_thread))); }
  __device__ void synchronise() const { __syncthreads(); }

  __device__ Histogram& histogram() { return memory_.histograms[pass_]; }
  template <bool Weighted>
  __device__ void add_histograms() {
    synchronise();
    if (threadIdx.x < bins) {
      const auto bin = threadIdx.x;
      const Histogram& own = histogram();
      memory_.counts[bin] = own.counts[bin];
      if constexpr (Weighted) memory_.weights[bin] = own.low[bin] + (std::uint64_t{own.high[bin]} << 32);
    }
    pass_ ^= 1;
    clear(histogram());
    synchronise();
  }

  template <class Measure>
  __device__ __forceinline__ Found find(int in_range, std::uint64_t wanted, const Measure& measure) const {
    ListEntry entry{};
    std::uint64_t own = 0;
    const int place = place_of(in_range, range());
    if (range() < iterations_ && place < count_) {
      entry = memory_.entries[place];
      own = measure(entry.logit, entry.id);
    }
    const Lane found = find_lane(memory_.partials, own, wanted);
    if (found.index < 0) return {0, 0, false};
    return {__shfl_sync(whole_warp, entry.logit, found.index), __shfl_sync(whole_warp, entry.id, found.index), true};
  }

  __device__ __forceinline__ void list(std::uint64_t rank) const {
    const std::uint32_t place = atomicAdd(&memory_.listed_count, 1U);
    if (place < listed_max) memory_.listed[place] = rank;
  }

 private:
  __device__ __forceinline__ int place_of(int range, int iteration) const {
    return (range * iterations_ + iteration) * 32 + lane();
  }

  SampleMemory<Blocks>& memory_;
  int count_;
  int pass_;
  int exchange_ = 0;
  int iterations_;
};

/// Has the first block list what is not beyond `last_bin`: not the last bin of all, and `list_entries_max` tokens at most.
template <int Blocks>
__device__ __forceinline__ SampleList<Blocks> gather(SampleCluster<Blocks>& cluster, const Nearness nearness, int last_bin) {
  const auto end = static_cast<float>(last_bin + 1);
  std::uint32_t own = 0;
  cluster.for_each([&](float logit, std::int32_t) { own += nearness.of(logit) < end ? 1 : 0; });
  const std::uint32_t of_warp = __reduce_add_sync(whole_warp, own);
  const std::uint64_t* const words = cluster.share(of_warp);
  std::uint32_t before_lane = 0;
  std::uint32_t all_of_lane = 0;
#pragma unroll
  for (int i = 0; i < SampleCluster<Blocks>::words_each; ++i) {
    const int range = i * 32 + cluster.lane();
    const auto count = static_cast<std::uint32_t>(words[range]);
    before_lane += range < cluster.range() ? count : 0;
    all_of_lane += count;
  }
  std::uint32_t before = __reduce_add_sync(whole_warp, before_lane);
  const auto all = static_cast<int>(__reduce_add_sync(whole_warp, all_of_lane));

  ListEntry* const entries = in_block(cluster.memory().entries, 0);
  const unsigned lower_lanes = (1U << cluster.lane()) - 1;
#pragma unroll 1
  for (int i = 0; of_warp != 0 && i < cluster.iterations(); ++i) {
    const float4 four = cluster.four(i);
    const float logits[4] = {four.x, four.y, four.z, four.w};
    unsigned listed[4];
    std::uint32_t place = before;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      listed[j] = __ballot_sync(whole_warp, nearness.of(logits[j]) < end);
      place += static_cast<std::uint32_t>(__popc(listed[j] & lower_lanes));
      before += static_cast<std::uint32_t>(__popc(listed[j]));
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if ((listed[j] >> cluster.lane() & 1) != 0 && place < list_entries_max)
        entries[place++] = {logits[j], cluster.first_id(i) + j};
    }
  }
  cluster.synchronise();
  return {cluster, min(all, list_entries_max)};
}

}  // namespace troupe::kernels::cuda
