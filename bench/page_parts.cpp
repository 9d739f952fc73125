#include "bench/page_parts.hpp"

#include <array>
#include <cstdio>

#include "bench/chart.hpp"

namespace troupe::bench {

std::string page_head(std::string_view title) {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>troupe eval</title>\n<style>\n"
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

std::string number(double value, int digits) {
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

std::string percent(std::optional<double> share) { return share ? number(100 * *share, 1) : "&ndash;"; }

std::string color_of(std::string_view tier) {
  if (tier == "mini") return "#56b4e9";
  if (tier == "medium") return "#e69f00";
  if (tier == "heavy") return "#d55e00";
  return "#0b3d91";
}

}  // namespace troupe::bench
