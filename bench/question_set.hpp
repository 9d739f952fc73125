// Questions with known answers, as files of JSON lines. Two forms are read:
//
// - Questions about a corpus, as in portfolio/handbook/questions.jsonl: "id", "question", "answer" (without citations), and
//   "sections", the keys of the sections that state it.
// - Questions that bring their sources along, as in portfolio/eval/grounded.jsonl: "id", "question", "answer" (with citations
//   in it), "citations", the numbers of the sources that state it, and "messages", whose last holds the numbered sources.
//
// Both may have "difficulty", a name to group them by, and "values", what a right answer contains. What else there is, is not
// read.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "storage/corpus.hpp"

namespace troupe::bench {

struct Question {
  int line = 0;            ///< of the file, from 1 on
  std::string id;          ///< unique in its set
  std::string text;        ///< alone, without sources
  std::string answer;      ///< what a right one says
  std::string difficulty;  ///< may be empty
  std::vector<std::string> values;
  std::vector<std::string> sections;  ///< keys of those that a right answer cites, ascending; none: no source says it
  /// That come with it, numbered from 1 on. Their keys, "ID#1", are those in `sections`. Empty in questions about a corpus.
  std::vector<storage::Section> sources;

  bool answerable() const { return !sections.empty(); }
  friend bool operator==(const Question&, const Question&) = default;
};

struct QuestionSet {
  static constexpr std::size_t bytes_max = std::size_t{64} << 20;
  static constexpr std::size_t questions_max = 100000;
  static constexpr std::size_t line_bytes_max = std::size_t{1} << 20;

  std::vector<Question> questions;  ///< at least one
  bool brings_sources = false;      ///< of the second form
};

/// The questions in `text`. Errors begin with "FILE:LINE": `invalid_argument` for what is no JSON, a field of another type, an
/// id that is there twice, or a line of the other form than the first; `not_found` for a field that is missing; `out_of_range`
/// for a citation of no source; `too_large` beyond a limit; and, without a line, `invalid_argument` if there are no questions.
Result<QuestionSet> parse_questions(std::string_view text, const std::string& file);
Result<QuestionSet> read_questions(const std::filesystem::path& file);

/// `not_found` with file and line for a question whose sections are not all in the corpus: it is another corpus's.
Result<void> check_sections(const QuestionSet& set, std::span<const storage::Section> corpus, const std::string& file);

/// `count` of them, or all if there are fewer, spread evenly over the set, in its order.
QuestionSet spread(const QuestionSet& set, std::size_t count);

}  // namespace troupe::bench
