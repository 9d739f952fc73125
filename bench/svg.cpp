#include "bench/svg.hpp"

#include <array>
#include <cstdio>
#include <vector>

#include "bench/escaped.hpp"

namespace troupe::bench::svg {

namespace {

constexpr double legend_line = 18;
constexpr double legend_box = 10;
constexpr double legend_gap = 16;
constexpr double legend_top = 6;  // between it and what stands above

struct Place {
  double x = 0;
  double line = 0;
};

/// One after the other, on as many lines as they need.
std::vector<Place> places_of(std::span<const LegendEntry> legend) {
  std::vector<Place> places;
  Place next{left, 0};
  for (const LegendEntry& entry : legend) {
    const double wide = legend_box + 5 + letter_width * static_cast<double>(entry.name.size());
    if (next.x > left && next.x + wide > width) next = {left, next.line + 1};
    places.push_back(next);
    next.x += wide + legend_gap;
  }
  return places;
}

}  // namespace

std::string at(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", value);
  return text.data();
}

std::string shown(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", value);
  return text.data();
}

std::string line(double x1, double y1, double x2, double y2, std::string_view style) {
  return "<line x1=\"" + at(x1) + "\" y1=\"" + at(y1) + "\" x2=\"" + at(x2) + "\" y2=\"" + at(y2) + "\" " + std::string(style) +
         "/>\n";
}

std::string text(double x, double y, std::string_view anchor, std::string_view what, std::string_view more) {
  return "<text x=\"" + at(x) + "\" y=\"" + at(y) + "\" text-anchor=\"" + std::string(anchor) + "\"" + std::string(more) + ">" +
         escaped(what) + "</text>\n";
}

std::string box(double x, double y, double box_width, double box_height, std::string_view color, std::string_view title) {
  const std::string shape = "<rect x=\"" + at(x) + "\" y=\"" + at(y) + "\" width=\"" + at(box_width) + "\" height=\"" +
                            at(box_height) + "\" fill=\"" + escaped(color) + "\"";
  if (title.empty()) return shape + "/>\n";
  return shape + "><title>" + escaped(title) + "</title></rect>\n";
}

double y_of(const ChartAxis& axis, double value) {
  return height - bottom - fraction_of(axis, value) * (height - top - bottom);
}

std::string rows(const ChartAxis& axis) {
  std::string drawn;
  for (const double tick : ticks_of(axis)) {
    const double y = y_of(axis, tick);
    drawn += line(left, y, width - right, y, "stroke=\"#e4e4e4\"");
    drawn += text(left - 8, y + 4, "end", shown(tick));
  }
  return drawn;
}

std::string begin(std::string_view title, std::span<const LegendEntry> legend) {
  const double lines = legend.empty() ? 0 : places_of(legend).back().line + 1;
  const double whole = height + (lines > 0 ? legend_top : 0) + legend_line * lines;
  return "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-label=\"" + escaped(title) + "\" width=\"" + at(width) +
         "\" height=\"" + at(whole) + "\" viewBox=\"0 0 " + at(width) + " " + at(whole) +
         "\" font-family=\"sans-serif\" font-size=\"12\">\n";
}

std::string frame(std::string_view title, std::string_view x_label, std::string_view y_label) {
  std::string drawn = "<rect x=\"" + at(left) + "\" y=\"" + at(top) + "\" width=\"" + at(width - left - right) +
                      "\" height=\"" + at(height - top - bottom) + "\" fill=\"none\" stroke=\"#888\"/>\n";
  drawn += text(left, 22, "start", title, " font-size=\"15\"");
  drawn += text((left + width - right) / 2, height - 12, "middle", x_label);
  return drawn + "<text transform=\"translate(16 " + at((top + height - bottom) / 2) +
         ") rotate(-90)\" text-anchor=\"middle\">" + escaped(y_label) + "</text>\n";
}

std::string end(std::span<const LegendEntry> legend) {
  std::string drawn;
  const std::vector<Place> places = places_of(legend);
  for (std::size_t i = 0; i < legend.size(); ++i) {
    const double y = height + legend_top + legend_line * places[i].line;
    drawn += box(places[i].x, y - 2, legend_box, legend_box, legend[i].color);
    drawn += text(places[i].x + legend_box + 5, y + 7, "start", legend[i].name);
  }
  return drawn + "</svg>\n";
}

}  // namespace troupe::bench::svg
