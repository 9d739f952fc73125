#include "policy/admission.hpp"

#include <algorithm>
#include <string>
#include <tuple>

#include "base/check.hpp"

namespace troupe::policy {

namespace {

auto place(const WaitingSequence& sequence, TimePoint now, const AdmissionLimits& limits) {
  return std::tuple(promoted_priority(sequence, now, limits), sequence.arrival, sequence.id);
}

std::int64_t blocks_for_long(std::int64_t tokens, std::int32_t block_positions) {
  TROUPE_CHECK(block_positions > 0, "a block holds at least one position");
  return tokens <= 0 ? 0 : (tokens - 1) / block_positions + 1;
}

}  // namespace

std::int32_t blocks_for(std::int32_t tokens, std::int32_t block_positions) {
  return static_cast<std::int32_t>(blocks_for_long(tokens, block_positions));
}

Result<void> check_request(std::int32_t prompt_tokens, std::int32_t tokens_max, std::int32_t waiting,
                           const AdmissionLimits& limits, std::int32_t block_positions) {
  const auto number = [](std::int64_t value) { return std::to_string(value); };
  if (prompt_tokens < 1) {
    return Error{ErrorCode::invalid_argument,
                 "the prompt has " + number(prompt_tokens) + " tokens; an answer needs at least one to begin from"};
  }
  if (tokens_max < 1) {
    return Error{ErrorCode::invalid_argument,
                 "an answer of at most " + number(tokens_max) + " tokens was asked for; ask for at least one"};
  }
  const std::int64_t total = std::int64_t{prompt_tokens} + tokens_max;
  const std::string wanted = "a prompt of " + number(prompt_tokens) + " tokens and an answer of up to " + number(tokens_max);
  if (total > limits.context_max) {
    return Error{ErrorCode::too_large, wanted + " make " + number(total) + " tokens, the context holds " +
                                           number(limits.context_max) + "; shorten the prompt or ask for a shorter answer"};
  }
  if (const std::int64_t blocks = blocks_for_long(total, block_positions); blocks > limits.blocks) {
    return Error{ErrorCode::too_large, wanted + " need " + number(blocks) + " KV blocks, the whole pool has " +
                                           number(limits.blocks) + "; shorten them or give the pool more memory"};
  }
  if (waiting >= limits.waiting_max) {
    return Error{ErrorCode::overloaded, number(waiting) + " requests are waiting, the queue holds " +
                                            number(limits.waiting_max) + "; try again later"};
  }
  return {};
}

Priority promoted_priority(const WaitingSequence& sequence, TimePoint now, const AdmissionLimits& limits) {
  const auto own = static_cast<Duration::rep>(sequence.priority);
  if (limits.promote_after <= Duration::zero()) return Priority::interactive;
  if (now <= sequence.since) return sequence.priority;
  const Duration::rep steps = (now - sequence.since) / limits.promote_after;
  return static_cast<Priority>(own - std::min(own, steps));
}

std::optional<std::uint64_t> next_to_admit(std::span<const WaitingSequence> waiting, TimePoint now,
                                           const AdmissionLimits& limits) {
  const auto first = std::min_element(waiting.begin(), waiting.end(), [&](const WaitingSequence& a, const WaitingSequence& b) {
    return place(a, now, limits) < place(b, now, limits);
  });
  if (first == waiting.end()) return std::nullopt;
  return first->id;
}

std::int32_t queue_position(std::span<const WaitingSequence> waiting, std::uint64_t id, TimePoint now,
                            const AdmissionLimits& limits) {
  const auto self =
      std::find_if(waiting.begin(), waiting.end(), [id](const WaitingSequence& sequence) { return sequence.id == id; });
  if (self == waiting.end()) return static_cast<std::int32_t>(waiting.size());
  const auto own = place(*self, now, limits);
  return static_cast<std::int32_t>(std::count_if(
      waiting.begin(), waiting.end(), [&](const WaitingSequence& other) { return place(other, now, limits) < own; }));
}

}  // namespace troupe::policy
