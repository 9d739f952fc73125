// What an engine has done since it was made, and how it stands now.
#pragma once

#include <cstdint>

#include "base/histogram.hpp"

namespace troupe::engine {

struct EngineCounters {
  std::uint64_t steps = 0;
  std::uint64_t tokens_prefilled = 0;  ///< tokens that were known when their sequence came, computed
  std::uint64_t tokens_reused = 0;     ///< prompt tokens found in the prefix cache
  std::uint64_t tokens_decoded = 0;    ///< tokens generated
  std::uint64_t sequences_submitted = 0;
  std::uint64_t sequences_refused = 0;
  std::uint64_t sequences_completed = 0;  ///< ended by a stop condition, their length, or as unsure
  std::uint64_t sequences_cancelled = 0;
  std::uint64_t sequences_expired = 0;  ///< ended by their deadline
  std::uint64_t sequences_failed = 0;
  std::uint64_t blocks_evicted = 0;

  std::int32_t waiting = 0;
  std::int32_t running = 0;
  std::int32_t blocks = 0;
  std::int32_t blocks_free = 0;
  std::int32_t blocks_cached = 0;
  std::int32_t blocks_held = 0;
  std::int32_t blocks_reserved = 0;

  Histogram queue_time;        ///< from submission to admission
  Histogram first_token_time;  ///< from submission to the first token
  Histogram token_time;        ///< between a sequence's tokens
  Histogram step_time;         ///< of steps that computed something
  double step_seconds = 0;     ///< all steps together
  double kernel_seconds = 0;   ///< of that, inside the device's operations
  double prefill_seconds = 0;  ///< of batches, each by the share of its rows that were prefilled
};

}  // namespace troupe::engine
