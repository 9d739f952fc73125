#include "bench/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace troupe::bench {

Reliability reliability_of(std::span<const SureAnswer> answers) {
  Reliability bins;
  for (const SureAnswer& answer : answers) {
    ReliabilityBin& bin = bins[std::min(static_cast<std::size_t>(answer.confidence * reliability_bins), reliability_bins - 1)];
    ++bin.answers;
    bin.confidence += answer.confidence;
    bin.right += answer.right ? 1 : 0;
  }
  for (ReliabilityBin& bin : bins) {
    if (bin.answers == 0) continue;
    bin.confidence /= static_cast<double>(bin.answers);
    bin.right /= static_cast<double>(bin.answers);
  }
  return bins;
}

double calibration_error_of(const Reliability& bins) {
  std::size_t all = 0;
  for (const ReliabilityBin& bin : bins) all += bin.answers;
  double error = 0;
  for (const ReliabilityBin& bin : bins) error += share(bin.answers, all).value_or(0) * std::abs(bin.confidence - bin.right);
  return error;
}

double nearest_rank(std::span<const double> ascending, double fraction) {
  const auto rank = static_cast<std::size_t>(std::ceil(fraction * static_cast<double>(ascending.size())));
  return ascending[std::clamp<std::size_t>(rank, 1, ascending.size()) - 1];
}

std::optional<double> share(std::size_t part, std::size_t whole) {
  if (whole == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace troupe::bench
