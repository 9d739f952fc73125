// Finds the last token that stays where only the likeliest do: a number of them, or those that have a share of the weight.
//
// Nothing is sorted. Tokens fall into 256 bins by likelihood, the bins' counts or weights are added, and only what is in the
// bin that holds the last one is looked at again. The first three passes take 24 bits of the distance to the best logit, which
// spreads tokens evenly; where that leaves several, further passes take what distinguishes the logits themselves; and of equal
// ones those of the lowest ids stay.
#pragma once

#include <cstdint>

#include "kernels/cuda/sample_cluster.cuh"
#include "kernels/cuda/sample_weights.cuh"

namespace troupe::kernels::cuda {

/// A token less likely than the best by this exponent, or just before it, weighs nothing: exp of it is below 2^-40.
inline constexpr float far_exponent = 28.5f;
inline constexpr int distance_bits = 24;
inline constexpr std::uint32_t far = (1U << distance_bits) - 1;
inline constexpr int minus_infinity_key = 0x007FFFFF;

/// By how much a logit is below the best, in 24 bits: a greater logit never has a greater distance.
struct Distances {
  float best;
  float scale;

  __device__ Distances(float best, float temperature)
      : best(best), scale(fminf(0x1p24f / far_exponent / temperature, 0x1p126f)) {}

  /// `far` for all that are too far away to tell.
  __device__ __forceinline__ std::uint32_t of(float logit) const {
    const float scaled = __fmul_rn(__fsub_rn(best, logit), scale);
    return scaled < static_cast<float>(far) ? static_cast<std::uint32_t>(scaled) : far;
  }
};

/// Keeps the likeliest tokens, down to some last one. To begin with, all.
struct Threshold {
  int shift = distance_bits;   ///< of distances, whose bits below are not looked at
  std::uint32_t distance = 0;  ///< what is nearer stays; what is farther does not; of what is as near
  std::uint32_t key = 0;       ///< greater keys stay, and this one
  std::int32_t id_max = -1;    ///< up to this id

  __device__ __forceinline__ bool keeps(std::uint32_t of_distance, std::uint32_t of_key, std::int32_t id) const {
    const std::uint32_t high = of_distance >> shift;
    return high < distance || (high == distance && (of_key > key || (of_key == key && id <= id_max)));
  }
};

/// The likeliest `Wanted` tokens of those that `Candidates` has.
///   Candidates: bool has(float logit, std::int32_t id, std::uint32_t distance) and, if `Weighted`, std::uint64_t
///   weight(float); `wanted_of(total)`: how many of the `total`, or how much of the weight; not more than the total, and 1 at
///   least.
///   Tokens: a SampleCluster or a SampleList.
template <bool Weighted, class Tokens, class Candidates, class Wanted>
class Narrowing {
 public:
  __device__ Narrowing(Tokens& tokens, const Distances& distances, const Candidates& candidates, const Wanted& wanted_of)
      : tokens_(tokens), distances_(distances), candidates_(candidates), wanted_of_(wanted_of) {}

  __device__ __forceinline__ Threshold last_kept() {
    if (by_distance()) return {shift_, distance_, 0, 0};
#pragma unroll 1
    for (;;) {
      const std::uint64_t extremes = extremes_in_play();
      const auto highest = static_cast<std::uint32_t>(extremes >> 32);
      const std::uint32_t lowest = ~static_cast<std::uint32_t>(extremes);
      if (highest <= lowest) return among_equals(highest);
      if (by_key(highest, lowest)) return {shift_, distance_, key_min_, 0x7FFFFFFF};
    }
  }

 private:
  /// Whether a token is among those of which the last one is looked for.
  __device__ __forceinline__ bool in_play(float logit, std::int32_t id) const {
    const std::uint32_t distance = distances_.of(logit);
    const std::uint32_t key = key_of(logit);
    return distance >> shift_ == distance_ && key >= key_min_ && key <= key_max_ && candidates_.has(logit, id, distance);
  }
  __device__ __forceinline__ void add(std::uint32_t bin, float logit) {
    if constexpr (Weighted) {
      tokens_.histogram().add(bin, candidates_.weight(logit));
    } else {
      tokens_.histogram().add(bin);
    }
  }
  __device__ __forceinline__ const std::uint64_t* sums() {
    return Weighted ? tokens_.memory().weights : tokens_.memory().counts;
  }
  /// Finds the last one's bin. Returns whether that bin stays as a whole.
  __device__ __forceinline__ bool choose_bin(int& bin) {
    const Place place = find_sum<bins / 32>(sums(), wanted_);
    bin = place.index;
    wanted_ -= place.before;
    count_ = tokens_.memory().counts[bin];
    return Weighted ? count_ == 1 : count_ == wanted_;
  }

  /// Returns whether the last one is found.
  __device__ __forceinline__ bool by_distance() {
#pragma unroll 1
    for (int shift = distance_bits - bin_bits; shift >= 0; shift -= bin_bits) {
      std::uint32_t far_count = 0;  // there may be many, which would queue for one bin
      tokens_.for_each([&](float logit, std::int32_t id) {
        const std::uint32_t distance = distances_.of(logit);
        if (distance >> shift_ != distance_ || !candidates_.has(logit, id, distance)) return;
        if (!Weighted && distance == far) {
          ++far_count;
        } else {
          add((distance >> shift) % bins, logit);
        }
      });
      if constexpr (!Weighted) {
        far_count = __reduce_add_sync(whole_warp, far_count);
        if (far_count > 0 && tokens_.lane() == 0) atomicAdd(&tokens_.histogram().counts[bins - 1], far_count);
      }
      tokens_.template add_histograms<Weighted>();
      if (shift == distance_bits - bin_bits) {
        const std::uint64_t total = sum_words<bins / 32>(sums());
        wanted_ = wanted_of_(total);
        if (!Weighted && total <= wanted_) return true;  // all stay
      }
      int bin;
      const bool whole = choose_bin(bin);
      distance_ = distance_ << bin_bits | static_cast<std::uint32_t>(bin);
      shift_ = shift;
      if (whole) return true;
      if (distance_ == far >> shift) return false;  // how far the far ones are, distances do not say
    }
    return false;
  }

  /// The highest key in play, and below it the complement of the lowest.
  __device__ __forceinline__ std::uint64_t extremes_in_play() {
    std::uint32_t highest = 0;
    std::uint32_t lowest_complement = 0;
    tokens_.for_each([&](float logit, std::int32_t id) {
      if (!in_play(logit, id)) return;
      highest = max(highest, key_of(logit));
      lowest_complement = max(lowest_complement, ~key_of(logit));
    });
    const std::uint64_t of_warp =
        std::uint64_t{__reduce_max_sync(whole_warp, highest)} << 32 | __reduce_max_sync(whole_warp, lowest_complement);
    const std::uint64_t* const words = tokens_.share(of_warp);
    highest = 0;
    lowest_complement = 0;
#pragma unroll
    for (int i = 0; i < Tokens::words_each; ++i) {
      const std::uint64_t word = words[tokens_.lane() + 32 * i];
      highest = max(highest, static_cast<std::uint32_t>(word >> 32));
      lowest_complement = max(lowest_complement, static_cast<std::uint32_t>(word));
    }
    return std::uint64_t{__reduce_max_sync(whole_warp, highest)} << 32 | __reduce_max_sync(whole_warp, lowest_complement);
  }

  /// Returns whether the last one is found: then what is not below `key_min_` stays.
  __device__ __forceinline__ bool by_key(std::uint32_t highest, std::uint32_t lowest) {
    const int shift = max(32 - bin_bits - __clz(static_cast<int>(highest - lowest)), 0);
    tokens_.for_each([&](float logit, std::int32_t id) {
      if (in_play(logit, id)) add((highest - key_of(logit)) >> shift, logit);
    });
    tokens_.template add_histograms<Weighted>();
    int bin;
    const bool whole = choose_bin(bin);
    key_max_ = highest - (static_cast<std::uint32_t>(bin) << shift);
    key_min_ = key_max_ - min(key_max_ - lowest, (1U << shift) - 1);
    return whole;
  }

  /// All in play have the same key.
  __device__ __forceinline__ Threshold among_equals(std::uint32_t key) {
    std::uint64_t wanted = wanted_;
    if constexpr (Weighted) {
      const std::uint64_t weight = candidates_.weight(logit_of(key));
      wanted = weight == 0 ? 1 : (wanted + weight - 1) / weight;
    }
    if (wanted >= count_) return {shift_, distance_, key, 0x7FFFFFFF};
    std::uint64_t own = 0;
    tokens_.for_each([&](float logit, std::int32_t id) { own += in_play(logit, id) ? 1 : 0; });
    const Place place = find_sum<Tokens::words_each>(tokens_.share(warp_sum(own)), wanted);
    const Found last = tokens_.find(place.index, wanted - place.before,
                                    [&](float logit, std::int32_t id) -> std::uint64_t { return in_play(logit, id) ? 1 : 0; });
    const std::uint64_t id_max = last.here && tokens_.lane() == 0 ? static_cast<std::uint64_t>(last.id) : 0;
    return {shift_, distance_, key, static_cast<std::int32_t>(tokens_.share_sum(id_max))};
  }

  Tokens& tokens_;
  const Distances& distances_;
  const Candidates& candidates_;
  const Wanted& wanted_of_;
  // In play are candidates whose distance begins with these bits, and whose keys lie between these.
  int shift_ = distance_bits;
  std::uint32_t distance_ = 0;
  std::uint32_t key_min_ = 0;
  std::uint32_t key_max_ = 0xFFFFFFFF;
  std::uint64_t wanted_ = 0;  ///< of those in play
  std::uint64_t count_ = 0;   ///< in play
};

/// Which tokens a rank counts.
struct Counted {
  bool far_too;  ///< all that are possible, or else only those that may weigh something

  __device__ __forceinline__ bool has(float logit, std::int32_t, std::uint32_t distance) const {
    return far_too ? key_of(logit) > minus_infinity_key : distance != far;
  }
};
struct TokenCount {
  std::uint64_t count;

  __device__ __forceinline__ std::uint64_t operator()(std::uint64_t) const { return count; }
};

/// What keeps the `count` likeliest tokens, which is 1 at least. Not inlined: instructions are fetched once for both uses.
template <class Tokens>
__device__ __noinline__ Threshold likeliest(Tokens& tokens, const Distances distances, const Counted counted, int count) {
  const TokenCount wanted{static_cast<std::uint64_t>(count)};
  return Narrowing<false, Tokens, Counted, TokenCount>(tokens, distances, counted, wanted).last_kept();
}

struct NearAndKept {
  Threshold kept;
  Weights weights;

  __device__ __forceinline__ bool has(float logit, std::int32_t id, std::uint32_t distance) const {
    return distance != far && kept.keeps(distance, key_of(logit), id);
  }
  __device__ __forceinline__ std::uint64_t weight(float logit) const { return weights.of(logit); }
};
/// The weight that the nucleus has at least: `share` / 2^32 of the total, rounded up, and something in any case.
struct NucleusWeight {
  std::uint64_t share;

  __device__ explicit NucleusWeight(float top_p) { share = __float2ull_rz(__fmul_rn(top_p, 0x1p32f)); }

  __device__ __forceinline__ std::uint64_t operator()(std::uint64_t total) const {
    const std::uint64_t low = total * share;
    const std::uint64_t rounded = low + 0xFFFFFFFFU;
    const std::uint64_t high = __umul64hi(total, share) + (rounded < low ? 1 : 0);
    const std::uint64_t wanted = high << 32 | rounded >> 32;
    return wanted == 0 ? 1 : wanted;
  }
};

/// What keeps the fewest of the likeliest candidates that together have so much of the weight of all.
template <class Tokens>
__device__ __noinline__ Threshold nucleus(Tokens& tokens, const Distances distances, const NearAndKept candidates,
                                          const NucleusWeight wanted) {
  return Narrowing<true, Tokens, NearAndKept, NucleusWeight>(tokens, distances, candidates, wanted).last_kept();
}

}  // namespace troupe::kernels::cuda
