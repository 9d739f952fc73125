// How a row's token is to be chosen, and what was chosen: what the host and sample.hpp's kernel tell each other.
#pragma once

#include <cstdint>

#include "kernels/log_sum_exp.hpp"

namespace troupe::kernels::cuda {

inline constexpr int sampled_vocabulary_max = 1 << 18;
inline constexpr int listed_tokens_max = 20;

/// A row's parameters, as model::validate has found them good; others give some token of the row.
struct RowSampling {
  float temperature = 0;  ///< below the smallest normal float: greedy
  std::int32_t top_k = 0;
  float top_p = 1;
  float min_p = 0;
  std::uint64_t seed = 0;
  std::int32_t position = 0;           ///< that the chosen token will take
  std::int32_t log_probabilities = 0;  ///< how many of the most likely tokens to list
};

enum class SampleStatus : std::int32_t {
  chosen = 0,
  corrupt = 1,  ///< the logits hold a NaN, +infinity or no finite value: nothing is chosen, and the token is 0
};

struct ListedToken {
  std::int32_t token = 0;
  float log_probability = 0;  ///< before temperature and filters
};

struct SampledRow {
  SampleStatus status = SampleStatus::chosen;
  std::int32_t token = 0;
  float log_probability = 0;              ///< before temperature and filters
  LogitSummary summary;                   ///< as log_sum_exp.hpp says, of corrupt rows too
  std::int32_t listed_count = 0;          ///< fewer than asked for where fewer are possible
  ListedToken listed[listed_tokens_max];  ///< the most likely tokens, best first; then zeros
};

}  // namespace troupe::kernels::cuda
