// Who may begin: the order of the queue, and whether a request fits. A sequence is admitted only with its worst case of KV
// blocks reserved, so that no sequence that began can run out of memory.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "policy/batch.hpp"

namespace troupe::policy {

struct WaitingSequence {
  std::uint64_t id = 0;
  Priority priority = Priority::standard;
  std::uint64_t arrival = 0;  ///< grows with every submission
  TimePoint since{};          ///< when it was queued
};

struct AdmissionLimits {
  std::int32_t waiting_max = 1024;  ///< requests in the queue
  std::int32_t running_max = 64;    ///< admitted sequences
  std::int32_t context_max = 0;     ///< tokens of prompt and answer together
  std::int32_t blocks = 0;          ///< of the whole pool
  /// Each time a request has waited this long, it is treated as one class more urgent. So after twice this long only those
  /// that came before it can stand before it, and none starves. Zero or less: order of arrival alone.
  Duration promote_after = std::chrono::seconds(10);
};

/// Blocks for `tokens` positions, `block_positions` (at least 1) to a block; none for no tokens.
std::int32_t blocks_for(std::int32_t tokens, std::int32_t block_positions);

/// Whether a request of `prompt_tokens` that asks for up to `tokens_max` more can ever run, and whether there is room to queue
/// it behind the `waiting` ones. `invalid_argument` for an empty prompt or answer, `too_large` if prompt and answer together
/// exceed the context or the whole pool, `overloaded` if the queue is full; with the numbers.
Result<void> check_request(std::int32_t prompt_tokens, std::int32_t tokens_max, std::int32_t waiting,
                           const AdmissionLimits& limits, std::int32_t block_positions);

/// A request's class with what it has gained by waiting. A `since` that is after `now` has gained nothing.
Priority promoted_priority(const WaitingSequence& sequence, TimePoint now, const AdmissionLimits& limits);

/// The request to admit next: by promoted priority, then arrival, then id. It is not overtaken by a smaller one behind it, so
/// a large request waits a bounded time. Empty if nobody waits.
std::optional<std::uint64_t> next_to_admit(std::span<const WaitingSequence> waiting, TimePoint now,
                                           const AdmissionLimits& limits);

/// How many requests stand before this one in the order of `next_to_admit`; all of them if it is not among the waiting.
std::int32_t queue_position(std::span<const WaitingSequence> waiting, std::uint64_t id, TimePoint now,
                            const AdmissionLimits& limits);

}  // namespace troupe::policy
