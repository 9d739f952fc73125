// The files of `troupe ask --input`: the questions, and the answers that are kept as they come, so that a run that was
// interrupted goes on where it was.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "policy/ask.hpp"

namespace troupe::cli {

/// One line of the input: {"question": "...", "id": "..."}; a whole number as id is its digits, without an id it is the line's
/// number. Other keys are not read.
struct FileQuestion {
  static constexpr std::size_t id_bytes_max = 256;
  std::string id;  ///< unique in its file
  std::string text;
};

struct QuestionFile {
  static constexpr std::size_t bytes_max = std::size_t{64} << 20;
  static constexpr std::size_t questions_max = 100'000;

  std::vector<FileQuestion> questions;
  std::vector<std::string> problems;  ///< of lines that cannot be asked, each with "FILE:LINE"; the first twenty
  std::size_t bad_lines = 0;
};

/// `like` is how they will be asked: what a node would refuse is a problem here already. An Error is about the file as a whole:
/// it cannot be read, has no questions or too many.
Result<QuestionFile> parse_question_file(std::string_view text, const std::string& name, const policy::Ask& like);

/// The ids that a file of answers has an answer for, and not only an error. `invalid_argument` with "FILE:LINE" if a line is no
/// answer, or answers another question than the one with its id. `text` ends with a line's end (`without_torn_end`).
Result<std::set<std::string>> answered_in(std::string_view text, const std::string& name,
                                          const std::vector<FileQuestion>& questions);

/// The length of what is whole: the last line may have been cut off in the middle of a write.
std::size_t without_torn_end(std::string_view text);

}  // namespace troupe::cli
