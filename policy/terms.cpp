#include "policy/terms.hpp"

#include <algorithm>
#include <array>
#include <unordered_set>

namespace troupe::policy {

namespace {

constexpr std::string_view white = " \t\n\v\f\r";

/// As `terms` gives them, ascending: "does" and "this" have lost their last letter.
constexpr auto function_words = std::to_array<std::string_view>(
    {"a",    "an",    "and",   "any",  "are",   "as",    "at",  "be",   "by",   "can",   "could", "did",   "do",
     "doe",  "for",   "from",  "has",  "have",  "how",   "i",   "if",   "in",   "into",  "is",    "it",    "its",
     "may",  "me",    "must",  "my",   "no",    "not",   "of",  "on",   "one",  "or",    "our",   "shall", "should",
     "that", "the",   "their", "them", "there", "they",  "thi", "to",   "us",   "was",   "we",    "were",  "what",
     "when", "where", "which", "who",  "whom",  "whose", "why", "will", "with", "would", "you",   "your"});
static_assert(std::is_sorted(function_words.begin(), function_words.end()));

}  // namespace

std::string_view first_bytes(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xc0U) == 0x80U) --bytes_max;
  return text.substr(0, bytes_max);
}

std::vector<std::string> terms(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (word.size() > 3 && word.back() == 's') word.pop_back();
    if (!word.empty()) words.push_back(word);
    word.clear();
  };
  for (const char c : text) {
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      word += c;
    } else if (c >= 'A' && c <= 'Z') {
      word += static_cast<char>(c - 'A' + 'a');
    } else {
      finish();
    }
  }
  finish();
  return words;
}

bool is_function_word(std::string_view term) { return std::binary_search(function_words.begin(), function_words.end(), term); }

std::vector<std::string> content_terms(std::string_view text) {
  std::vector<std::string> all;
  std::unordered_set<std::string> seen;
  for (std::string& term : terms(text)) {
    if (seen.insert(term).second) all.push_back(std::move(term));
  }
  std::vector<std::string> content;
  std::copy_if(all.begin(), all.end(), std::back_inserter(content),
               [](const std::string& term) { return !is_function_word(term); });
  return content.empty() ? all : content;
}

std::vector<std::string> term_pairs(const std::vector<std::string>& terms) {
  std::vector<std::string> pairs;
  for (std::size_t i = 1; i < terms.size(); ++i) pairs.push_back(terms[i - 1] + ' ' + terms[i]);
  return pairs;
}

std::vector<std::string_view> sentences(std::string_view text) {
  std::vector<std::string_view> found;
  while (true) {
    text.remove_prefix(std::min(text.find_first_not_of(white), text.size()));
    if (text.empty()) return found;
    std::size_t end = text.find_first_of(".!?;");
    while (end != std::string_view::npos && end + 1 < text.size() && white.find(text[end + 1]) == std::string_view::npos) {
      end = text.find_first_of(".!?;", end + 1);
    }
    const std::size_t size = end == std::string_view::npos ? text.size() : end + 1;
    found.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
}

}  // namespace troupe::policy
