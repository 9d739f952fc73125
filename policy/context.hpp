// What goes into a prompt when not everything fits, and when the oldest turns are folded into the summary. Both are pure
// functions of what is durable, so that a turn that is taken up again after a crash reads the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "policy/prompt.hpp"

namespace troupe::policy {

/// Tokens of each part, as the caller counts them with what surrounds the part in the prompt (roles, numbers, line feeds). The
/// parts together should count at least as much as the prompt does as one.
struct PartSizes {
  std::int32_t system = 0;  ///< the task's prompt, and the template around everything
  std::int32_t summary = 0;
  std::int32_t question = 0;
  std::vector<std::int32_t> recent;    ///< one for each of the parts' exchanges
  std::vector<std::int32_t> passages;  ///< one for each of the parts' passages
};

struct Assembly {
  ContextParts parts;                          ///< what is kept, in the order it had
  std::vector<std::size_t> passages_left_out;  ///< places among the passages given, ascending
  std::size_t recent_left_out = 0;             ///< how many of the oldest exchanges
  std::int64_t tokens = 0;                     ///< of what is kept
};

/// Keeps the task's prompt, the summary and the question, whatever they need: `too_large` if they alone exceed `budget`. Then
/// passages, the best first; one that does not fit is left out, and a shorter one behind it may still come in. Then recent
/// exchanges, the newest first, up to the first that does not fit, for a conversation with a hole in it misleads.
///
/// Passages are kept by the task `answer` alone; `chat` leaves all of them out.
Result<Assembly> assemble(const ContextParts& parts, const PartSizes& sizes, std::int32_t budget);

/// A committed turn that no summary covers, as an exchange of the prompt.
struct TurnSize {
  std::uint32_t number = 0;
  std::int32_t tokens = 0;  ///< by the tokenizer of one tier for all turns, whichever answered
};

/// How many exchanges stay verbatim, and how many are folded at once; what the bundled models were trained and measured with.
inline constexpr std::size_t recent_kept = 6;
inline constexpr std::size_t recent_folded = 4;

/// How many of the oldest turns to fold into the summary now, before the next turn is planned; 0: none. `turns` are the
/// committed ones since the summary, ascending. When there are `keep` + `fold` of them, the `fold` oldest go; and if what stays
/// exceeds `tokens_max`, more of the oldest, until it does not or one turn is left. `keep` and `fold` are at least 1.
std::size_t plan_fold(std::span<const TurnSize> turns, std::int32_t tokens_max, std::size_t keep = recent_kept,
                      std::size_t fold = recent_folded);

/// Tokens, estimated, of the exchanges that one summary is made from: what the smallest model can read.
inline constexpr std::int32_t fold_tokens_max = 768;

/// How many of `fold` turns, the oldest, go into one summary, which others follow: `recent_folded` at most, and no more than
/// `fold_tokens_max` together, but one at least (of none: none).
std::size_t fold_at_once(std::span<const TurnSize> turns, std::size_t fold);

/// An exchange as a summary is made from it: one that alone would be too long with the beginnings of its question and answer.
Exchange shortened(const Exchange& exchange);

}  // namespace troupe::policy
