// Which token follows: a pure function of the logits, the sampling parameters, the seed and the position, so that a batch, a
// restart or another node chooses the same.
//
// Greedy (temperature 0) takes the best token. Otherwise every token weighs exp((logit - best logit) / temperature), and
// filters narrow the candidates in this order, each on what the one before left, as Hugging Face transformers does:
//   top_k   the k most likely tokens (Fan, Lewis, Dauphin: "Hierarchical Neural Story Generation", ACL 2018);
//   top_p   the fewest of the most likely tokens whose share of the weight reaches p (Holtzman, Buys, Du, Forbes, Choi: "The
//           Curious Case of Neural Text Degeneration", ICLR 2020);
//   min_p   tokens that weigh at least min_p times as much as the best (Nguyen et al.: "Turning Up the Heat", ICLR 2025).
// "More likely" means a greater logit, equal logits the lower id.
//
// Why the choice is the same everywhere: a weight is computed in float by kernels::exp and cut to a multiple of 2^-40 (less
// weighs nothing and is never chosen). Sums of weights are therefore integers and exact: no order of theirs can matter, and the
// way to the candidates may be any that is fast. The kept tokens stand in ascending order of their ids, token t covering as
// many integers as it weighs; chosen is the one that covers floor(u * total / 2^64), u being the 64 bits word0 * 2^32 + word1
// of
//   philox(counter {position, 0, 0, token_choice_purpose}, key {seed's low 32 bits, seed's high 32 bits}).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "kernels/log_sum_exp.hpp"
#include "model/token.hpp"

namespace troupe::model {

/// The smallest normal float. A lower temperature counts as 0, whether or not the thread flushes denormals.
inline constexpr float temperature_min = 0x1p-126F;
inline constexpr float temperature_max = 100;
inline constexpr std::int32_t log_probabilities_max = 20;
/// So many weights of about 2^40 at most cannot overflow a sum of 64 bits.
inline constexpr std::size_t sampled_vocabulary_max = std::size_t{1} << 23;
/// Keeps these random words apart from others under the same seed.
inline constexpr std::uint32_t token_choice_purpose = 1;

struct SamplingParameters {
  float temperature = 0;               ///< [0, 100]; 0: greedy, and the filters and the seed have no effect
  std::int32_t top_k = 0;              ///< 0: off
  float top_p = 1;                     ///< (0, 1]; 1: off. At least one token stays
  float min_p = 0;                     ///< [0, 1); 0: off
  std::uint64_t seed = 0;              ///< any
  std::int32_t log_probabilities = 0;  ///< [0, 20]: how many of the most likely tokens to report beside the chosen one
};

/// `out_of_range` with the parameter's name, the value and its limits.
Result<void> validate(const SamplingParameters& parameters);

struct TokenProbability {
  TokenId token = 0;
  float log_probability = 0;  ///< natural logarithm, under the model's own distribution: before temperature and filters
};

struct SampledToken {
  TokenId token = 0;
  float log_probability = 0;          ///< as above
  std::vector<TokenProbability> top;  ///< the `log_probabilities` most likely tokens, best first; none of probability 0
};

/// Chooses the token at `position` (the position that the token will take, counted from the sequence's start; not negative).
/// `logits` has one entry for each token id, -infinity for a token that must not be chosen; `summary` is log_sum_exp's of the
/// same logits; `parameters` are valid. Greedy without log-probabilities reads only the summary.
/// Errors: `corrupt` if the logits hold a NaN, +infinity or no finite value (the weights are damaged); `too_large` if there
/// are more than `sampled_vocabulary_max`. Any number of threads may call it at once.
Result<SampledToken> sample(std::span<const float> logits, const kernels::LogitSummary& summary,
                            const SamplingParameters& parameters, std::int32_t position);

/// What `sample` says of logits that hold a NaN, +infinity or no finite value.
Error corrupt_logits(const kernels::LogitSummary& summary, std::int32_t position);

}  // namespace troupe::model
