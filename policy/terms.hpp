// The words of texts, as searches and checks compare them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::policy {

/// At most so many bytes of a text, without half a character of UTF-8 at its end.
std::string_view first_bytes(std::string_view text, std::size_t bytes_max);

/// The words of a text: runs of ASCII letters and digits, small, a plural "s" cut from those of more than three characters.
std::vector<std::string> terms(std::string_view text);

/// Whether a term only holds sentences together ("the", "which", "may"), and so says nothing of what a text is about.
bool is_function_word(std::string_view term);

/// The distinct terms that are no function words, in the order in which they first stand; all distinct ones if there are none
/// such.
std::vector<std::string> content_terms(std::string_view text);

/// Every two terms that stand side by side, with a space between them.
std::vector<std::string> term_pairs(const std::vector<std::string>& terms);

/// A text's sentences, without the white space between them: one ends in ".", "!", "?" or ";" before white space or the end.
std::vector<std::string_view> sentences(std::string_view text);

}  // namespace troupe::policy
