// What one asks of an engine, and what comes back while it works.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/result.hpp"
#include "model/sampler.hpp"
#include "model/stop.hpp"
#include "model/token.hpp"
#include "policy/batch.hpp"

namespace troupe::engine {

using model::TokenId;
using policy::Priority;
using SequenceId = Id<struct SequenceTag>;

struct GenerateRequest {
  std::vector<TokenId> prompt;
  std::int32_t tokens_max = 512;  ///< of the answer
  model::SamplingParameters sampling;
  model::StopConditions stop;
  bool stop_at_end_tokens = true;  ///< the model's own end tokens end the answer
  Priority priority = Priority::standard;
  std::optional<TimePoint> deadline;  ///< of the engine's clock; the answer ends there, finished or not
  std::string tenant_salt;            ///< blocks are shared only among requests of equal salt
  /// The answer's first tokens, as another engine chose them and its listener heard of them: they are taken as they are, and
  /// nobody is told of them again. What follows is what would have followed there.
  std::vector<model::SampledToken> answered;
  /// The sum of the tokens' log-probabilities only falls. The answer ends as `unsure` with the token that brings it below this,
  /// unless it ends there anyway; at most 0, -infinity: never.
  double log_probability_sum_min = -std::numeric_limits<double>::infinity();
  bool use_prefix_cache = true;  ///< whether to look for cached blocks, and to leave blocks behind for others
};

/// `unsure`: it can no longer be as probable as was asked for.
enum class FinishReason : std::uint8_t {
  end_token,
  stop_token,
  stop_string,
  length,
  unsure,
  cancelled,
  deadline_exceeded,
  failed
};
std::string_view to_string(FinishReason reason);

/// Some tokens of an answer and the text that they complete. The cut into events is a function of the tokens alone.
struct TokensEvent {
  SequenceId sequence;
  std::int32_t first_index = 0;  ///< of the first token, counted from the answer's start
  std::span<const model::SampledToken> tokens;
  std::string_view text;  ///< whole characters; empty for tokens that say nothing, or with a model without a tokenizer
};

struct SequenceStatistics {
  std::int32_t prompt_tokens = 0;
  std::int32_t reused_tokens = 0;  ///< found in the prefix cache: of the prompt, and of `answered`
  std::int32_t generated_tokens = 0;
  Duration queue_time{};        ///< from submission to admission
  Duration first_token_time{};  ///< from submission to the first token; zero if there was none
  Duration total_time{};
};

struct FinishedEvent {
  SequenceId sequence;
  FinishReason reason = FinishReason::failed;
  std::optional<Error> error;  ///< only if failed
  SequenceStatistics statistics;
};

/// Hears of its sequence on the thread that drives the engine; must be quick, and must outlive the sequence. It may cancel any
/// sequence, its own included, from any of these calls.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual void on_tokens(const TokensEvent& event) = 0;
  /// The last call for a sequence.
  virtual void on_finished(const FinishedEvent& event) = 0;
  /// Whether on_logits is called: a GPU's logits have to be copied for it.
  virtual bool wants_logits() const { return false; }
  /// The logits from which the token at `position` is chosen, before anybody hears of it; host memory, valid during the call.
  virtual void on_logits(SequenceId sequence, std::int32_t position, std::span<const float> logits) {
    static_cast<void>(sequence), static_cast<void>(position), static_cast<void>(logits);
  }
};

}  // namespace troupe::engine
