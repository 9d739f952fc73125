// What the pages of evaluations have in common: their head, tables, numbers, colours and the diagram of latencies.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::bench {

/// From the beginning of the document up to and including its heading. The title is text.
std::string page_head(std::string_view title);
inline constexpr std::string_view page_end = "</body></html>\n";

/// A row of a table, whose cells are HTML: "th" or "td".
std::string table_row(std::string_view tag, std::span<const std::string> cells);

/// Lines of text that are as long as the first, which is the table's head.
using TextTable = std::vector<std::vector<std::string>>;
std::string table_of(const TextTable& lines);

std::string number(double value, int digits);
/// In per cent, with a digit behind the point; "-" for none.
std::string percent(std::optional<double> share);

/// How long one row of a page took over its questions.
struct Latencies {
  std::string name;
  std::string color;
  std::span<const double> ascending_ms;  ///< of what was answered; borrowed
  std::size_t asked = 0;                 ///< at least as many; a row with fewer answers does not reach the top
};
/// Which share of its questions each row had answered by when. What lies behind `ascending_ms` need only live for the call.
std::string latency_chart(std::span<const Latencies> rows);

/// Of a row of the evaluation, told apart by people who see no red and green too.
std::string color_of(std::string_view tier);

}  // namespace troupe::bench
