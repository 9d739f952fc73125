// What a client asks of a conversation, and which of it is refused before anything is kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/name.hpp"
#include "base/result.hpp"
#include "policy/batch.hpp"
#include "policy/portfolio.hpp"

namespace troupe::policy {

using ConversationId = Name128<struct ConversationTag>;

/// A turn of a conversation: its first is 1. Written "CONVERSATION/NUMBER".
struct TurnId {
  ConversationId conversation;
  std::uint32_t number = 0;
  friend constexpr auto operator<=>(const TurnId&, const TurnId&) = default;
};
std::string to_string(const TurnId& turn);
std::optional<TurnId> parse_turn(std::string_view text);

/// How much is done to make sure of an answer. `draft` streams at once; `standard` samples greedily and holds an attempt back
/// until its checks pass.
enum class Assurance : std::uint8_t { draft, standard, high };
std::string_view to_string(Assurance assurance);
std::optional<Assurance> assurance_of(std::string_view name);

/// Whether the model is given passages of the corpus. `automatic`: if the question is one for the corpus.
enum class Grounding : std::uint8_t { automatic, never, always };
std::string_view to_string(Grounding grounding);
std::optional<Grounding> grounding_of(std::string_view name);

std::string_view to_string(Priority priority);
std::optional<Priority> priority_of(std::string_view name);

/// As model/sampler.hpp has them; temperature 0 is greedy.
struct Sampling {
  float temperature = 0;
  std::int32_t top_k = 0;  ///< 0: all
  float top_p = 1;
  float min_p = 0;
  friend bool operator==(const Sampling&, const Sampling&) = default;
};

struct Ask {
  static constexpr std::size_t question_bytes_max = std::size_t{64} << 10;
  static constexpr std::size_t key_bytes_max = 128;
  static constexpr std::size_t tenant_bytes_max = 64;
  static constexpr std::int32_t tokens_limit = 4096;
  static constexpr std::int64_t deadline_limit_ms = std::int64_t{24} * 3600 * 1000;

  std::string idempotency_key;  ///< the same in a conversation is the same turn; with another question it is refused
  std::string question;
  Assurance assurance = Assurance::standard;
  Priority priority = Priority::interactive;
  Grounding grounding = Grounding::automatic;
  std::optional<Tier> tier;            ///< answer with this one and no other
  Sampling sampling;                   ///< greedy unless assurance is draft
  std::optional<std::uint64_t> seed;   ///< drawn if there is none
  std::int32_t tokens_max = 256;       ///< of the answer
  std::int64_t deadline_ms = 120000;   ///< from acceptance
  std::int64_t latency_budget_ms = 0;  ///< what the client hopes for; 0: no hurry
  bool keep_if_unread = false;         ///< go on when the last reader has left; otherwise that cancels the turn
  std::string tenant;                  ///< for whom it is routed, as the client says; empty: nobody in particular
};

/// `invalid_argument` or `out_of_range` names the field, its value and its limits; `unsupported` what this build does not do
/// (assurance high).
Result<void> check_ask(const Ask& ask);

}  // namespace troupe::policy
