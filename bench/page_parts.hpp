// What the pages of evaluations have in common: their head, tables, numbers and colours.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace troupe::bench {

/// From the beginning of the document up to and including its heading. The title is text.
std::string page_head(std::string_view title);
inline constexpr std::string_view page_end = "</body></html>\n";

/// A row of a table, whose cells are HTML: "th" or "td".
std::string table_row(std::string_view tag, std::span<const std::string> cells);

std::string number(double value, int digits);
/// In per cent, with a dash for none.
std::string percent(std::optional<double> share);

/// Of a row of the evaluation, told apart by people who see no red and green too.
std::string color_of(std::string_view tier);

}  // namespace troupe::bench
