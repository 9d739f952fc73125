#include "bench/page_parts.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <utility>

#include "bench/chart.hpp"
#include "bench/escaped.hpp"

namespace troupe::bench {

namespace {

constexpr std::size_t latency_points_max = 200;

/// Points of the curve, evenly from among all.
std::vector<ChartPoint> curve_of(const Latencies& row) {
  const std::span<const double> times = row.ascending_ms;
  const auto share_by = [&](std::size_t count) { return static_cast<double>(count) / static_cast<double>(row.asked); };
  std::vector<ChartPoint> points;
  const std::size_t step = std::max<std::size_t>(1, times.size() / latency_points_max);
  for (std::size_t i = 0; i < times.size(); i += step) points.push_back({times[i], share_by(i + 1)});
  if (!times.empty()) points.push_back({times.back(), share_by(times.size())});
  return points;
}

}  // namespace

std::string page_head(std::string_view title) {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + escaped(title) +
         " - troupe</title>\n<style>\n"
         "body { font: 15px/1.5 sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; color: #222; background: #fff "
         "}\n"
         "table { border-collapse: collapse; margin: 1em 0; font-size: 13px }\n"
         "th, td { padding: 4px 10px; text-align: right; border-bottom: 1px solid #ddd; vertical-align: bottom }\n"
         "th:first-child, td:first-child { text-align: left }\n"
         "svg { max-width: 100%; height: auto; margin: 0 1em 1em 0 }\n"
         "</style></head><body>\n<h1>" +
         escaped(title) + "</h1>\n";
}

std::string table_row(std::string_view tag, std::span<const std::string> cells) {
  std::string row = "<tr>";
  for (const std::string& cell : cells) row += "<" + std::string(tag) + ">" + cell + "</" + std::string(tag) + ">";
  return row + "</tr>\n";
}

std::string table_of(const TextTable& lines) {
  std::string table = "<table>\n";
  for (const std::vector<std::string>& line : lines) {
    std::vector<std::string> cells;
    for (const std::string& text : line) cells.push_back(escaped(text));
    table += table_row(&line == &lines.front() ? "th" : "td", cells);
  }
  return table + "</table>\n";
}

std::string number(double value, int digits) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

std::string percent(std::optional<double> share) { return share ? number(100 * *share, 1) : "-"; }

std::string latency_chart(std::span<const Latencies> rows) {
  double shortest = 1e9;
  double longest = 1;
  for (const Latencies& row : rows) {
    if (row.ascending_ms.empty()) continue;
    shortest = std::min(shortest, row.ascending_ms.front());
    longest = std::max(longest, row.ascending_ms.back());
  }
  const double low = std::max(0.9 * std::min(shortest, longest), 1e-3);
  Chart chart{"Latency", {"milliseconds", low, 1.1 * longest, true}, {"share of questions answered by then", 0, 1}, {}, false};
  for (const Latencies& row : rows) chart.series.push_back({row.name, row.color, curve_of(row), true, false});
  return svg_of(chart);
}

std::string color_of(std::string_view tier) {
  if (tier == "mini") return "#56b4e9";
  if (tier == "medium") return "#e69f00";
  if (tier == "heavy") return "#d55e00";
  return "#0b3d91";
}

}  // namespace troupe::bench
