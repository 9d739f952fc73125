// Web pages as the Markdown that markdown.hpp reads: headings, and lines of text. This is gumbo's door.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace troupe::storage {

/// Elements that may stand open in each other; the library frees its tree by recursion, and a hostile page could end the
/// program.
inline constexpr std::size_t html_depth_max = 4096;

/// The page's title (of <title>, or else `stem`) as the first heading; then <h1> to <h6> as headings, and each paragraph, item,
/// row or other block as a line. Scripts, styles, forms' choices and what else no reader sees is left out. Any text is HTML;
/// `too_large` if elements stand open deeper than html_depth_max. `text` is UTF-8.
Result<std::string> markdown_of_html(std::string_view text, std::string_view stem);

}  // namespace troupe::storage
