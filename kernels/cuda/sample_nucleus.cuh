// The nucleus of a whole row (top_p without top_k), and the draw from it, with as few synchronisations of the cluster as that
// takes: one to add the blocks' histograms of weights, and one to exchange the tokens of the bin in which the nucleus ends.
// Those are so few as a rule that every block finds the last one among them for itself. Where they are too many, because many
// logits are nearly or wholly equal, that bin is split into 256 again, by logits and then by ids, until they are not: no two
// tokens have the same order, so four or five rounds split any row, and one splits a row of equal logits.
#pragma once

#include <cstdint>

#include "kernels/cuda/sample_cluster.cuh"
#include "kernels/cuda/sample_rank.cuh"
#include "kernels/cuda/sample_rows.hpp"

namespace troupe::kernels::cuda {

/// Greater for likelier tokens, as rank_of, but of 50 bits, so that few rounds of bins tell all of them apart.
inline constexpr int order_id_bits = 18;
inline constexpr std::uint32_t order_id_max = (1U << order_id_bits) - 1;
static_assert(sampled_vocabulary_max <= 1 << order_id_bits);
__device__ __forceinline__ std::uint64_t order_of(std::uint32_t key, std::int32_t id) {
  return std::uint64_t{key} << order_id_bits | (order_id_max - static_cast<std::uint32_t>(id));
}

/// Which bin of 256 a token is in: likelier ones are in lower bins. Above all bins is -1, below all is `bins`.
struct BinsByDistance {
  float best;
  float per_unit;  ///< of the logits

  /// Tokens of less than e^-16 share the last bin; where the row is flatter than that, bins are narrower, so that few tokens
  /// are in one. How flat it is shows in the least of the warps' best logits, of some 1000 each: in a normal distribution it is
  /// two to two and a half standard deviations below the best of all. Which bins they are does not show in what is found.
  __device__ BinsByDistance(float best, float least_of_bests, float temperature) : best(best) {
    constexpr float exponents = 16;
    constexpr float flat_share = 4;
    const float covered = fminf(__fmul_rn(exponents, temperature), __fmul_rn(flat_share, __fsub_rn(best, least_of_bests)));
    per_unit = __fdiv_rn(bins, fmaxf(covered, 0x1p-118f));
  }

  __device__ __forceinline__ int of(float logit, std::int32_t) const {
    return static_cast<int>(fminf(__fmul_rn(__fsub_rn(best, logit), per_unit), bins - 1));
  }
};
struct BinsByOrder {
  std::uint64_t highest;
  std::uint64_t lowest;
  int shift;

  __device__ BinsByOrder(std::uint64_t highest, std::uint64_t lowest) : highest(highest), lowest(lowest) {
    shift = max(64 - bin_bits - __clzll(static_cast<long long>(highest - lowest)), 0);
  }

  __device__ __forceinline__ int of_order(std::uint64_t order) const {
    if (order > highest) return -1;
    return order < lowest ? bins : static_cast<int>((highest - order) >> shift);
  }
  __device__ __forceinline__ int of(float logit, std::int32_t id) const { return of_order(order_of(key_of(logit), id)); }
  /// Narrows the range to one of the bins.
  __device__ __forceinline__ void narrow_to(int bin) {
    highest -= static_cast<std::uint64_t>(bin) << shift;
    const std::uint64_t width_minus_one = (std::uint64_t{1} << shift) - 1;
    if (highest - lowest > width_minus_one) lowest = highest - width_minus_one;
  }
};

/// Where the running sum of 32 * Each words first reaches what is wanted of all; each lane has `Each` neighbours of them.
struct Reached {
  int index;
  std::uint64_t wanted;  ///< of that word alone
  std::uint64_t total;
};
/// `word_at(i)` is this lane's word i; `wanted_of(total)`. A warp together.
template <int Each, class WordAt, class WantedOf>
__device__ __forceinline__ Reached reach(const WordAt& word_at, const WantedOf& wanted_of) {
  std::uint64_t own = 0;
#pragma unroll
  for (int i = 0; i < Each; ++i) own += word_at(i);
  const std::uint64_t running = warp_running_sum(own);
  const std::uint64_t total = __shfl_sync(whole_warp, running, 31);
  const std::uint64_t wanted = wanted_of(total);
  const unsigned reached = __ballot_sync(whole_warp, running >= wanted);
  const int owner = reached == 0 ? 31 : __ffs(static_cast<int>(reached)) - 1;
  std::uint64_t rest = wanted - (running - own);
  int index = 0;
#pragma unroll
  for (int i = 0; i < Each - 1; ++i) {
    const std::uint64_t word = word_at(i);
    const bool beyond = index == i && word < rest;
    rest -= beyond ? word : 0;
    index += beyond ? 1 : 0;
  }
  const int lane = static_cast<int>(threadIdx.x) % 32;
  return {__shfl_sync(whole_warp, lane * Each + index, owner), __shfl_sync(whole_warp, rest, owner), total};
}

/// One use for each row. All threads of all blocks call its functions, in the order in which they stand.
template <int Blocks>
class Nucleus {
 public:
  /// `least_of_bests` is the least of the warps' best logits.
  __device__ Nucleus(SampleCluster<Blocks>& cluster, const LogitSummary& summary, float least_of_bests, const RowSampling& row)
      : cluster_(cluster),
        memory_(cluster.memory()),
        summary_(summary),
        row_(row),
        weights_(summary.max, row.temperature),
        distances_(summary.max, least_of_bests, row.temperature) {
    weight_min_ = truncf(__fmul_rn(row.min_p, 0x1p40f));
  }

  /// Begins, and returns this thread's sum for the log-sum-exp on the way.
  __device__ __forceinline__ std::uint64_t add_row() {
    ExpSum exps;
    cluster_.for_each([&](float logit, std::int32_t id) {
      exps.add(logit, summary_.max);
      add(distances_, logit, id);
    });
    return exps.sum();
  }
  /// Draws one of the nucleus's tokens. Synchronises the cluster, more than once.
  __device__ __forceinline__ Found draw() {
    const NucleusWeight wanted_of(row_.top_p);
    Reached last = add_blocks(wanted_of);
    exchange(distances_, last.index);
    BinsByOrder range(~std::uint64_t{0}, 0);
    Members members = count_members();
#pragma unroll 1
    while (members.count > nucleus_members_max) {
      range = BinsByOrder(min(range.highest, order_of(members.highest, 0)),
                          max(range.lowest, order_of(members.lowest, order_id_max)));
      cuda::clear(memory_.nucleus);
      __syncthreads();
      cluster_.for_each([&](float logit, std::int32_t id) { add(range, logit, id); });
      last = add_blocks([&](std::uint64_t) { return last.wanted; });
      exchange(range, last.index);
      range.narrow_to(last.index);
      members = count_members();
    }
    Member own[members_each];
    take_members(members, own);
    const std::uint64_t last_kept = last_of(own, members, range, last.wanted);
    cluster_.arrive();  // what was taken is here: it was looked at
    const Found found = draw_from(own, last_kept);
    cluster_.wait();  // nobody's memory goes, or is used again, while others take members from it
    return found;
  }

 private:
  /// Of the bin in which the nucleus ends.
  struct Members {
    std::uint32_t count;
    std::uint32_t highest;   ///< key
    std::uint32_t lowest;    ///< key
    std::uint32_t of_block;  ///< how many the lane's block has,
    std::uint32_t before;    ///< and the blocks before it
  };
  static constexpr int word_each = SampleCluster<Blocks>::words_each;
  /// Of all blocks' members a thread's part, in registers.
  struct Member {
    std::uint64_t order;  ///< 0: there is none
    float weight;
    __device__ __forceinline__ std::int32_t id() const {
      return static_cast<std::int32_t>(order_id_max - (static_cast<std::uint32_t>(order) & order_id_max));
    }
  };
  static constexpr int members_each = nucleus_members_max / sample_threads;

  template <class Bins>
  __device__ __forceinline__ void add(const Bins& of_tokens, float logit, std::int32_t id) {
    const float weight = weights_.uncut(logit);
    const int bin = of_tokens.of(logit, id);
    if (weight < 1 || bin < 0 || bin >= bins) return;
    memory_.nucleus.add(bin, WeightParts(weight));
  }

  /// Adds the histograms of all blocks, and finds the bin with which the nucleus is complete.
  template <class WantedOf>
  __device__ __forceinline__ Reached add_blocks(const WantedOf& wanted_of) {
    __syncthreads();
    const int thread = static_cast<int>(threadIdx.x);
    // A lane's bins lie 32 apart, so that the lanes of a warp read neighbours.
    if (thread < bins) memory_.counts[thread % 8 * 32 + thread / 8] = memory_.nucleus.sum(thread);
    if (thread == bins) {
      memory_.own_count = 0;
      memory_.last_count = 0;
    }
    cluster_.synchronise();
    if (thread < bins) {
      std::uint64_t sum = 0;
#pragma unroll
      for (std::uint32_t block = 0; block < Blocks; ++block) sum += in_block(memory_.counts, block)[thread];
      memory_.weights[thread] = sum;
    }
    __syncthreads();
    const int lane = cluster_.lane();
    return reach<bins / 32>([&](int i) { return memory_.weights[i * 32 + lane]; }, wanted_of);
  }

  /// Lists the block's members of the last bin, and tells all blocks what its warps have of them, and above them.
  template <class Bins>
  __device__ __forceinline__ void exchange(const Bins& of_tokens, int last_bin) {
    std::uint32_t above_low = 0;
    std::uint32_t above_high = 0;
    std::uint32_t highest = 0;
    std::uint32_t lowest_complement = 0;
    std::uint32_t count = 0;
    const unsigned lower_lanes = (1U << cluster_.lane()) - 1;
#pragma unroll 1
    for (int i = 0; i < cluster_.iterations(); ++i) {
      const float4 four = cluster_.four(i);
      const float logits[4] = {four.x, four.y, four.z, four.w};
      const std::int32_t id = cluster_.first_id(i);
      int in[4];
#pragma unroll
      for (int j = 0; j < 4; ++j) in[j] = of_tokens.of(logits[j], id + j);
      const bool matters = min(min(in[0], in[1]), min(in[2], in[3])) <= last_bin;
      if (!__any_sync(whole_warp, matters)) continue;
      unsigned members[4];
      std::uint32_t found = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float weight = weights_.uncut(logits[j]);
        const WeightParts parts(in[j] < last_bin && weight >= weight_min_ ? weight : 0);
        above_low += parts.low;
        above_high += parts.high;
        members[j] = __ballot_sync(whole_warp, in[j] == last_bin && weight >= 1);
        found += static_cast<std::uint32_t>(__popc(members[j]));
      }
      if (found == 0) continue;
      std::uint32_t place = 0;
      if (cluster_.lane() == 0) place = atomicAdd(&memory_.own_count, found);
      place = __shfl_sync(whole_warp, place, 0);
      count += found;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const std::uint32_t own_place = place + static_cast<std::uint32_t>(__popc(members[j] & lower_lanes));
        place += static_cast<std::uint32_t>(__popc(members[j]));
        if ((members[j] >> cluster_.lane() & 1) == 0) continue;
        if (own_place < nucleus_members_max) memory_.members[own_place] = {logits[j], id + j};
        highest = max(highest, key_of(logits[j]));
        lowest_complement = max(lowest_complement, ~key_of(logits[j]));
      }
    }
    const std::uint64_t above = warp_sum(weight_of(above_low, above_high));
    highest = __reduce_max_sync(whole_warp, highest);
    lowest_complement = __reduce_max_sync(whole_warp, lowest_complement);
    if (cluster_.lane() < Blocks) {
      SampleMemory<Blocks>& other = *in_block(&memory_, static_cast<std::uint32_t>(cluster_.lane()));
      other.above[cluster_.range()] = above;
      other.extremes[cluster_.range()] = std::uint64_t{highest} << 32 | lowest_complement;
      other.member_counts[cluster_.range()] = count;
    }
    cluster_.arrive();
    random_ = random_word(row_.seed, row_.position);  // while the others come
    cluster_.wait();
  }

  __device__ __forceinline__ Members count_members() const {
    const int lane = cluster_.lane();
    Members members{};
    if (lane < Blocks) {
      const auto* const of_warps = reinterpret_cast<const uint4*>(memory_.member_counts + lane * sample_warps);
#pragma unroll
      for (int i = 0; i < sample_warps / 4; ++i) {
        const uint4 counts = of_warps[i];
        members.of_block += counts.x + counts.y + counts.z + counts.w;
      }
    }
    const auto up_to = static_cast<std::uint32_t>(warp_running_sum(members.of_block));
    members.before = up_to - members.of_block;
    members.count = __shfl_sync(whole_warp, up_to, 31);
    std::uint32_t highest = 0;
    std::uint32_t lowest_complement = 0;
#pragma unroll
    for (int i = 0; i < word_each; ++i) {
      const std::uint64_t extremes = memory_.extremes[lane + 32 * i];
      highest = max(highest, static_cast<std::uint32_t>(extremes >> 32));
      lowest_complement = max(lowest_complement, static_cast<std::uint32_t>(extremes));
    }
    members.highest = __reduce_max_sync(whole_warp, highest);
    members.lowest = ~__reduce_max_sync(whole_warp, lowest_complement);
    return members;
  }

  /// Every block takes the members of all.
  __device__ __forceinline__ void take_members(const Members& members, Member (&own)[members_each]) const {
#pragma unroll
    for (int i = 0; i < members_each; ++i) {
      own[i] = {0, 0};
      const auto first = static_cast<std::uint32_t>(i * sample_threads);
      if (first >= members.count) continue;
      const std::uint32_t place = first + threadIdx.x;
      int block = 0;
#pragma unroll  // lanes that have no block begin behind the last member
      for (int step = Blocks > 8 ? 8 : 4; step > 0; step /= 2)
        block += place >= __shfl_sync(whole_warp, members.before, block + step) ? step : 0;
      const std::uint32_t before = __shfl_sync(whole_warp, members.before, block);
      if (place >= members.count) continue;
      const ListEntry entry = in_block(memory_.members, static_cast<std::uint32_t>(block))[place - before];
      own[i] = {order_of(key_of(entry.logit), entry.id), weights_.uncut(entry.logit)};
    }
  }

  /// The order of the last token that stays. A block together.
  __device__ __forceinline__ std::uint64_t last_of(const Member (&own)[members_each], const Members& members, BinsByOrder range,
                                                   std::uint64_t wanted) {
    auto last_count = static_cast<int>(members.count);
    if (last_count > 32) {
      range = BinsByOrder(min(range.highest, order_of(members.highest, 0)),
                          max(range.lowest, order_of(members.lowest, order_id_max)));
      Histogram& histogram = memory_.histograms[1];  // empty to begin with
#pragma unroll 1
      for (;;) {
#pragma unroll
        for (const Member& member : own) {
          const int bin = range.of_order(member.order);
          if (bin < 0 || bin >= bins) continue;
          const WeightParts parts(member.weight);
          histogram.add(bin);
          atomicAdd(&histogram.low[bin], parts.low);
          atomicAdd(&histogram.high[bin], parts.high);
        }
        __syncthreads();
        const int lane = cluster_.lane();
        const Reached in_bin = reach<bins / 32>(
            [&](int i) {
              const int bin = lane * (bins / 32) + i;
              return weight_of(histogram.low[bin], histogram.high[bin]);
            },
            [&](std::uint64_t) { return wanted; });
        wanted = in_bin.wanted;
        last_count = static_cast<int>(histogram.counts[in_bin.index]);
        range.narrow_to(in_bin.index);
        range.shift = max(range.shift - bin_bits, 0);
        if (last_count <= 32) break;
        __syncthreads();
        cuda::clear(histogram);
        __syncthreads();
      }
    }
#pragma unroll
    for (const Member& member : own) {
      const int bin = range.of_order(member.order);
      if (member.order == 0 || bin < 0 || bin >= bins) continue;
      memory_.last[atomicAdd(&memory_.last_count, 1U)] = {member.order, __float2ull_rz(member.weight)};
    }
    __syncthreads();
    const std::uint64_t order = cluster_.lane() < last_count ? memory_.last[cluster_.lane()].order : 0;
    std::uint64_t up_to = 0;
#pragma unroll 4
    for (int i = 0; i < last_count; ++i) {
      const OrderedWeight other = memory_.last[i];
      up_to += other.order >= order ? other.weight : 0;
    }
    return warp_max(up_to >= wanted ? order : 0);
  }

  /// Draws from what is above the last bin, and its members down to the last that stays.
  __device__ __forceinline__ Found draw_from(const Member (&own)[members_each], std::uint64_t last_kept) {
    Histogram& of_ranges = memory_.histograms[0];
    const int lane = cluster_.lane();
    const int of_range = cluster_.iterations() * 128;
#pragma unroll
    for (const Member& member : own) {
      if (member.order == 0 || member.order < last_kept || member.weight < weight_min_) continue;
      const WeightParts parts(member.weight);
      atomicAdd(&of_ranges.low[member.id() / of_range], parts.low);
      atomicAdd(&of_ranges.high[member.id() / of_range], parts.high);
    }
    __syncthreads();
    const Reached drawn = reach<word_each>(
        [&](int i) {
          const int range = lane * word_each + i;
          return memory_.above[range] + weight_of(of_ranges.low[range], of_ranges.high[range]);
        },
        // One more than the integer that is drawn: the token that covers it is the one with which the running sum reaches this.
        [&](std::uint64_t total) { return __umul64hi(random_, total) + 1; });
    if (drawn.total == 0) return {summary_.max, summary_.best, cluster_.is_first_warp()};  // the parameters are not valid
    return cluster_.find(drawn.index, drawn.wanted, [&](float logit, std::int32_t id) -> std::uint64_t {
      const float weight = weights_.uncut(logit);
      if (weight < weight_min_ || order_of(key_of(logit), id) < last_kept) return 0;
      return __float2ull_rz(weight);
    });
  }

  SampleCluster<Blocks>& cluster_;
  SampleMemory<Blocks>& memory_;
  const LogitSummary& summary_;
  const RowSampling& row_;
  Weights weights_;
  float weight_min_;
  BinsByDistance distances_;
  std::uint64_t random_ = 0;
};

}  // namespace troupe::kernels::cuda
