// log_sum_exp.hpp in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>

namespace troupe::reference {

inline double log_sum_exp(std::span<const float> logits) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - highest);
  return highest + std::log(sum);
}

}  // namespace troupe::reference
