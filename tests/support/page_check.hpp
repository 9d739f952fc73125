// What is wrong with a page that people look at: whether it is one whole document, needs nothing from elsewhere, and has
// diagrams that stay within their borders.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::tests {

/// Elements that are not ended in their turn, scripts and references, numbers that are none; and of each diagram, what lies
/// outside of it, and texts at one height that overlap. Nothing is wrong: empty.
std::vector<std::string> problems_of_page(std::string_view page);
/// The same of one diagram.
std::vector<std::string> problems_of_svg(std::string_view svg);

/// How often `part` is in the text.
std::size_t count_of(std::string_view text, std::string_view part);

}  // namespace troupe::tests
