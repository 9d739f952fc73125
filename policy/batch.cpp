#include "policy/batch.hpp"

#include <algorithm>
#include <tuple>

namespace troupe::policy {

namespace {

bool runs_before(const RunnableSequence& a, const RunnableSequence& b) {
  return std::tuple(!a.decoding, a.priority, a.arrival, a.id) < std::tuple(!b.decoding, b.priority, b.arrival, b.id);
}

bool contains(const std::vector<BatchEntry>& batch, std::uint64_t id) {
  return std::any_of(batch.begin(), batch.end(), [id](const BatchEntry& entry) { return entry.id == id; });
}

}  // namespace

std::vector<BatchEntry> plan_batch(std::span<const RunnableSequence> sequences, const BatchLimits& limits) {
  std::vector<RunnableSequence> order(sequences.begin(), sequences.end());
  std::sort(order.begin(), order.end(), runs_before);

  std::vector<BatchEntry> batch;
  std::int32_t budget = limits.tokens_max;
  std::int32_t places = limits.sequences_max;
  for (const RunnableSequence& sequence : order) {
    if (budget < 1 || places < 1) break;
    const std::int32_t tokens = sequence.decoding ? 1 : std::min({sequence.tokens_left, limits.chunk_tokens_max, budget});
    if (tokens < 1 || contains(batch, sequence.id)) continue;
    batch.push_back({sequence.id, tokens});
    budget -= tokens;
    --places;
  }
  return batch;
}

}  // namespace troupe::policy
