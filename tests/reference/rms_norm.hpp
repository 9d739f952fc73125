// rms_norm.hpp in double, as one reads it in the paper.
#pragma once

#include <cmath>
#include <span>
#include <vector>

namespace troupe::reference {

inline std::vector<double> rms_norm(std::span<const float> x, std::span<const float> weight, double epsilon) {
  double squares = 0;
  for (const float value : x) squares += double{value} * value;
  const double root = std::sqrt(squares / static_cast<double>(x.size()) + epsilon);
  std::vector<double> output(x.size());
  for (std::size_t d = 0; d < x.size(); ++d) output[d] = x[d] / root * weight[d];
  return output;
}

}  // namespace troupe::reference
