// A diagram of bars as SVG that stands in a page: a group for each thing that is compared, and in each a bar of every series,
// beside one another or upon one another.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/chart_axis.hpp"

namespace troupe::bench {

struct BarSeries {
  std::string name;
  std::string color;  ///< as in CSS
  std::vector<std::optional<double>>
      values;  ///< of each group, not negative; nothing: no bar. Shown when a pointer rests on it
};

struct BarChart {
  std::string title;
  std::string groups_label;
  std::vector<std::string> groups;  ///< their names; where there are too many to be written side by side, some of them are not
  ChartAxis y;                      ///< from 0 on, and linear
  std::vector<BarSeries> series;
  bool stacked = false;  ///< upon one another, the first at the bottom
};

/// What lies above the axis's range ends with it. Of bars side by side, one of 0 is a line.
std::string svg_of(const BarChart& chart);

}  // namespace troupe::bench
