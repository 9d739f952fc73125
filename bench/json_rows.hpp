// The rows of a file of JSON lines, with the place of each: for the forms of question sets.
#pragma once

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "model/json.hpp"

namespace troupe::bench {

/// Calls `visit(row, line)` for each line that is not blank, counted from 1 on, until it returns an error.
template <class Visit>
Result<void> each_line(std::string_view text, const Visit& visit) {
  for (int line = 1; !text.empty(); ++line) {
    const std::size_t length = std::min(text.find('\n'), text.size());
    const std::string_view row = text.substr(0, length);
    text.remove_prefix(std::min(length + 1, text.size()));
    if (row.find_first_not_of(" \t\r") != std::string_view::npos) TROUPE_TRY_DO(visit(row, line));
  }
  return {};
}

/// Calls `visit(object, line)` for each of these lines, until it returns an error. The object's name in
/// errors is "FILE:LINE". A line of more than `line_bytes_max` is refused before it is parsed.
template <class Visit>
Result<void> each_row(std::string_view text, const std::string& file, std::size_t line_bytes_max, const Visit& visit) {
  return each_line(text, [&](std::string_view row, int line) -> Result<void> {
    const std::string place = file + ":" + std::to_string(line);
    TROUPE_TRY(const auto json, model::parse_json(row, place, line_bytes_max));
    TROUPE_TRY(const auto object, model::JsonObject::of(json, place));
    return visit(object, line);
  });
}

}  // namespace troupe::bench
