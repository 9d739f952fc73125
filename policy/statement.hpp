// What an answer states, and in which words: what the checks of its citations compare. Nothing here understands a language.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace troupe::policy {

/// What a text says: its terms (policy/terms.hpp), and its words as they are written ("a-1327", "12:30"), in small letters.
using Words = std::unordered_set<std::string>;
void add_words(std::string_view text, Words& words);

/// A text before a run of citations, "[1][2]", with these. Views of the answer.
struct Statement {
  std::string_view text;
  std::vector<std::int32_t> cited;
};
std::vector<Statement> statements_of(std::string_view answer);
/// What stands behind the last citation; all, if there is none.
std::string_view uncited_end(std::string_view answer);

/// The terms of a statement that hold no sentence together, each once.
std::vector<std::string> said_words(std::string_view statement);
std::size_t count_known(std::span<const std::string> words, const Words& known);

/// In small letters, as far as ASCII goes.
std::string small(std::string_view text);
bool has_digit(std::string_view word);
/// Words of a statement with a digit in them. What stands behind "=" is computed, and is not among them.
std::vector<std::string_view> numbers_of(std::string_view statement);

/// The numbers, dates, codes and names of a text, in small letters, ascending, each once, and without its citations.
std::vector<std::string> values_of(std::string_view text);

/// The first number, code or name of a statement that is nowhere in `known`, but for what it computes. A word with a capital
/// that does not begin a sentence is taken for a name.
std::optional<std::string_view> unknown_value(std::string_view statement, const Words& known);
/// Whether a statement has no such value, and at least half of its words are known.
bool says_nothing_beyond(std::string_view statement, const Words& known);

}  // namespace troupe::policy
