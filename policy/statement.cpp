#include "policy/statement.hpp"

#include <algorithm>

#include "policy/citation.hpp"
#include "policy/prompt.hpp"
#include "policy/terms.hpp"

namespace troupe::policy {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_capital(char c) { return c >= 'A' && c <= 'Z'; }
bool is_letter(char c) { return is_capital(c) || (c >= 'a' && c <= 'z'); }

/// A word as it is written, with what stands inside of it: "A-1327", "12:30", "records@example.org".
struct Token {
  std::string_view text;
  bool begins_sentence = false;
};

bool is_name(const Token& token) { return is_capital(token.text.front()) && !token.begins_sentence; }

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

/// Of a statement, without what it computes.
std::string_view stated_in(std::string_view statement) { return statement.substr(0, statement.find('=')); }

}  // namespace

std::string small(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = is_capital(c) ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

void add_words(std::string_view text, Words& words) {
  for (std::string& term : terms(text)) words.insert(std::move(term));
  for (const Token& token : tokens_of(text)) words.insert(small(token.text));
}

std::vector<Statement> statements_of(std::string_view answer) {
  std::vector<Statement> statements;
  std::size_t done = 0;
  for (auto citation = next_citation(answer, 0); citation; citation = next_citation(answer, done)) {
    // What was opened before the citation and not closed belongs to it: "[see [1]".
    const std::string_view before = answer.substr(done, citation->begin + 1 - done);
    const std::size_t closed = before.rfind(']');
    const std::string_view said = before.substr(0, before.find('[', closed == std::string_view::npos ? 0 : closed));
    if (statements.empty() || !trimmed(said).empty()) {
      statements.push_back({said, {citation->number}});
    } else if (auto& cited = statements.back().cited; std::ranges::find(cited, citation->number) == cited.end()) {
      cited.push_back(citation->number);
    }
    done = citation->end;
  }
  return statements;
}

std::string_view uncited_end(std::string_view answer) {
  const auto statements = statements_of(answer);
  if (statements.empty()) return trimmed(answer);
  const auto last = statements.back().text;
  std::string_view rest = answer.substr(static_cast<std::size_t>(last.data() + last.size() - answer.data()));
  while (rest.starts_with('[')) {
    const std::string_view bracket = rest.substr(0, std::min(rest.find(']'), rest.size() - 1) + 1);
    if (!next_citation(bracket, 0)) break;  // it says something
    rest = trimmed(rest.substr(bracket.size()));
  }
  return rest;
}

std::vector<std::string> said_words(std::string_view statement) {
  auto words = content_terms(statement);
  std::erase_if(words, [](const std::string& word) { return is_function_word(word); });
  return words;
}

std::size_t count_known(std::span<const std::string> words, const Words& known) {
  return static_cast<std::size_t>(std::ranges::count_if(words, [&](const std::string& word) { return known.contains(word); }));
}

bool has_digit(std::string_view word) { return std::ranges::any_of(word, is_digit); }

std::vector<std::string_view> numbers_of(std::string_view statement) {
  std::vector<std::string_view> numbers;
  for (const Token& token : tokens_of(stated_in(statement)))
    if (has_digit(token.text)) numbers.push_back(token.text);
  return numbers;
}

std::vector<std::string> values_of(std::string_view text) {
  const std::string plain = without_citations(text);
  std::vector<std::string> values;
  for (const Token& token : tokens_of(plain)) {
    if (has_digit(token.text) || is_name(token)) values.push_back(small(token.text));
  }
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

std::optional<std::string_view> unknown_value(std::string_view statement, const Words& known) {
  for (const Token& token : tokens_of(stated_in(statement))) {
    const bool number = has_digit(token.text);
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

bool says_nothing_beyond(std::string_view statement, const Words& known) {
  const auto words = said_words(statement);
  return 2 * count_known(words, known) >= words.size() && !unknown_value(statement, known);
}

}  // namespace troupe::policy
