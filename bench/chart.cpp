#include "bench/chart.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <initializer_list>

namespace troupe::bench {

namespace {

// Of the drawing, in its own units.
constexpr double width = 460;
constexpr double height = 360;
constexpr double left = 64;
constexpr double right = 16;
constexpr double top = 36;
constexpr double bottom = 52;
constexpr double legend_line = 18;
constexpr std::size_t log_ticks_max = 10;

/// As short as it can be and still be told from its neighbours.
std::string shown(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", value);
  return text.data();
}

std::string at(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", value);
  return text.data();
}

/// In [0, 1].
double fraction_of(const ChartAxis& axis, double value) {
  const double inside = std::clamp(value, axis.low, axis.high);
  if (!(axis.high > axis.low)) return 0;
  if (axis.logarithmic) return std::log(inside / axis.low) / std::log(axis.high / axis.low);
  return (inside - axis.low) / (axis.high - axis.low);
}

double x_of(const Chart& chart, double value) { return left + fraction_of(chart.x, value) * (width - left - right); }
double y_of(const Chart& chart, double value) {
  return height - bottom - fraction_of(chart.y, value) * (height - top - bottom);
}

std::string line(double x1, double y1, double x2, double y2, std::string_view style) {
  return "<line x1=\"" + at(x1) + "\" y1=\"" + at(y1) + "\" x2=\"" + at(x2) + "\" y2=\"" + at(y2) + "\" " + std::string(style) +
         "/>\n";
}

std::string text(double x, double y, std::string_view anchor, std::string_view what, std::string_view more = "") {
  return "<text x=\"" + at(x) + "\" y=\"" + at(y) + "\" text-anchor=\"" + std::string(anchor) + "\"" + std::string(more) + ">" +
         escaped(what) + "</text>\n";
}

std::string frame_of(const Chart& chart) {
  std::string svg;
  for (const double tick : ticks_of(chart.x)) {
    const double x = x_of(chart, tick);
    svg += line(x, top, x, height - bottom, "stroke=\"#e4e4e4\"");
    svg += text(x, height - bottom + 18, "middle", shown(tick));
  }
  for (const double tick : ticks_of(chart.y)) {
    const double y = y_of(chart, tick);
    svg += line(left, y, width - right, y, "stroke=\"#e4e4e4\"");
    svg += text(left - 8, y + 4, "end", shown(tick));
  }
  if (chart.diagonal) svg += line(left, height - bottom, width - right, top, "stroke=\"#888\" stroke-dasharray=\"4 4\"");
  svg += "<rect x=\"" + at(left) + "\" y=\"" + at(top) + "\" width=\"" + at(width - left - right) + "\" height=\"" +
         at(height - top - bottom) + "\" fill=\"none\" stroke=\"#888\"/>\n";
  svg += text(left, 22, "start", chart.title, " font-size=\"15\"");
  svg += text((left + width - right) / 2, height - 12, "middle", chart.x.label);
  svg += "<text transform=\"translate(16 " + at((top + height - bottom) / 2) + ") rotate(-90)\" text-anchor=\"middle\">" +
         escaped(chart.y.label) + "</text>\n";
  return svg;
}

std::string drawn(const Chart& chart, const ChartSeries& series) {
  std::string svg;
  if (series.joined && series.points.size() > 1) {
    svg += "<polyline fill=\"none\" stroke=\"" + escaped(series.color) + "\" stroke-width=\"2\" points=\"";
    for (const ChartPoint& point : series.points) svg += at(x_of(chart, point.x)) + "," + at(y_of(chart, point.y)) + " ";
    svg += "\"/>\n";
  }
  if (!series.marked) return svg;
  for (const ChartPoint& point : series.points) {
    svg += "<circle cx=\"" + at(x_of(chart, point.x)) + "\" cy=\"" + at(y_of(chart, point.y)) + "\" r=\"4\" fill=\"" +
           escaped(series.color) + "\"><title>" + escaped(series.name) + ": " + shown(point.x) + ", " + shown(point.y) +
           "</title></circle>\n";
  }
  return svg;
}

/// Below the diagram, so that it hides nothing.
std::string legend_of(const Chart& chart) {
  std::string svg;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const double x = left + static_cast<double>(i) * (width - left - right) / static_cast<double>(chart.series.size());
    svg += "<rect x=\"" + at(x) + "\" y=\"" + at(height - 2) + "\" width=\"10\" height=\"10\" fill=\"" +
           escaped(chart.series[i].color) + "\"/>\n";
    svg += text(x + 15, height + 7, "start", chart.series[i].name);
  }
  return svg;
}

}  // namespace

std::string svg_of(const Chart& chart) {
  const std::string size = at(width) + "\" height=\"" + at(height + legend_line);
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-label=\"" + escaped(chart.title) +
                    "\" width=\"" + size + "\" viewBox=\"0 0 " + at(width) + " " + at(height + legend_line) +
                    "\" font-family=\"sans-serif\" font-size=\"12\">\n";
  svg += frame_of(chart);
  for (const ChartSeries& series : chart.series) svg += drawn(chart, series);
  return svg + legend_of(chart) + "</svg>\n";
}

std::vector<double> ticks_of(const ChartAxis& axis) {
  std::vector<double> ticks;
  if (!(axis.high > axis.low) || (axis.logarithmic && !(axis.low > 0))) return ticks;
  if (axis.logarithmic) {
    const auto add = [&](std::initializer_list<int> factors) {
      for (double power = std::pow(10, std::floor(std::log10(axis.low))); power <= axis.high; power *= 10) {
        for (const int factor : factors) {
          if (factor * power >= axis.low && factor * power <= axis.high) ticks.push_back(factor * power);
        }
      }
    };
    add({1, 2, 5});
    if (ticks.size() <= log_ticks_max) return ticks;
    ticks.clear();
    add({1});
    return ticks;
  }
  const double rough = (axis.high - axis.low) / 5;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  const double step = rough <= 1.5 * power   ? power
                      : rough <= 3.5 * power ? 2 * power
                      : rough <= 7.5 * power ? 5 * power
                                             : 10 * power;
  const auto first = static_cast<std::int64_t>(std::ceil(axis.low / step - 1e-9));
  const auto last = static_cast<std::int64_t>(std::floor(axis.high / step + 1e-9));
  for (std::int64_t i = first; i <= last; ++i) ticks.push_back(static_cast<double>(i) * step);
  return ticks;
}

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char letter : text) {
    switch (letter) {
      case '&': safe += "&amp;"; break;
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '"': safe += "&quot;"; break;
      case '\'': safe += "&#39;"; break;
      default: safe += letter;
    }
  }
  return safe;
}

}  // namespace troupe::bench
