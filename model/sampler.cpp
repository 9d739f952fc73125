#include "model/sampler.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>

#include "base/check.hpp"
#include "base/random.hpp"
#include "kernels/math.hpp"

namespace troupe::model {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float weight_one = 0x1p40F;
/// exp of less is under 2^-40, so the token weighs nothing and exp need not be asked.
constexpr float exponent_min = -28;

struct Candidate {
  float logit;
  TokenId token;
  std::uint64_t weight;  ///< in units of 2^-40
};

bool is_likelier(const Candidate& a, const Candidate& b) { return a.logit != b.logit ? a.logit > b.logit : a.token < b.token; }
bool has_lower_id(const Candidate& a, const Candidate& b) { return a.token < b.token; }

/// The `count` most likely tokens in ascending order of ids; fewer if fewer are possible.
std::vector<Candidate> most_likely(std::span<const float> logits, std::size_t count) {
  count = std::min(count, logits.size());
  std::vector<Candidate> kept;
  kept.reserve(std::min(2 * count, logits.size()));
  const auto drop_all_but_count = [&] {
    std::nth_element(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(count) - 1, kept.end(), is_likelier);
    kept.resize(count);
  };
  float worst_kept = -infinity;  // ids ascend, so a later token of the same logit never displaces one that is kept
  for (std::size_t token = 0; token < logits.size(); ++token) {
    if (!(logits[token] > worst_kept)) continue;
    kept.push_back({logits[token], static_cast<TokenId>(token), 0});
    if (kept.size() < 2 * count) continue;
    drop_all_but_count();
    worst_kept = kept.back().logit;
  }
  if (kept.size() > count) drop_all_but_count();
  std::sort(kept.begin(), kept.end(), has_lower_id);
  return kept;
}

/// Every token whose exponent (logit - best) / temperature is at least `floor`, in ascending order of ids.
std::vector<Candidate> all_above(std::span<const float> logits, float best_logit, float temperature, float floor) {
  std::vector<Candidate> kept;
  kept.reserve(logits.size());
  for (std::size_t token = 0; token < logits.size(); ++token) {
    if ((logits[token] - best_logit) / temperature >= floor) kept.push_back({logits[token], static_cast<TokenId>(token), 0});
  }
  return kept;
}

/// Sets the weights. The exponents are never positive, so that no temperature overflows; far below, exp is 0.
void weigh(std::vector<Candidate>& candidates, float best_logit, float temperature) {
  for (Candidate& candidate : candidates) {
    const float exponent = (candidate.logit - best_logit) / temperature;
    candidate.weight = exponent >= exponent_min ? static_cast<std::uint64_t>(kernels::exp(exponent) * weight_one) : 0;
  }
}

std::uint64_t total_weight(std::span<const Candidate> candidates) {
  std::uint64_t total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  return total;
}

/// Keeps the fewest of the most likely candidates that together weigh at least `top_p` of all, in the order that they have.
void keep_nucleus(std::vector<Candidate>& candidates, float top_p) {
  const std::uint64_t total = total_weight(candidates);
  const auto share = static_cast<std::uint64_t>(top_p * 0x1p32F);
  const auto wanted = static_cast<std::uint64_t>((Wide{total} * share + 0xFFFFFFFFU) >> 32);  // rounded up

  // All candidates lighter than `spare / count` weigh less than `spare` together, so the others reach `wanted` without them.
  // Half of that bound allows for exp, which may order two nearly equal logits the wrong way round in its last bits.
  const std::uint64_t spare = total - wanted;
  const std::uint64_t lightest = spare / candidates.size() / 2;
  std::erase_if(candidates, [lightest](const Candidate& candidate) { return candidate.weight < lightest; });

  // Halves the range that holds the nucleus's last token: likelier ones stand before `first`, less likely ones from `last` on.
  std::vector<Candidate> ranked = candidates;
  auto first = ranked.begin();
  auto last = ranked.end();
  std::uint64_t before_first = 0;
  while (last - first > 1) {
    const auto middle = first + (last - first) / 2;
    std::nth_element(first, middle, last, is_likelier);
    const std::uint64_t before_middle = before_first + total_weight({first, middle});
    if (before_middle >= wanted) {
      last = middle;
    } else {
      first = middle;
      before_first = before_middle;
    }
  }
  const Candidate& last_kept = *first;
  std::erase_if(candidates, [&last_kept](const Candidate& candidate) { return is_likelier(last_kept, candidate); });
}

std::uint64_t random_word(std::uint64_t seed, std::int32_t position) {
  const auto words = philox({static_cast<std::uint32_t>(position), 0, 0, token_choice_purpose},
                            {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
  return std::uint64_t{words[0]} << 32 | words[1];
}

TokenId choose(std::span<const float> logits, float best_logit, const SamplingParameters& parameters, std::int32_t position) {
  const bool narrowed_by_rank = parameters.top_k > 0 && static_cast<std::size_t>(parameters.top_k) < logits.size();
  const bool only_min_p = parameters.top_p == 1 && parameters.min_p > 0;
  // top_p counts the weight of what min_p drops afterwards; without top_p, what min_p drops for certain is not even weighed.
  const float floor = only_min_p ? std::max(exponent_min, kernels::log(parameters.min_p) - 1) : exponent_min;
  std::vector<Candidate> candidates = narrowed_by_rank ? most_likely(logits, static_cast<std::size_t>(parameters.top_k))
                                                       : all_above(logits, best_logit, parameters.temperature, floor);
  weigh(candidates, best_logit, parameters.temperature);
  if (parameters.top_p < 1) keep_nucleus(candidates, parameters.top_p);
  const auto weight_min = static_cast<std::uint64_t>(parameters.min_p * weight_one);
  std::erase_if(candidates, [weight_min](const Candidate& candidate) { return candidate.weight < weight_min; });

  const std::uint64_t total = total_weight(candidates);
  TROUPE_CHECK(total > 0, "the best token weighs 1 and is always kept");
  auto drawn = static_cast<std::uint64_t>((Wide{random_word(parameters.seed, position)} * total) >> 64);
  auto chosen = candidates.begin();
  while (drawn >= chosen->weight) drawn -= (chosen++)->weight;
  return chosen->token;
}

std::string to_text(float value) {
  std::array<char, 32> digits{};
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr};
}
std::string to_text(std::int32_t value) { return std::to_string(value); }

template <class Number>
Error out_of_range(std::string_view name, Number value, std::string_view limits) {
  return Error{ErrorCode::out_of_range, std::string(name) + " is " + to_text(value) + ", expected " + std::string(limits)};
}

}  // namespace

Result<void> validate(const SamplingParameters& parameters) {
  // Written so that a NaN is refused too.
  if (!(parameters.temperature >= 0 && parameters.temperature <= temperature_max)) {
    return out_of_range("temperature", parameters.temperature, "0 (greedy) to 100");
  }
  if (parameters.top_k < 0) return out_of_range("top_k", parameters.top_k, "at least 1, or 0 to turn it off");
  if (!(parameters.top_p > 0 && parameters.top_p <= 1)) {
    return out_of_range("top_p", parameters.top_p, "more than 0 and at most 1 (1 turns it off)");
  }
  if (!(parameters.min_p >= 0 && parameters.min_p < 1)) {
    return out_of_range("min_p", parameters.min_p, "at least 0 (0 turns it off) and less than 1");
  }
  if (parameters.log_probabilities < 0 || parameters.log_probabilities > log_probabilities_max) {
    return out_of_range("log_probabilities", parameters.log_probabilities, "0 to 20");
  }
  return {};
}

Error corrupt_logits(const kernels::LogitSummary& summary, std::int32_t position) {
  return Error{ErrorCode::corrupt, "the logits for position " + std::to_string(position) +
                                       " hold a NaN, an infinity or no finite value (their maximum is " + to_text(summary.max) +
                                       ", their log-sum-exp " + to_text(summary.log_sum_exp) +
                                       "), expected finite numbers: the weights are damaged, load an intact copy of the model"};
}

Result<SampledToken> sample(std::span<const float> logits, const kernels::LogitSummary& summary,
                            const SamplingParameters& parameters, std::int32_t position) {
  TROUPE_CHECK(position >= 0, "positions count from the sequence's start");
  if (logits.size() > sampled_vocabulary_max) {
    return Error{ErrorCode::too_large, "the vocabulary has " + std::to_string(logits.size()) + " tokens, expected at most " +
                                           std::to_string(sampled_vocabulary_max)};
  }
  if (!std::isfinite(summary.max) || !std::isfinite(summary.log_sum_exp)) {
    return corrupt_logits(summary, position);
  }
  TROUPE_CHECK(summary.best >= 0 && static_cast<std::size_t>(summary.best) < logits.size(),
               "the summary belongs to these logits");

  SampledToken sampled;
  sampled.token = parameters.temperature < temperature_min ? summary.best : choose(logits, summary.max, parameters, position);
  sampled.log_probability = logits[static_cast<std::size_t>(sampled.token)] - summary.log_sum_exp;
  if (parameters.log_probabilities > 0) {
    std::vector<Candidate> best = most_likely(logits, static_cast<std::size_t>(parameters.log_probabilities));
    std::sort(best.begin(), best.end(), is_likelier);
    for (const Candidate& candidate : best) sampled.top.push_back({candidate.token, candidate.logit - summary.log_sum_exp});
  }
  return sampled;
}

}  // namespace troupe::model
