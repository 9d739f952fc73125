// How durations are distributed, in fixed memory: queue, step and token times over any length of run.
// Log-linear buckets (as in HdrHistogram): every power of two is cut into 32 buckets of equal width, so that the relative error
// is the same for a microsecond and for an hour. Holds no clock; not synchronised.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.hpp"

namespace troupe {

class Histogram {
 public:
  /// A quantile is off by at most this fraction of the true value; below 64 ns it is exact.
  static constexpr double relative_error = 1.0 / 64;

  /// A negative duration counts as zero.
  void record(Duration duration);
  /// As if everything that `other` recorded had been recorded here.
  void merge(const Histogram& other);

  std::uint64_t count() const { return count_; }
  /// Exact up to the largest Duration (292 years), where it stays.
  Duration sum() const { return sum_; }
  /// Exact; zero if nothing was recorded.
  Duration max() const { return max_; }
  /// The smallest recorded duration that at least `fraction` of all recorded ones do not exceed (the nearest rank), within
  /// `relative_error`, and never above `max()`. `fraction` is in [0, 1]; zero if nothing was recorded.
  Duration quantile(double fraction) const;

 private:
  static constexpr int bits = 5;  ///< of a value below its leading one: 2^bits buckets per power of two
  static constexpr std::size_t buckets = (63 - bits + 1) << bits;  ///< a Duration has 63 bits and a sign

  static std::size_t bucket_of(std::uint64_t nanoseconds);
  static std::uint64_t middle_of(std::size_t bucket);

  std::array<std::uint64_t, buckets> counts_{};
  std::uint64_t count_ = 0;
  Duration sum_{0};
  Duration max_{0};
};

}  // namespace troupe
