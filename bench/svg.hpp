// The strokes that diagrams are drawn with, as SVG, and the room that they have: a frame with its axes, and a legend below.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "bench/chart_axis.hpp"

namespace troupe::bench::svg {

/// Of a drawing, in its own units: x from the left, y from the top. The plot is what the four margins leave.
inline constexpr double width = 460;
inline constexpr double height = 360;  ///< without the legend
inline constexpr double left = 64;
inline constexpr double right = 24;
inline constexpr double top = 36;
inline constexpr double bottom = 52;

/// About as wide as letters and digits become at the size of most texts, in fonts that are wide.
inline constexpr double letter_width = 7;
inline constexpr double digit_width = 7.7;

/// A coordinate, to a tenth.
std::string at(double value);
/// As short as it can be and still be told from its neighbours.
std::string shown(double value);

std::string line(double x1, double y1, double x2, double y2, std::string_view style);
/// `anchor` is "start", "middle" or "end"; `more` are attributes.
std::string text(double x, double y, std::string_view anchor, std::string_view what, std::string_view more = "");
/// With a text that shows when a pointer rests on it, if there is one.
std::string box(double x, double y, double box_width, double box_height, std::string_view color, std::string_view title = "");

/// Of a value on the vertical axis.
double y_of(const ChartAxis& axis, double value);
/// The vertical axis: a pale line at each of its round values, which stands beside it.
std::string rows(const ChartAxis& axis);

struct LegendEntry {
  std::string_view name;
  std::string_view color;
};

/// The parts of a diagram, from its beginning to its end: what is drawn stands between the frame and the end.
std::string begin(std::string_view title, std::span<const LegendEntry> legend);
/// A border around the plot, with the title above and the axes' labels beside it.
std::string frame(std::string_view title, std::string_view x_label, std::string_view y_label);
/// The legend, which hides nothing, and the end.
std::string end(std::span<const LegendEntry> legend);

}  // namespace troupe::bench::svg
