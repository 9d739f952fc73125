// The router of moe.hpp in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

namespace troupe::reference {

struct Route {
  std::vector<int> expert;     ///< ascending
  std::vector<double> weight;  ///< of each
};

inline Route moe_route(std::span<const float> logits, std::size_t chosen, bool normalize) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - highest);
  std::vector<int> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)]; });
  Route route;
  route.expert.assign(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(chosen));
  std::sort(route.expert.begin(), route.expert.end());
  double chosen_sum = 0;
  for (const int expert : route.expert) {
    route.weight.push_back(std::exp(logits[static_cast<std::size_t>(expert)] - highest) / sum);
    chosen_sum += route.weight.back();
  }
  if (normalize) {
    for (double& weight : route.weight) weight /= chosen_sum;
  }
  return route;
}

}  // namespace troupe::reference
