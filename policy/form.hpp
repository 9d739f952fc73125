// Whether what a model said has the form that its stage promises: the one list of checks for all stages. Nothing here judges
// what was said; whether sources support an answer is citation_support.hpp's business.
//
// Each says what is wrong, as the end of a sentence about the reply ("is empty"), or nothing if its form is right.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "policy/prompt.hpp"

namespace troupe::policy {

/// What holds for every reply: it says something; it is text (UTF-8 without U+FFFD, which stands for bytes that are none, and
/// without control characters but tabs and line ends); and it does not go round in circles: its end is not one piece of at most
/// `loop_period_max` bytes, at least four times over, on at least `loop_bytes_min` bytes.
std::optional<std::string> malformed_text(std::string_view text);
inline constexpr std::size_t loop_period_max = 128;
inline constexpr std::size_t loop_bytes_min = 160;

/// A summary of `source_bytes` of text, the summary before it included. It may be empty if its reply said that there was
/// nothing to keep, and is not longer than what it sums up.
std::optional<std::string> malformed_summary(std::string_view reply, std::size_t source_bytes);

/// The beginning of a text that was cut off at its limit, up to the last end of a sentence or a line if one stands in its
/// second half; otherwise all of it.
std::string_view whole_sentences(std::string_view text);

/// The beginning of a text, at most so many bytes of it, up to the end of a word.
std::string_view beginning_of(std::string_view text, std::size_t bytes_max);

}  // namespace troupe::policy
