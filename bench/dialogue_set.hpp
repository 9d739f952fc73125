// Conversations with questions about what was said in them, as files of JSON lines: the form of portfolio/eval/dialogues.jsonl.
// A line has "id", "turns" (messages of "user" and "assistant", alternately), "facts" (what a summary of it must keep) and
// "probes": each with "question", "answer", "values" (what a right answer contains) and "kind", a name to group them by. A
// probe may say after which exchange it is asked ("asked"; without it: after any that its answer was said by), and in which
// exchange its answer was last said ("since"; without it: the last that has all its values). What else there is, is not read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "policy/prompt.hpp"

namespace troupe::bench {

struct Probe {
  std::string question;
  std::string answer;
  std::vector<std::string> values;
  std::string kind;
  std::size_t since = 0;  ///< exchange, from 1 on; 0: nothing ever said it ("You have not told me your site.")
  std::size_t asked = 0;  ///< after so many exchanges; 0: whenever it can be
  friend bool operator==(const Probe&, const Probe&) = default;
};

struct Dialogue {
  int line = 0;  ///< of the file, from 1 on
  std::string id;
  std::vector<policy::Exchange> exchanges;
  std::vector<std::string> facts;
  std::vector<Probe> probes;

  /// Those that can be asked after so many exchanges; none if there are not so many.
  std::vector<Probe> probes_after(std::size_t exchanges_asked) const;
};

struct DialogueSet {
  static constexpr std::size_t bytes_max = std::size_t{64} << 20;
  static constexpr std::size_t line_bytes_max = std::size_t{4} << 20;
  static constexpr std::size_t dialogues_max = 10000;
  static constexpr std::size_t exchanges_max = 20000;  ///< of one

  std::vector<Dialogue> dialogues;  ///< at least one
};

/// Errors begin with "FILE:LINE" and name the field, as of bench/question_set.hpp.
Result<DialogueSet> parse_dialogues(std::string_view text, const std::string& file);

/// Whether an answer contains all the values, in any case.
bool recalls(const Probe& probe, std::string_view answer);

/// What to pin so that the probe can be answered: the first of the facts that has all its values; empty if none does.
std::string fact_of(const Dialogue& dialogue, const Probe& probe);

}  // namespace troupe::bench
