// The truth about sampling: each token's probability after temperature, top_k, top_p and min_p, in fp64, by sorting everything.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

#include "base/random.hpp"
#include "kernels/log_sum_exp.hpp"
#include "model/sampler.hpp"

namespace troupe::reference {

inline kernels::LogitSummary summarize(std::span<const float> logits) {
  const auto best = std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - *best);
  return {static_cast<std::int32_t>(best - logits.begin()), *best, static_cast<float>(*best + std::log(sum))};
}

/// Token ids by rank: greater logit first, equal logits by id.
inline std::vector<std::int32_t> ranks(std::span<const float> logits) {
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return logits[static_cast<std::size_t>(a)] > logits[static_cast<std::size_t>(b)];
  });
  return order;
}

struct Distribution {
  std::vector<double> probabilities;  ///< by token id
  /// By how much a filter's nearest decision was missed, as a share of the weight it looked at. Where it is tiny, arithmetic in
  /// float may rightly keep one token more or less.
  double margin = std::numeric_limits<double>::infinity();
};

inline Distribution distribution(std::span<const float> logits, const model::SamplingParameters& parameters) {
  std::vector<std::int32_t> kept = ranks(logits);
  Distribution result{std::vector<double>(logits.size(), 0.0)};
  const double best = logits[static_cast<std::size_t>(kept.front())];
  const auto weight = [&](std::int32_t token) {
    return std::exp((logits[static_cast<std::size_t>(token)] - best) / static_cast<double>(parameters.temperature));
  };
  const auto total = [&] {
    return std::accumulate(kept.begin(), kept.end(), 0.0, [&](double sum, std::int32_t token) { return sum + weight(token); });
  };

  if (parameters.top_k > 0 && static_cast<std::size_t>(parameters.top_k) < kept.size()) {
    kept.resize(static_cast<std::size_t>(parameters.top_k));
  }
  if (parameters.top_p < 1) {
    const double all = total();
    double share = 0;
    std::size_t count = 0;
    while (count < kept.size() && share < parameters.top_p) {
      share += weight(kept[count++]) / all;
      result.margin = std::min(result.margin, std::abs(share - static_cast<double>(parameters.top_p)));
    }
    kept.resize(count);
  }
  if (parameters.min_p > 0) {
    std::erase_if(kept, [&](std::int32_t token) {
      result.margin = std::min(result.margin, std::abs(weight(token) / static_cast<double>(parameters.min_p) - 1));
      return weight(token) < parameters.min_p;
    });
  }
  const double all = total();
  for (const std::int32_t token : kept) result.probabilities[static_cast<std::size_t>(token)] = weight(token) / all;
  return result;
}

struct Choice {
  std::int32_t token = 0;
  double margin = 0;  ///< how far the uniform number was from where a neighbour would have been chosen
};

/// The token whose share of [0, 1), shares standing in ascending order of ids, holds the uniform number of (seed, position).
inline Choice choose(std::span<const double> probabilities, std::uint64_t seed, std::int32_t position) {
  const auto words = philox({static_cast<std::uint32_t>(position), 0, 0, 1},
                            {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  const double uniform = words[0] * 0x1p-32 + words[1] * 0x1p-64;
  double start = 0;
  Choice choice;
  for (std::size_t token = 0; token < probabilities.size(); ++token) {
    if (probabilities[token] == 0) continue;
    choice.token = static_cast<std::int32_t>(token);
    const double end = start + probabilities[token];
    if (uniform < end) {
      choice.margin = std::min(uniform - start, end - uniform);
      return choice;
    }
    start = end;
  }
  return choice;
}

}  // namespace troupe::reference
