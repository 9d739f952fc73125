// What probes of conversations came to: how much is recalled, by what a prompt has of what was said, and how many tokens that
// takes. Plain values; who asks is cli/eval_dialogues.cpp.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>

namespace troupe::bench {

/// `summaries`: as a node does it. `everything`: all turns word for word, as far as the model's window holds them. `truncated`:
/// the newest turns word for word, as far as the tokens reach that `summaries` took. `pinned`: as `summaries`, with the fact
/// pinned when it was said.
inline constexpr const char* with_summaries = "summaries";
inline constexpr const char* with_everything = "everything";
inline constexpr const char* with_truncation = "truncated";
inline constexpr const char* with_pins = "pinned";

struct JudgedProbe {
  bool recalled = false;
  bool early = false;  ///< last said in the first third of the exchanges
  bool whole = false;  ///< no turn was left out of the prompt
  bool pinned = false;
  bool verbatim = false;  ///< the pin stood in the prompt
  std::int64_t prompt_tokens = 0;
};

/// Shares are in [0, 1]; nothing where there is nothing to divide by.
struct DialogueRow {
  std::string method;
  std::size_t exchanges = 0;  ///< that were held before; 0: all of each conversation
  std::size_t probes = 0;
  double recall = 0;
  std::size_t early_probes = 0;
  std::optional<double> early_recall;
  double prompt_tokens = 0;            ///< mean
  std::int64_t prompt_tokens_max = 0;  ///< the largest
  double whole = 0;                    ///< of the probes
  std::optional<double> verbatim;      ///< of the pins
};
DialogueRow sum_up(const std::string& method, std::size_t exchanges, std::span<const JudgedProbe> probes);

/// Summaries against keeping everything, after the same exchanges.
struct DialogueComparison {
  static constexpr std::size_t exchanges = 30;
  static constexpr double points_mark = 3;
  static constexpr double tokens_mark = 0.75;
  double points = 0;        ///< percentage points of recall below; negative: above
  double tokens_share = 0;  ///< of the tokens of everything
  bool holds() const { return points <= points_mark && tokens_share <= tokens_mark; }
};
/// Nothing if there are not both rows.
std::optional<DialogueComparison> compare(std::span<const DialogueRow> rows);
std::string sentence_of(const DialogueComparison& comparison);

}  // namespace troupe::bench
