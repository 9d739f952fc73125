// Utterances with the labels that they should be given, as files of JSON lines: portfolio/eval/intent.jsonl and
// clinc_test.jsonl. Each row has "id", "messages" (a system message, which is the same in all rows and may be left out from the
// second one on, and the user's utterance) and "answer", the label.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace troupe::bench {

struct IntentRow {
  int line = 0;       ///< of the file, from 1 on
  std::string id;     ///< unique in its set
  std::string text;   ///< the utterance
  std::string label;  ///< that is right
  friend bool operator==(const IntentRow&, const IntentRow&) = default;
};

struct IntentSet {
  static constexpr std::size_t bytes_max = std::size_t{64} << 20;
  static constexpr std::size_t rows_max = 100000;
  static constexpr std::size_t line_bytes_max = std::size_t{64} << 10;
  static constexpr std::size_t label_bytes_max = 256;

  std::string prompt;  ///< the system message
  std::vector<IntentRow> rows;
  /// That rows have, ascending, each once.
  std::vector<std::string> labels() const;
};

/// The rows in `text`. Errors begin with "FILE:LINE": `invalid_argument` for what is no JSON, other messages, a prompt other
/// than the first row's, an id that is there twice, or an empty label; `not_found` for a field that is missing; `too_large`
/// beyond a limit; and, without a line, `invalid_argument` if there are none.
Result<IntentSet> parse_intents(std::string_view text, const std::string& file);

/// `count` of them, or all if there are fewer, spread evenly over the set, in its order.
IntentSet spread(const IntentSet& set, std::size_t count);

}  // namespace troupe::bench
