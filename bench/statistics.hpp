// What evaluations make of many answers: how well confidence holds, and quantiles.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace troupe::bench {

/// An answer and how sure it was, in [0, 1].
struct SureAnswer {
  double confidence = 0;
  bool right = false;
};

/// Answers of about the same confidence.
struct ReliabilityBin {
  std::size_t answers = 0;
  double confidence = 0;  ///< mean; of none 0
  double right = 0;       ///< the share of them
  friend bool operator==(const ReliabilityBin&, const ReliabilityBin&) = default;
};
inline constexpr std::size_t reliability_bins = 10;
using Reliability = std::array<ReliabilityBin, reliability_bins>;

/// In bins of equal width.
Reliability reliability_of(std::span<const SureAnswer> answers);
/// Expected: the mean distance of a bin's two means.
double calibration_error_of(const Reliability& bins);

/// The smallest that at least `fraction` of all do not exceed. `ascending` is not empty.
double nearest_rank(std::span<const double> ascending, double fraction);

/// Nothing where there is nothing to divide by.
std::optional<double> share(std::size_t part, std::size_t whole);

}  // namespace troupe::bench
