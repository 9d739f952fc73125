// What the next step computes: which sequences take part, and with how many tokens each.
//
// Every running sequence that is decoding gets its one token, so that no stream stalls; what is left of the token budget goes
// to prompts, most urgent first, cut into chunks where they do not fit ("chunked prefill", Agrawal et al., "Taming
// Throughput-Latency Tradeoff in LLM Inference with Sarathi-Serve", OSDI 2024).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace troupe::policy {

/// How urgent a sequence is; a lower one runs first.
enum class Priority : std::uint8_t { interactive, standard, batch };

/// A limit below 1 lets nothing through.
struct BatchLimits {
  std::int32_t tokens_max = 512;
  std::int32_t sequences_max = 64;
  /// Tokens of one prompt in one step; bounds how long a decoding neighbour waits.
  std::int32_t chunk_tokens_max = 512;
};

/// An admitted sequence that could run now.
struct RunnableSequence {
  std::uint64_t id = 0;
  /// With what it gained by waiting (admission.hpp), or a prompt that was promoted into the batch stands still in it.
  Priority priority = Priority::standard;
  std::uint64_t arrival = 0;     ///< grows with every submission
  std::int32_t tokens_left = 0;  ///< of the prompt, not yet computed; 1 while decoding
  bool decoding = false;
};

struct BatchEntry {
  std::uint64_t id = 0;
  std::int32_t tokens = 0;
  friend bool operator==(const BatchEntry&, const BatchEntry&) = default;
};

/// Decoding sequences first, then prompts; each by priority, then arrival, then id, so that the order of `sequences` does not
/// matter. Never exceeds a limit, never names a sequence twice, and is empty only if there is nothing to run.
///
/// Decoding sequences beyond the limits wait until others end, and prompts get nothing once decoding has used the budget:
/// whoever admits keeps the number of running sequences at most `sequences_max` and `tokens_max`.
std::vector<BatchEntry> plan_batch(std::span<const RunnableSequence> sequences, const BatchLimits& limits);

}  // namespace troupe::policy
