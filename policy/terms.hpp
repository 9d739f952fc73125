// The words of texts, as searches and checks compare them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace troupe::policy {

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
