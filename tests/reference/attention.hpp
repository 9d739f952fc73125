// One query of attention.hpp in double: softmax over all its keys at once, no spans.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace troupe::reference {

/// keys[j] and values[j] point to the head's elements at position j.
inline std::vector<double> attention(std::span<const float> query, std::span<const float* const> keys,
                                     std::span<const float* const> values, double scale) {
  std::vector<double> weight(keys.size());
  for (std::size_t j = 0; j < keys.size(); ++j) {
    for (std::size_t d = 0; d < query.size(); ++d) weight[j] += double{query[d]} * keys[j][d];
    weight[j] *= scale;
  }
  const double highest = *std::max_element(weight.begin(), weight.end());
  double sum = 0;
  std::vector<double> output(query.size());
  for (std::size_t j = 0; j < keys.size(); ++j) {
    weight[j] = std::exp(weight[j] - highest);
    sum += weight[j];
    for (std::size_t d = 0; d < query.size(); ++d) output[d] += weight[j] * values[j][d];
  }
  for (double& value : output) value /= sum;
  return output;
}

}  // namespace troupe::reference
