#include "cli/question_file.hpp"

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "bench/json_rows.hpp"

namespace troupe::cli {

namespace {

constexpr std::size_t problems_max = 20;
constexpr std::size_t line_bytes_max = std::size_t{1} << 20;

Result<FileQuestion> question_of(std::string_view row, const std::string& place, int line, const policy::Ask& like) {
  TROUPE_TRY(const auto json, model::parse_json(row, place, line_bytes_max));
  TROUPE_TRY(const auto object, model::JsonObject::of(json, place));
  const auto* const given = object.find("id");
  const std::string number = given != nullptr && given->is_number_integer() ? given->dump() : std::to_string(line);
  std::string_view id = number;
  if (given != nullptr && !given->is_number_integer() && !given->is_string()) {
    return Error{ErrorCode::invalid_argument, place + ": id is " + given->dump() + ", expected a text or a whole number"};
  }
  if (given != nullptr && given->is_string()) {
    TROUPE_TRY(id, object.string("id", FileQuestion::id_bytes_max));
  }
  TROUPE_TRY(const std::string_view text, object.string("question", line_bytes_max));
  policy::Ask ask = like;
  ask.idempotency_key = "drawn later";
  ask.question = text;
  if (const auto checked = policy::check_ask(ask); !checked)
    return Error{checked.error().code, place + ": " + checked.error().message};
  return FileQuestion{std::string(id), std::string(text)};
}

}  // namespace

Result<QuestionFile> parse_question_file(std::string_view text, const std::string& name, const policy::Ask& like) {
  QuestionFile file;
  std::map<std::string, int> lines;  // of ids
  const auto complain = [&](std::string problem) {
    ++file.bad_lines;
    if (file.problems.size() < problems_max) file.problems.push_back(std::move(problem));
  };
  TROUPE_TRY_DO(bench::each_line(text, [&](std::string_view row, int line) -> Result<void> {
    const std::string place = name + ":" + std::to_string(line);
    if (file.questions.size() == QuestionFile::questions_max) {
      return Error{ErrorCode::too_large,
                   place + ": more than " + std::to_string(QuestionFile::questions_max) + " questions; split the file"};
    }
    auto question = question_of(row, place, line, like);
    if (!question) {
      complain(question.error().message);
      return {};
    }
    const auto [there, is_new] = lines.emplace(question->id, line);
    if (!is_new) {
      complain(place + ": id \"" + question->id + "\" is that of line " + std::to_string(there->second) + " too");
      return {};
    }
    file.questions.push_back(*std::move(question));
    return {};
  }));
  if (file.questions.empty() && file.bad_lines == 0) {
    return Error{ErrorCode::invalid_argument,
                 name + R"( has no questions; expected lines like {"id": "1", "question": "..."})"};
  }
  return file;
}

Result<std::set<std::string>> answered_in(std::string_view text, const std::string& name,
                                          const std::vector<FileQuestion>& questions) {
  std::map<std::string_view, std::string_view> asked;
  for (const FileQuestion& question : questions) asked.emplace(question.id, question.text);
  std::set<std::string> answered;
  TROUPE_TRY_DO(bench::each_row(text, name, QuestionFile::bytes_max, [&](const model::JsonObject& row, int) -> Result<void> {
    TROUPE_TRY(const std::string_view id, row.string("id", FileQuestion::id_bytes_max));
    TROUPE_TRY(const std::string_view question, row.string("question", line_bytes_max));
    const auto there = asked.find(id);
    if (there == asked.end() || there->second != question) {
      return Error{ErrorCode::invalid_argument, row.file() + ": id \"" + std::string(id) +
                                                    "\" answers a question that the input does not have; name another file of "
                                                    "answers, or the input that this one is of"};
    }
    if (row.has("answer")) answered.emplace(id);
    return {};
  }));
  return answered;
}

std::size_t without_torn_end(std::string_view text) {
  constexpr std::string_view begin = "{\"id\":";  // of every line that was written
  const std::size_t end = text.rfind('\n');
  const std::size_t whole = end == std::string_view::npos ? 0 : end + 1;
  const std::string_view rest = text.substr(whole);
  const bool begun = rest.starts_with(begin) || begin.starts_with(rest);
  return begun && !model::parse_json(rest, "", line_bytes_max) ? whole : text.size();
}

}  // namespace troupe::cli
