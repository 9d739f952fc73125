// Web pages as the Markdown that markdown.hpp reads: headings, and lines of text. This is gumbo's door.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace troupe::storage {

/// The page's title (of <title>, or else `stem`) as the first heading; then <h1> to <h6> as headings, whatever elements they
/// have in them, and each paragraph, item, row or other block as a line. A line that would begin a fence loses its marks.
///
/// What no reader sees is left out: scripts, styles, forms' choices; what is struck out (<del>, <s>, <strike>); and what has
/// the attribute `hidden`, aria-hidden="true", or a style that says display:none or visibility:hidden.
///
/// A digit or sign in <sup> stands behind "^": "10<sup>6</sup>" is "10^6", and "5<sup>1</sup> years", a footnote, "5^1 years".
/// Searches and the check of citations (policy/terms.hpp, policy/statement.hpp) take both numbers for themselves, as they would
/// with a space; models see that it is a power, or no part of the number. A digit in <sub> stands behind a space if a digit is
/// before it.
///
/// Any text is HTML, however deep its elements stand in each other: it takes time and memory in proportion to its size (of 8
/// MiB, some seconds and 500 MB at most). `text` is UTF-8.
Result<std::string> markdown_of_html(std::string_view text, std::string_view stem);

}  // namespace troupe::storage
