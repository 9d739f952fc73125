#include "policy/citation_support.hpp"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "policy/citation.hpp"
#include "policy/terms.hpp"

namespace troupe::policy {

namespace {

using Words = std::unordered_set<std::string>;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }
bool is_letter(char c) { return is_capital(c) || (c >= 'a' && c <= 'z'); }

/// A word as it is written, with what stands inside of it: "A-1327", "12:30", "records@example.org".
struct Token {
  std::string_view text;
  bool begins_sentence = false;
};

std::vector<Token> tokens_of(std::string_view text) {
  constexpr std::string_view inside = ".,:-@_/'";
  std::vector<Token> tokens;
  bool begins = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    while (at < text.size() && (is_digit(text[at]) || is_letter(text[at]) || inside.find(text[at]) != std::string_view::npos)) {
      ++at;
    }
    std::string_view word = text.substr(begin, at - begin);
    const bool ends = !word.empty() && (word.back() == '.' || word.back() == ':');
    while (!word.empty() && inside.find(word.back()) != std::string_view::npos) word.remove_suffix(1);
    while (!word.empty() && inside.find(word.front()) != std::string_view::npos) word.remove_prefix(1);
    if (!word.empty()) tokens.push_back({word, begins});
    if (!word.empty() || ends) begins = ends;
    if (at < text.size() && (text[at] == '!' || text[at] == '?')) begins = true;
    if (at == begin) ++at;
  }
  return tokens;
}

std::string small(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = is_capital(c) ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

/// What a text says: its terms, and its tokens in small letters.
void add_words(std::string_view text, Words& words) {
  for (std::string& term : terms(text)) words.insert(std::move(term));
  for (const Token& token : tokens_of(text)) words.insert(small(token.text));
}

struct Statement {
  std::string_view text;
  std::vector<std::int32_t> cited;
};

/// Each text before a run of citations, with these.
std::vector<Statement> statements_of(std::string_view answer) {
  std::vector<Statement> statements;
  std::size_t done = 0;
  for (std::size_t at = answer.find('['); at != std::string_view::npos; at = answer.find('[', at)) {
    const std::size_t end = std::min(answer.find(']', at), answer.size() - 1) + 1;
    const auto numbers = cited_numbers(answer.substr(at, end - at));
    if (numbers.empty()) {  // a bracket that cites nothing
      ++at;
      continue;
    }
    if (!statements.empty() && trimmed(answer.substr(done, at - done)).empty()) {
      statements.back().cited.push_back(numbers.front());
    } else {
      statements.push_back({answer.substr(done, at - done), numbers});
    }
    done = at = end;
  }
  return statements;
}

std::string bracketed(std::span<const std::int32_t> numbers) {
  std::string text;
  for (const std::int32_t number : numbers) text += '[' + std::to_string(number) + ']';
  return text;
}

bool is_number(const Token& token) { return std::any_of(token.text.begin(), token.text.end(), is_digit); }
bool is_name(const Token& token) { return is_capital(token.text.front()) && !token.begins_sentence; }

/// The first number, code or name of a statement that is nowhere in `known`.
std::optional<std::string_view> unknown_value(std::string_view statement, const Words& known) {
  const std::string_view stated = statement.substr(0, statement.find('='));
  for (const Token& token : tokens_of(stated)) {
    const bool number = is_number(token);
    const bool name = is_name(token);
    if (!(number || name) || known.contains(small(token.text))) continue;
    const auto parts = terms(token.text);
    const bool in_parts = name && !number && std::all_of(parts.begin(), parts.end(), [&](const std::string& part) {
                            return known.contains(part) || is_function_word(part);
                          });
    if (!in_parts) return token.text;
  }
  return std::nullopt;
}

std::optional<std::string> failure_of(const Statement& statement, const Words& question,
                                      std::span<const PassageText> passages) {
  auto words = content_terms(statement.text);
  std::erase_if(words, [](const std::string& word) { return is_function_word(word); });
  Words known = question;
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
    known.merge(has);
  }
  if (const auto value = unknown_value(statement.text, known)) {
    return "says \"" + std::string(*value) + "\", which " + bracketed(statement.cited) + " does not";
  }
  const auto found = static_cast<std::size_t>(
      std::count_if(words.begin(), words.end(), [&](const std::string& word) { return known.contains(word); }));
  if (2 * found < words.size()) {
    return "has " + std::to_string(words.size() - found) + " of " + std::to_string(words.size()) + " words that " +
           bracketed(statement.cited) + " does not have";
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> failed_citation(std::string_view answer, std::string_view question,
                                           std::span<const PassageText> passages) {
  Words asked;
  add_words(question, asked);
  for (const Statement& statement : statements_of(answer)) {
    for (const std::int32_t number : statement.cited) {
      if (number >= 1 && static_cast<std::size_t>(number) <= passages.size()) continue;
      return "cites " + bracketed({&number, 1}) + ", and had " + std::to_string(passages.size()) + " passages";
    }
    if (auto failure = failure_of(statement, asked, passages)) return failure;
  }
  return std::nullopt;
}

std::vector<std::string> values_of(std::string_view text) {
  const std::string plain = without_citations(text);
  std::vector<std::string> values;
  for (const Token& token : tokens_of(plain)) {
    if (is_number(token) || is_name(token)) values.push_back(small(token.text));
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

}  // namespace troupe::policy
