#include "base/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/check.hpp"

namespace troupe {

namespace {

/// Both are at least zero.
Duration saturating_sum(Duration a, Duration b) { return a > Duration::max() - b ? Duration::max() : a + b; }

}  // namespace

std::size_t Histogram::bucket_of(std::uint64_t nanoseconds) {
  constexpr std::uint64_t exact = std::uint64_t{1} << bits;
  if (nanoseconds < exact) return nanoseconds;
  const int shift = static_cast<int>(std::bit_width(nanoseconds)) - 1 - bits;
  return (static_cast<std::size_t>(shift) << bits) + (nanoseconds >> shift);  // the leading one itself moves on by 2^bits
}

std::uint64_t Histogram::middle_of(std::size_t bucket) {
  constexpr std::size_t exact = std::size_t{1} << bits;
  if (bucket < exact) return bucket;
  const std::size_t shift = (bucket >> bits) - 1;
  const std::uint64_t low = (exact + bucket % exact) << shift;
  return low + ((std::uint64_t{1} << shift) - 1) / 2;
}

void Histogram::record(Duration duration) {
  duration = std::max(duration, Duration::zero());
  ++counts_[bucket_of(static_cast<std::uint64_t>(duration.count()))];
  ++count_;
  sum_ = saturating_sum(sum_, duration);
  max_ = std::max(max_, duration);
}

void Histogram::merge(const Histogram& other) {
  for (std::size_t bucket = 0; bucket < buckets; ++bucket) counts_[bucket] += other.counts_[bucket];
  count_ += other.count_;
  sum_ = saturating_sum(sum_, other.sum_);
  max_ = std::max(max_, other.max_);
}

Duration Histogram::quantile(double fraction) const {
  TROUPE_CHECK(fraction >= 0 && fraction <= 1, "a quantile is asked for by a fraction in [0, 1]");
  if (count_ == 0) return Duration::zero();
  const double wanted = std::ceil(fraction * static_cast<double>(count_));
  // The double may round above the count, and a fraction of zero asks for the smallest duration, which is of rank 1.
  if (wanted >= static_cast<double>(count_)) return max_;
  const auto rank = std::max(std::uint64_t{1}, static_cast<std::uint64_t>(wanted));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
    seen += counts_[bucket];
    if (seen >= rank) return std::min(max_, Duration(static_cast<Duration::rep>(middle_of(bucket))));
  }
  return max_;
}

}  // namespace troupe
