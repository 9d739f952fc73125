// Whether the beginning of a prompt is fetched from where it was computed, or computed again: arithmetic over measured rates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/clock.hpp"
#include "policy/block.hpp"
#include "policy/cluster_view.hpp"

namespace troupe::policy {

/// What it takes to get blocks from somewhere: a time for asking, and then so much for each byte.
struct FetchRate {
  double fixed_seconds = 0.002;
  double bytes_per_second = 1e9;
  friend bool operator==(const FetchRate&, const FetchRate&) = default;
};

/// Follows what transfers really take; recent ones count for more. A measurement is forgotten with time, towards what is
/// assumed of a source that was never tried: one that was slow for a moment is tried again.
class MeasuredFetch {
 public:
  FetchRate rate(TimePoint now) const;
  void record(std::size_t bytes, double seconds, TimePoint now);

 private:
  FetchRate rate_;  ///< when it was measured last
  TimePoint measured_{};
};

/// Somewhere that has a chain's blocks from the first missing one on.
struct PrefixSource {
  NodeId node;  ///< empty: below the pool of this node itself
  std::size_t blocks = 0;
  FetchRate rate;
};

/// The missing beginning of a prompt, and what computing it costs.
struct MissingPrefix {
  std::size_t blocks = 0;       ///< whole blocks that are not here
  std::size_t block_bytes = 0;  ///< of one
  std::int32_t block_tokens = 0;
  double seconds_per_token = 0;  ///< of prefill, as measured; 0: not known yet
};

struct FetchPlan {
  std::size_t source = 0;  ///< its place among the sources
  std::size_t blocks = 0;
  double fetch_seconds = 0;
  double compute_seconds = 0;
};

/// The source that saves the most time, if any saves some. While the cost of computing is unknown, whatever has something is
/// worth asking.
std::optional<FetchPlan> plan_fetch(const MissingPrefix& missing, std::span<const PrefixSource> sources);

/// The fewest blocks that are fetched sooner than they are computed; none if no number is.
std::optional<std::size_t> break_even_blocks(const MissingPrefix& missing, const FetchRate& rate);

}  // namespace troupe::policy
