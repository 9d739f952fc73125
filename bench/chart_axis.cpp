#include "bench/chart_axis.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>

namespace troupe::bench {

namespace {

constexpr std::size_t log_ticks_max = 10;

}  // namespace

double fraction_of(const ChartAxis& axis, double value) {
  if (!(axis.high > axis.low)) return 0;
  const double inside = std::clamp(value, axis.low, axis.high);
  if (axis.logarithmic) return std::log(inside / axis.low) / std::log(axis.high / axis.low);
  return (inside - axis.low) / (axis.high - axis.low);
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

}  // namespace troupe::bench
