// A row of logits in the shared memory of a cluster's blocks, and how their warps share sums of it. Ids lie in ascending order
// over blocks, a block's warps, and the fours of a warp's lanes. sample_list.cuh has the same for the few that matter.
#pragma once

#include <cstdint>

#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/sample_weights.cuh"
#include "kernels/cuda/tiles.hpp"

namespace troupe::kernels::cuda {

inline constexpr int sample_threads = 512;
inline constexpr int sample_warps = sample_threads / 32;
inline constexpr int bins = 256;
inline constexpr int bin_bits = 8;
inline constexpr unsigned whole_warp = 0xFFFFFFFF;

/// A whole number for each logit: greater logits have greater ones, and both zeros the same.
__device__ __forceinline__ std::uint32_t key_of(float logit) {
  const std::uint32_t bits = __float_as_uint(__fadd_rn(logit, 0.0f));
  return (bits & 0x80000000U) != 0 ? ~bits : bits | 0x80000000U;
}
__device__ __forceinline__ float logit_of(std::uint32_t key) {
  return __uint_as_float((key & 0x80000000U) != 0 ? key & 0x7FFFFFFFU : ~key);
}

/// Orders tokens by likelihood: greater for a greater logit, for equal logits for the lower id. Bit 31 is clear.
__device__ __forceinline__ std::uint64_t rank_of(std::uint32_t key, std::int32_t id) {
  return std::uint64_t{key} << 32 | static_cast<std::uint32_t>(0x7FFFFFFF - id);
}
__device__ __forceinline__ std::int32_t id_of(std::uint64_t rank) {
  return 0x7FFFFFFF - static_cast<std::int32_t>(static_cast<std::uint32_t>(rank) & 0x7FFFFFFFU);
}

/// In three parts, of which 32 add up in 32 bits.
__device__ __forceinline__ std::uint64_t warp_sum(std::uint64_t value) {
  constexpr int part_bits = 22;
  constexpr std::uint32_t part = (1U << part_bits) - 1;
  const std::uint64_t low = __reduce_add_sync(whole_warp, static_cast<std::uint32_t>(value) & part);
  const std::uint64_t middle = __reduce_add_sync(whole_warp, static_cast<std::uint32_t>(value >> part_bits) & part);
  const std::uint64_t high = __reduce_add_sync(whole_warp, static_cast<std::uint32_t>(value >> (2 * part_bits)));
  return low + (middle << part_bits) + (high << (2 * part_bits));
}
__device__ __forceinline__ std::uint64_t warp_max(std::uint64_t value) {
  const auto high = static_cast<std::uint32_t>(value >> 32);
  const std::uint32_t highest = __reduce_max_sync(whole_warp, high);
  const std::uint32_t low = high == highest ? static_cast<std::uint32_t>(value) : 0U;
  return std::uint64_t{highest} << 32 | __reduce_max_sync(whole_warp, low);
}
/// The sum of this lane's value and those of the lanes before it.
__device__ __forceinline__ std::uint64_t warp_running_sum(std::uint64_t value) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int distance = 1; distance < 32; distance *= 2) {
    const std::uint64_t before = __shfl_up_sync(whole_warp, value, distance);
    if (lane >= distance) value += before;
  }
  return value;
}

/// Where running sums first reach a wanted one, and their sum before it.
struct Place {
  int index;
  std::uint64_t before;
};

/// Of 32 * Each words, which add up to `wanted` at least; `wanted` is 1 at least. A warp together.
template <int Each>
__device__ __forceinline__ Place find_sum(const std::uint64_t* words, std::uint64_t wanted) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  std::uint64_t own = 0;
#pragma unroll
  for (int i = 0; i < Each; ++i) own += words[lane * Each + i];
  const std::uint64_t running = warp_running_sum(own);
  const unsigned reached = __ballot_sync(whole_warp, running >= wanted);
  const int owner = __ffs(static_cast<int>(reached)) - 1;  // there is one
  Place place{lane * Each, running - own};
#pragma unroll
  for (int i = 0; i < Each - 1; ++i) {
    const std::uint64_t with = place.before + words[place.index];
    if (with < wanted) {
      place.before = with;
      ++place.index;
    } else {
      break;
    }
  }
  return {__shfl_sync(whole_warp, place.index, owner & 31), __shfl_sync(whole_warp, place.before, owner & 31)};
}
template <int Each>
__device__ __forceinline__ std::uint64_t sum_words(const std::uint64_t* words) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  std::uint64_t own = 0;
#pragma unroll
  for (int i = 0; i < Each; ++i) own += words[lane + 32 * i];
  return warp_sum(own);
}

/// Which of a block's warps and lanes a running sum ends in.
struct Lane {
  int index;             ///< in this warp; below 0 if it is in another
  std::uint64_t wanted;  ///< of that lane
};
/// Where the running sum of the lanes' `own`, over all lanes of all warps of a block, first reaches `wanted`. A block together;
/// `partials` are 32 words of its shared memory that nobody else uses until it has synchronised again.
__device__ __forceinline__ Lane find_lane(std::uint64_t* partials, std::uint64_t own, std::uint64_t wanted) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const std::uint64_t running = warp_running_sum(own);
  if (lane == 31) partials[warp] = running;
  if (lane == 0) partials[sample_warps + warp] = 0;
  __syncthreads();
  const Place place = find_sum<1>(partials, wanted);
  const std::uint64_t in_warp = wanted - place.before;
  const unsigned reached = __ballot_sync(whole_warp, running >= in_warp);
  return {place.index == warp ? __ffs(static_cast<int>(reached)) - 1 : -1, in_warp - (running - own)};
}

/// A token that was looked for.
struct Found {
  float logit;
  std::int32_t id;
  bool here;  ///< this warp has found it; others know nothing
};

/// Of a block, in its shared memory. A weight's sum is in two parts, because only atomic additions of 32 bits are fast there.
struct alignas(16) Histogram {
  std::uint32_t counts[bins];
  std::uint32_t low[bins];
  std::uint32_t high[bins];  ///< in units of 2^32

  __device__ __forceinline__ void add(std::uint32_t bin) { atomicAdd(&counts[bin], 1U); }
  __device__ __forceinline__ void add(std::uint32_t bin, std::uint64_t weight) {
    add(bin);
    add_weight(bin, weight);
  }
  __device__ __forceinline__ void add_weight(std::uint32_t bin, std::uint64_t weight) {
    const auto low_part = static_cast<std::uint32_t>(weight);
    const std::uint32_t before = atomicAdd(&low[bin], low_part);
    const std::uint32_t carry = before + low_part < before ? 1U : 0U;
    const std::uint32_t high_part = static_cast<std::uint32_t>(weight >> 32) + carry;
    if (high_part != 0) atomicAdd(&high[bin], high_part);
  }
};

/// A block together.
__device__ __forceinline__ void clear(Histogram& histogram) {
  static_assert(sizeof(Histogram) % sizeof(uint4) == 0 && sizeof(Histogram) / sizeof(uint4) <= sample_threads);
  if (threadIdx.x < sizeof(Histogram) / sizeof(uint4)) reinterpret_cast<uint4*>(&histogram)[threadIdx.x] = uint4{0, 0, 0, 0};
}

/// Sums of weights of a block, several times, so that neighbouring lanes do not queue for one bin where many logits are equal.
struct alignas(16) WeightHistogram {
  static constexpr int copies = 8;
  std::uint32_t low[bins * copies];
  std::uint32_t high[bins * copies];

  __device__ __forceinline__ void add(int bin, const WeightParts& weight) {
    const int place = bin * copies + static_cast<int>(threadIdx.x) % copies;
    atomicAdd(&low[place], weight.low);
    if (weight.high != 0) atomicAdd(&high[place], weight.high);
  }
  __device__ __forceinline__ std::uint64_t sum(int bin) const {
    std::uint64_t low_sum = 0;
    std::uint64_t high_sum = 0;
#pragma unroll
    for (int i = 0; i < copies; i += 4) {
      const int place = bin * copies + (i ^ bin & 4);  // half of the lanes the other way round: no two read from one bank
      const uint4 lows = *reinterpret_cast<const uint4*>(&low[place]);
      const uint4 highs = *reinterpret_cast<const uint4*>(&high[place]);
      low_sum += std::uint64_t{lows.x} + lows.y + lows.z + lows.w;
      high_sum += std::uint64_t{highs.x} + highs.y + highs.z + highs.w;
    }
    return low_sum + (high_sum << weight_low_bits);
  }
};
/// The most logits of a thread of which a copy takes all: 64 threads of a block have one.
inline constexpr int iterations_max = 15;
static_assert(sample_threads / WeightHistogram::copies * iterations_max * 4 < 1 << (32 - weight_low_bits));

/// A block together.
__device__ __forceinline__ void clear(WeightHistogram& histogram) {
  constexpr int each = sizeof(WeightHistogram) / sizeof(uint4) / sample_threads;
  static_assert(each * sample_threads * sizeof(uint4) == sizeof(WeightHistogram));
#pragma unroll
  for (int i = 0; i < each; ++i) reinterpret_cast<uint4*>(&histogram)[i * sample_threads + threadIdx.x] = uint4{0, 0, 0, 0};
}

/// Of the few that matter: sample_list.cuh, sample_nucleus.cuh.
struct ListEntry {
  float logit;
  std::int32_t id;
};
inline constexpr int list_entries_max = 2048;
inline constexpr int listed_max = 32;  ///< more than any row lists
inline constexpr int nucleus_members_max = 2048;
/// What a token of a nucleus is ordered by, and what it weighs.
struct alignas(16) OrderedWeight {
  std::uint64_t order;
  std::uint64_t weight;
};

/// The logits come after it, up to `iterations` * 128 a warp.
template <int Blocks>
struct SampleMemory {
  static constexpr int warps = Blocks * sample_warps;        ///< of the cluster
  static constexpr int places = divided_up(warps, 32) * 32;  ///< of words; zeros after those of the warps
  static constexpr int exchanges = 3;                        ///< two may be under way while one is still read

  std::uint64_t words[exchanges][places];  ///< one of each warp, in the order of ids; exchanges take turns
  std::uint64_t counts[bins];              ///< the blocks' histograms added
  std::uint64_t weights[bins];
  std::uint64_t partials[32];
  Histogram histograms[2];  ///< passes alternate: while one is read by other blocks, the next begins
  union {
    ListEntry entries[list_entries_max];  ///< in the first block, as `listed`
    WeightHistogram nucleus;              ///< to begin with, and after it
    ListEntry members[nucleus_members_max];
  };
  std::uint64_t listed[listed_max];
  std::uint32_t listed_count;
  // Of a nucleus (sample_nucleus.cuh).
  std::uint32_t own_count;
  std::uint32_t last_count;
  std::uint32_t unused;
  std::uint32_t member_counts[warps];  ///< of each warp, as what follows
  std::uint64_t extremes[places];      ///< the highest key, and below it the complement of the lowest
  std::uint64_t above[places];
  OrderedWeight last[32];
};

/// All threads of all blocks call the functions that share something, in the same order.
template <int Blocks>
class SampleCluster {
 public:
  using Memory = SampleMemory<Blocks>;
  static constexpr int words_each = Memory::places / 32;

  __device__ SampleCluster(Memory& memory, int iterations) : memory_(memory), iterations_(iterations) {}

  __device__ int block() const { return static_cast<int>(cluster_rank()); }
  __device__ int warp() const { return static_cast<int>(threadIdx.x) / 32; }
  __device__ int lane() const { return static_cast<int>(threadIdx.x) % 32; }
  /// The warp's number in the cluster.
  __device__ int range() const { return block() * sample_warps + warp(); }
  __device__ Memory& memory() { return memory_; }
  __device__ int iterations() const { return iterations_; }
  __device__ float4& four(int iteration) const {
    return reinterpret_cast<float4*>(&memory_ + 1)[(warp() * iterations_ + iteration) * 32 + lane()];
  }
  __device__ std::int32_t first_id(int iteration) const { return ((range() * iterations_ + iteration) * 32 + lane()) * 4; }

  /// Before the first exchange.
  __device__ void clear() {
    if (threadIdx.x == 0) memory_.listed_count = 0;
    const int place = Memory::warps + static_cast<int>(threadIdx.x);
    if (place < Memory::places) {
      for (auto& words : memory_.words) words[place] = 0;
      memory_.extremes[place] = 0;
      memory_.above[place] = 0;
    }
    cuda::clear(memory_.histograms[0]);
    cuda::clear(memory_.histograms[1]);
    cuda::clear(memory_.nucleus);
  }

  /// Has histograms begin again after something else has used their memory.
  __device__ void begin_histograms() {
    __syncthreads();  // other warps may still read what has
    cuda::clear(memory_.histograms[pass_]);
    __syncthreads();
  }

  /// Calls `visit(logit, id)` for each logit of this thread, in ascending order of ids; those beyond the vocabulary are
  /// -infinity.
  template <class Visit>
  __device__ __forceinline__ void for_each(const Visit& visit) const {
#pragma unroll 1  // once through much code is slow where its instructions have to be fetched
    for (int i = 0; i < iterations_; ++i) {
      const float4 logits = four(i);
      const std::int32_t id = first_id(i);
      visit(logits.x, id);
      visit(logits.y, id + 1);
      visit(logits.z, id + 2);
      visit(logits.w, id + 3);
    }
  }

  /// Each warp gives one word, the same in all its lanes. After the next synchronisation of the cluster, all warps see those of
  /// all, in the order of ids, until the cluster synchronises once more. Two words may be given between synchronisations.
  __device__ const std::uint64_t* give(std::uint64_t word) {
    exchange_ = exchange_ + 1 == Memory::exchanges ? 0 : exchange_ + 1;
    if (lane() < Blocks) *in_block(&memory_.words[exchange_][range()], static_cast<std::uint32_t>(lane())) = word;
    return memory_.words[exchange_];
  }
  __device__ const std::uint64_t* share(std::uint64_t word) {
    const std::uint64_t* const words = give(word);
    synchronise();
    return words;
  }
  __device__ void synchronise() const { cluster_sync(); }
  /// The two halves of it: between them a block may do what the others need not wait for.
  __device__ void arrive() const { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }
  __device__ void wait() const { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }
  __device__ std::uint64_t share_sum(std::uint64_t of_thread) { return sum_words<words_each>(share(warp_sum(of_thread))); }

  /// Which histogram is the next, and empty.
  __device__ int pass() const { return pass_; }
  __device__ Histogram& histogram() { return memory_.histograms[pass_]; }
  /// Adds what the blocks have in their histograms, into this block's `counts` and `weights`, and begins the next histogram.
  template <bool Weighted>
  __device__ void add_histograms() {
    cluster_sync();
    const Histogram& own = memory_.histograms[pass_];
    if (threadIdx.x < bins) {
      const auto bin = threadIdx.x;
      std::uint64_t count = 0;
      std::uint64_t low = 0;
      std::uint64_t high = 0;
#pragma unroll
      for (std::uint32_t block = 0; block < Blocks; ++block) {
        const Histogram& part = *in_block(&own, block);
        count += part.counts[bin];
        if constexpr (Weighted) {
          low += part.low[bin];
          high += part.high[bin];
        }
      }
      memory_.counts[bin] = count;
      if constexpr (Weighted) memory_.weights[bin] = low + (high << 32);
    }
    pass_ ^= 1;
    cuda::clear(memory_.histograms[pass_]);  // the others have read it: they did so before they came here
    __syncthreads();
  }

  /// The token of a range, of which the cluster has `warps`, at which the running sum of `measure(logit, id)` first reaches
  /// `wanted`, which is 1 at least; it does. The block that has the range looks for it, each warp in a part, since one warp
  /// alone would take its time.
  template <class Measure>
  __device__ __forceinline__ Found find(int in_range, std::uint64_t wanted, const Measure& measure) const {
    if (in_range / sample_warps != block()) return {0, 0, false};
    float4 logits{};
    std::int32_t id = 0;
    std::uint64_t sums[4] = {};
    if (warp() < iterations_) {
      const int place = ((in_range % sample_warps) * iterations_ + warp()) * 32 + lane();
      logits = reinterpret_cast<float4*>(&memory_ + 1)[place];
      id = (block() * sample_warps * iterations_ * 32 + place) * 4;
      sums[0] = measure(logits.x, id);
      sums[1] = sums[0] + measure(logits.y, id + 1);
      sums[2] = sums[1] + measure(logits.z, id + 2);
      sums[3] = sums[2] + measure(logits.w, id + 3);
    }
    const Lane lane_found = find_lane(memory_.partials, sums[3], wanted);
    if (lane_found.index < 0) return {0, 0, false};
    const std::uint64_t rest = lane_found.wanted;
    const int component = sums[0] >= rest ? 0 : sums[1] >= rest ? 1 : sums[2] >= rest ? 2 : 3;
    const float logit = component == 0 ? logits.x : component == 1 ? logits.y : component == 2 ? logits.z : logits.w;
    return {__shfl_sync(whole_warp, logit, lane_found.index), __shfl_sync(whole_warp, id + component, lane_found.index), true};
  }

  /// Appends to `listed` of the first block, in no order; beyond its end, nothing.
  __device__ __forceinline__ void list(std::uint64_t rank) const {
    auto& in_first = *in_block(&memory_, 0);
    const std::uint32_t place = atomicAdd(&in_first.listed_count, 1U);
    if (place < listed_max) in_first.listed[place] = rank;
  }
  __device__ bool is_first_warp() const { return range() == 0; }

 private:
  Memory& memory_;
  int iterations_;
  int exchange_ = 0;
  int pass_ = 0;
};

}  // namespace troupe::kernels::cuda
