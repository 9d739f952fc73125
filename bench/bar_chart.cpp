#include "bench/bar_chart.hpp"

#include <algorithm>
#include <cmath>

#include "base/check.hpp"
#include "bench/svg.hpp"

namespace troupe::bench {

namespace {

constexpr double group_share = 0.8;  // of a group's width; the rest keeps it from the next
constexpr double bar_width_max = 56;
constexpr double bar_height_min = 1;  // of bars side by side: what was measured to be 0 is told from what was not measured

/// Where the bars of a group stand.
struct Slots {
  double group_width = 0;
  double bar_width = 0;
  double first = 0;   ///< of a group, from its left end
  double beside = 0;  ///< from a bar to the next
};

Slots slots_of(const BarChart& chart) {
  const double groups = static_cast<double>(std::max<std::size_t>(chart.groups.size(), 1));
  const double abreast = chart.stacked ? 1 : static_cast<double>(std::max<std::size_t>(chart.series.size(), 1));
  Slots slots;
  slots.group_width = (svg::width - svg::left - svg::right) / groups;
  slots.bar_width = std::min(group_share * slots.group_width / abreast, bar_width_max);
  slots.first = (slots.group_width - slots.bar_width * abreast) / 2;
  slots.beside = chart.stacked ? 0 : slots.bar_width;
  return slots;
}

std::string names_of(const BarChart& chart, const Slots& slots) {
  std::size_t longest = 1;
  for (const std::string& name : chart.groups) longest = std::max(longest, name.size());
  const double needed = svg::digit_width * static_cast<double>(longest + 1);
  const auto every = static_cast<std::size_t>(std::ceil(needed / slots.group_width));
  std::string drawn;
  for (std::size_t group = 0; group < chart.groups.size(); group += every) {
    const double middle = svg::left + (static_cast<double>(group) + 0.5) * slots.group_width;
    drawn += svg::text(middle, svg::height - svg::bottom + 18, "middle", chart.groups[group]);
  }
  return drawn;
}

std::string bars_of(const BarChart& chart, const Slots& slots, std::size_t group) {
  std::string drawn;
  double base = 0;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const BarSeries& series = chart.series[i];
    const std::optional<double>& value = series.values[group];
    if (!value) continue;
    const double x =
        svg::left + static_cast<double>(group) * slots.group_width + slots.first + static_cast<double>(i) * slots.beside;
    const double foot = svg::y_of(chart.y, base);
    const double top = std::min(svg::y_of(chart.y, base + *value), foot - (chart.stacked ? 0 : bar_height_min));
    drawn += svg::box(x, top, slots.bar_width, foot - top, series.color,
                      chart.groups[group] + ", " + series.name + ": " + svg::shown(*value));
    if (chart.stacked) base += *value;
  }
  return drawn;
}

}  // namespace

std::string svg_of(const BarChart& chart) {
  std::vector<svg::LegendEntry> legend;
  for (const BarSeries& series : chart.series) {
    TROUPE_CHECK(series.values.size() == chart.groups.size(), "a series has a value, or none, for each group");
    legend.push_back({series.name, series.color});
  }
  const Slots slots = slots_of(chart);
  std::string all = svg::begin(chart.title, legend) + svg::rows(chart.y) + names_of(chart, slots);
  for (std::size_t group = 0; group < chart.groups.size(); ++group) all += bars_of(chart, slots, group);
  return all + svg::frame(chart.title, chart.groups_label, chart.y.label) + svg::end(legend);
}

}  // namespace troupe::bench
