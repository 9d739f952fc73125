#include "bench/chart.hpp"

#include "bench/escaped.hpp"
#include "bench/svg.hpp"

namespace troupe::bench {

namespace {

double x_of(const Chart& chart, double value) {
  return svg::left + fraction_of(chart.x, value) * (svg::width - svg::left - svg::right);
}

std::string grid_of(const Chart& chart) {
  std::string drawn;
  double free_from = 0;  // right of the last number
  for (const double tick : ticks_of(chart.x)) {
    const double x = x_of(chart, tick);
    drawn += svg::line(x, svg::top, x, svg::height - svg::bottom, "stroke=\"#e4e4e4\"");
    const std::string number = svg::shown(tick);
    const double half = svg::digit_width * static_cast<double>(number.size() + 1) / 2;
    if (x - half < free_from) continue;
    free_from = x + half;
    drawn += svg::text(x, svg::height - svg::bottom + 18, "middle", number);
  }
  drawn += svg::rows(chart.y);
  if (!chart.diagonal) return drawn;
  return drawn + svg::line(svg::left, svg::height - svg::bottom, svg::width - svg::right, svg::top,
                           "stroke=\"#888\" stroke-dasharray=\"4 4\"");
}

std::string drawn(const Chart& chart, const ChartSeries& series) {
  const auto x_at = [&](const ChartPoint& point) { return svg::at(x_of(chart, point.x)); };
  const auto y_at = [&](const ChartPoint& point) { return svg::at(svg::y_of(chart.y, point.y)); };
  std::string drawn;
  if (series.joined && series.points.size() > 1) {
    drawn += "<polyline fill=\"none\" stroke=\"" + escaped(series.color) + "\" stroke-width=\"2\" points=\"";
    for (const ChartPoint& point : series.points) drawn += x_at(point) + "," + y_at(point) + " ";
    drawn += "\"/>\n";
  }
  if (!series.marked) return drawn;
  for (const ChartPoint& point : series.points) {
    drawn += "<circle cx=\"" + x_at(point) + "\" cy=\"" + y_at(point) + "\" r=\"4\" fill=\"" + escaped(series.color) +
             "\"><title>" + escaped(series.name) + ": " + svg::shown(point.x) + ", " + svg::shown(point.y) +
             "</title></circle>\n";
  }
  return drawn;
}

}  // namespace

std::string svg_of(const Chart& chart) {
  std::vector<svg::LegendEntry> legend;
  for (const ChartSeries& series : chart.series) legend.push_back({series.name, series.color});
  std::string all = svg::begin(chart.title, legend) + grid_of(chart) + svg::frame(chart.title, chart.x.label, chart.y.label);
  for (const ChartSeries& series : chart.series) all += drawn(chart, series);
  return all + svg::end(legend);
}

}  // namespace troupe::bench
