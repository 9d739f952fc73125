// A diagram as SVG that stands in a page: lines or points over two axes. No scripts, no fonts or files from elsewhere.
#pragma once

#include <string>
#include <string_view>
#include <vector>

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

/// A range of values, ascending.
struct ChartAxis {
  std::string label;
  double low = 0;
  double high = 1;
  bool logarithmic = false;  ///< then `low` is above 0
};

struct Chart {
  std::string title;
  ChartAxis x;
  ChartAxis y;
  std::vector<ChartSeries> series;
  bool diagonal = false;  ///< a dashed line from the lower left corner to the upper right one
};

/// What lies outside of an axis's range is drawn at its end.
std::string svg_of(const Chart& chart);

/// At about five round values within the axis: 1, 2 or 5 times a power of ten apart; of a logarithmic one, 1, 2 and 5 times
/// each power of ten, or these powers alone if there are many.
std::vector<double> ticks_of(const ChartAxis& axis);

/// The text with "&", "<", ">" and quotes as HTML and XML write them.
std::string escaped(std::string_view text);

}  // namespace troupe::bench
