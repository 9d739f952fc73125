// A diagram as SVG that stands in a page: lines or points over two axes. No scripts, no fonts or files from elsewhere.
#pragma once

#include <string>
#include <vector>

#include "bench/chart_axis.hpp"

namespace troupe::bench {

struct ChartPoint {
  double x = 0;
  double y = 0;
};

struct ChartSeries {
  std::string name;
  std::string color;  ///< as in CSS
  std::vector<ChartPoint> points;
  bool joined = true;  ///< by a line
  bool marked = true;  ///< by a dot at each point; shows the point's numbers when a pointer rests on it
};

struct Chart {
  std::string title;
  ChartAxis x;
  ChartAxis y;
  std::vector<ChartSeries> series;
  bool diagonal = false;  ///< a dashed line from the lower left corner to the upper right one
};

/// What lies outside of an axis's range is drawn at its end. A round value whose number has no room beside the one before has a
/// line only.
std::string svg_of(const Chart& chart);

}  // namespace troupe::bench
