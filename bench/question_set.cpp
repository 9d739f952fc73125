#include "bench/question_set.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <unordered_set>
#include <utility>

#include "bench/json_rows.hpp"
#include "model/file.hpp"

namespace troupe::bench {

namespace {

constexpr std::size_t id_bytes_max = 256;
constexpr std::size_t list_max = 64;  ///< sections, sources or values of a question
constexpr std::string_view question_mark = "Question: ";

std::string key_of(const std::string& id, std::size_t number) { return id + "#" + std::to_string(number); }

Result<std::vector<std::string>> strings(const model::JsonObject& row, std::string_view field) {
  TROUPE_TRY(const auto* list, row.array(field, list_max));
  std::vector<std::string> texts;
  for (const auto& element : *list) {
    if (!element.is_string() || element.get_ref<const std::string&>().empty())
      return row.unexpected(field, "a list of strings");
    texts.push_back(element.get<std::string>());
  }
  return texts;
}

/// "[2] Records Policy §3.2: Audit logs are kept for a year."; nothing if the line is no source with this number.
std::optional<storage::Section> source_of(std::string_view line, const std::string& id, std::size_t number) {
  const std::string begin = "[" + std::to_string(number) + "] ";
  const std::size_t colon = line.find(": ");
  if (!line.starts_with(begin) || colon == std::string_view::npos || colon <= begin.size()) return std::nullopt;
  return storage::Section{key_of(id, number), std::string(line.substr(begin.size(), colon - begin.size())),
                          std::string(line.substr(colon + 2))};
}

/// Of the user's message: the numbered sources, an empty line, "Question: ...".
Result<std::vector<storage::Section>> sources_of(const model::JsonObject& row, const Question& question) {
  TROUPE_TRY(const auto* messages, row.array("messages", list_max));
  constexpr std::string_view form = "a system message and a user message of numbered sources, an empty line and the question";
  if (messages->size() != 2) return row.unexpected("messages", form);
  TROUPE_TRY(const auto message, model::JsonObject::of(messages->back(), row.file(), "messages[1]"));
  TROUPE_TRY(std::string_view content, message.string("content", QuestionSet::line_bytes_max));
  const std::string end = "\n\n" + std::string(question_mark) + question.text;
  if (!content.ends_with(end)) return row.unexpected("messages", form);
  content.remove_suffix(end.size() - 1);  // every source's line keeps its end
  std::vector<storage::Section> sources;
  while (!content.empty()) {
    const std::size_t length = content.find('\n');
    auto source = source_of(content.substr(0, length), question.id, sources.size() + 1);
    if (!source || sources.size() == list_max) return row.unexpected("messages", form);
    sources.push_back(*std::move(source));
    content.remove_prefix(length + 1);
  }
  return sources;
}

Result<void> read_sources(const model::JsonObject& row, Question& question) {
  TROUPE_TRY(question.sources, sources_of(row, question));
  TROUPE_TRY(const auto numbers, row.integers("citations", list_max, 1, static_cast<std::int64_t>(question.sources.size())));
  for (const std::int64_t number : numbers) question.sections.push_back(key_of(question.id, static_cast<std::size_t>(number)));
  return {};
}

Result<Question> parse_question(const model::JsonObject& row) {
  Question question;
  TROUPE_TRY(question.id, row.string("id", id_bytes_max));
  TROUPE_TRY(question.text, row.string("question", QuestionSet::line_bytes_max));
  TROUPE_TRY(question.answer, row.string("answer", QuestionSet::line_bytes_max));
  TROUPE_TRY(question.difficulty, row.string_or("difficulty", "", id_bytes_max));
  if (question.id.empty() || question.text.empty()) return row.unexpected(question.id.empty() ? "id" : "question", "some text");
  if (row.has("values")) {
    TROUPE_TRY(question.values, strings(row, "values"));
  }
  if (row.has("messages")) {
    TROUPE_TRY_DO(read_sources(row, question));
  } else {
    TROUPE_TRY(question.sections, strings(row, "sections"));
  }
  std::ranges::sort(question.sections);
  const auto twice = std::ranges::unique(question.sections);
  question.sections.erase(twice.begin(), twice.end());
  return question;
}

}  // namespace

Result<QuestionSet> parse_questions(std::string_view text, const std::string& file) {
  QuestionSet set;
  std::unordered_set<std::string> ids;
  TROUPE_TRY_DO(each_row(text, file, QuestionSet::line_bytes_max, [&](const model::JsonObject& row, int line) -> Result<void> {
    TROUPE_TRY(auto question, parse_question(row));
    const std::string& place = row.file();
    question.line = line;
    const bool brings_sources = !question.sources.empty();
    if (set.questions.empty()) set.brings_sources = brings_sources;
    if (set.brings_sources != brings_sources) {
      return Error{ErrorCode::invalid_argument, place + ": question " + question.id +
                                                    (brings_sources ? " brings" : " brings no") +
                                                    " sources, unlike the first; expected one kind in a file"};
    }
    if (!ids.insert(question.id).second) {
      return Error{ErrorCode::invalid_argument, place + ": id is \"" + question.id + "\", which an earlier line has"};
    }
    if (set.questions.size() == QuestionSet::questions_max) {
      return Error{ErrorCode::too_large, place + ": more than " + std::to_string(QuestionSet::questions_max) + " questions"};
    }
    set.questions.push_back(std::move(question));
    return {};
  }));
  if (set.questions.empty()) {
    return Error{ErrorCode::invalid_argument,
                 file + " has no questions; expected a line of JSON for each, as portfolio/handbook/questions.jsonl"};
  }
  return set;
}

Result<QuestionSet> read_questions(const std::filesystem::path& file) {
  TROUPE_TRY(const auto text, model::read_file(file, QuestionSet::bytes_max));
  return parse_questions(text, file.string());
}

Result<void> check_sections(const QuestionSet& set, std::span<const storage::Section> corpus, const std::string& file) {
  std::unordered_set<std::string_view> keys;
  for (const storage::Section& section : corpus) keys.insert(section.key);
  for (const Question& question : set.questions) {
    for (const std::string& section : question.sections) {
      if (keys.contains(section)) continue;
      return Error{ErrorCode::not_found, file + ":" + std::to_string(question.line) + ": question " + question.id +
                                             " is about section \"" + section + "\", which the corpus of " +
                                             std::to_string(corpus.size()) +
                                             " sections does not have; give its own with --corpus"};
    }
  }
  return {};
}

QuestionSet spread(const QuestionSet& set, std::size_t count) {
  const std::size_t size = set.questions.size();
  if (count >= size) return set;
  QuestionSet some{{}, set.brings_sources};
  for (std::size_t i = 0; i < count; ++i) some.questions.push_back(set.questions[i * size / count]);
  return some;
}

}  // namespace troupe::bench
