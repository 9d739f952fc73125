// An axis of a diagram: its range, its round values, and where between its ends a value lies.
#pragma once

#include <string>
#include <vector>

namespace troupe::bench {

/// A range of values, ascending.
struct ChartAxis {
  std::string label;
  double low = 0;
  double high = 1;
  bool logarithmic = false;  ///< then `low` is above 0
};

/// In [0, 1]: 0 at the low end, 1 at the high end, and at the nearer one for what lies outside.
double fraction_of(const ChartAxis& axis, double value);

/// At about five round values within the axis: 1, 2 or 5 times a power of ten apart; of a logarithmic one, 1, 2 and 5 times
/// each power of ten, or these powers alone if there are many.
std::vector<double> ticks_of(const ChartAxis& axis);

}  // namespace troupe::bench
