#include "policy/citation_support.hpp"

#include <algorithm>
#include <vector>

#include "policy/citation.hpp"
#include "policy/statement.hpp"
#include "policy/terms.hpp"

namespace troupe::policy {

namespace {

std::string bracketed(std::span<const std::int32_t> numbers) {
  std::string text;
  for (const std::int32_t number : numbers) text += '[' + std::to_string(number) + ']';
  return text;
}

/// The first number of a statement that only repeats the question, if no source has one of its numbers: whoever asks "Say that
/// it is 70 years" must not get it said. (Who has to approve EUR 340 is another matter: there the answer is no number.)
std::optional<std::string_view> echoed_number(std::string_view statement, const Words& sources, const Words& question) {
  const auto words = said_words(statement);
  if (count_known(words, question) < words.size()) return std::nullopt;
  std::optional<std::string_view> first;
  for (const std::string_view number : numbers_of(statement)) {
    if (sources.contains(small(number)) || !question.contains(small(number))) return std::nullopt;
    if (!first) first = number;
  }
  return first;
}

/// A name with a date in it: "Records Policy (2024-02-15) §4.1".
struct DatedName {
  std::string_view before;
  std::string_view date;
  std::string_view after;
};

std::optional<DatedName> dated(std::string_view name) {
  constexpr std::string_view form = "(dddd-dd-dd)";
  for (std::size_t at = name.find('('); at != std::string_view::npos; at = name.find('(', at + 1)) {
    const std::string_view part = name.substr(at, form.size());
    const auto fits = [](char c, char of) { return of == 'd' ? c >= '0' && c <= '9' : c == of; };
    if (part.size() == form.size() && std::equal(part.begin(), part.end(), form.begin(), fits))
      return DatedName{name.substr(0, at), part, name.substr(at + form.size())};
  }
  return std::nullopt;
}

std::size_t shared_words(std::span<const std::string> words, const PassageText& passage) {
  Words has;
  add_words(passage.text, has);
  return static_cast<std::size_t>(std::count_if(
      words.begin(), words.end(), [&](const std::string& word) { return !has_digit(word) && has.contains(word); }));
}

/// When the question asks for what held: on a date of it, in a year of it (any day), or now.
struct AskedTime {
  std::optional<std::string> date;  ///< the earliest: "(2024-02-15)", to be compared with those of names
  bool other = false;               ///< in a year, of which nothing follows here
};

AskedTime asked_time(const Words& question) {
  AskedTime asked;
  for (const std::string& word : question) {
    const bool year = word.size() == 4 && (word.starts_with("19") || word.starts_with("20")) &&
                      word.find_first_not_of("0123456789") == std::string::npos;
    const std::string bracketed = '(' + word + ')';
    if (dated(bracketed) && (!asked.date || bracketed < *asked.date)) asked.date = bracketed;
    asked.other = asked.other || year;
  }
  return asked;
}

/// The number of a passage that is a later version of the cited one, in force at the time that is asked for, and has as much of
/// the statement, numbers aside.
std::optional<std::int32_t> later_version(std::int32_t cited, std::span<const std::string> words, const AskedTime& asked,
                                          std::span<const PassageText> passages) {
  const PassageText& old = passages[static_cast<std::size_t>(cited) - 1];
  const auto name = dated(old.name);
  const std::size_t shared = shared_words(words, old);
  if (!name || shared == 0 || (asked.other && !asked.date)) return std::nullopt;
  for (std::size_t i = 0; i < passages.size(); ++i) {
    const auto other = dated(passages[i].name);
    if (!other || other->before != name->before || other->after != name->after || other->date <= name->date) continue;
    if (asked.date && other->date > *asked.date) continue;
    if (shared_words(words, passages[i]) >= shared) return static_cast<std::int32_t>(i) + 1;
  }
  return std::nullopt;
}

std::optional<std::string> failure_of(const Statement& statement, const Words& question,
                                      std::span<const PassageText> passages) {
  const auto words = said_words(statement.text);
  Words known = question;
  Words sources;
  for (const std::int32_t number : statement.cited) {
    const PassageText& passage = passages[static_cast<std::size_t>(number) - 1];
    if (passage.text.empty()) return "cites " + bracketed({&number, 1}) + ", which is no longer in the corpus";
    Words has;
    add_words(passage.name + " " + passage.text, has);
    std::size_t shared = 0;
    bool beyond_question = false;
    for (const std::string& word : words) {
      if (!has.contains(word)) continue;
      ++shared;
      beyond_question = beyond_question || !question.contains(word);
    }
    if (shared < 2 && !beyond_question) {
      return "cites " + bracketed({&number, 1}) + ", which has nothing of what it is cited for";
    }
    const auto later = later_version(number, words, asked_time(question), passages);
    const bool cited_too = later && std::ranges::find(statement.cited, *later) != statement.cited.end();
    if (later && !cited_too) {
      return "cites " + bracketed({&number, 1}) + ", of which " + bracketed({&*later, 1}) + " is a later version";
    }
    known.insert(has.begin(), has.end());
    sources.merge(has);
  }
  if (const auto value = echoed_number(statement.text, sources, question)) {
    return "says \"" + std::string(*value) + "\", which only the question does, and " + bracketed(statement.cited) +
           " does not";
  }
  if (const auto value = unknown_value(statement.text, known)) {
    return "says \"" + std::string(*value) + "\", which " + bracketed(statement.cited) + " does not";
  }
  return std::nullopt;
}

/// Of a statement that has not failed otherwise: whether most of its words are others than its sources' and the question's.
std::optional<std::string> failure_in_words(const Statement& statement, Words known, std::span<const PassageText> passages) {
  for (const std::int32_t number : statement.cited) {
    const PassageText& passage = passages[static_cast<std::size_t>(number) - 1];
    add_words(passage.name + " " + passage.text, known);
  }
  const auto words = said_words(statement.text);
  const std::size_t found = count_known(words, known);
  if (2 * found >= words.size()) return std::nullopt;
  return "has " + std::to_string(words.size() - found) + " of " + std::to_string(words.size()) + " words that " +
         bracketed(statement.cited) + " does not have";
}

}  // namespace

std::optional<FailedCitation> failed_citation(std::string_view answer, std::string_view question,
                                              std::span<const PassageText> passages) {
  Words asked;
  add_words(question, asked);
  for (const Statement& statement : statements_of(answer)) {
    for (const std::int32_t number : statement.cited) {
      if (number >= 1 && static_cast<std::size_t>(number) <= passages.size()) continue;
      return FailedCitation{"cites " + bracketed({&number, 1}) + ", and had " + std::to_string(passages.size()) + " passages"};
    }
    if (auto failure = failure_of(statement, asked, passages)) return FailedCitation{*std::move(failure)};
  }
  for (const Statement& statement : statements_of(answer)) {
    if (auto failure = failure_in_words(statement, asked, passages)) return FailedCitation{*std::move(failure), true};
  }
  return std::nullopt;
}

}  // namespace troupe::policy
