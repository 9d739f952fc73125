#include "model/sampler.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/random.hpp"
#include "tests/reference/sampler.hpp"

namespace troupe::model {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();

SampledToken sample_or_die(std::span<const float> logits, const SamplingParameters& parameters, std::int32_t position) {
  auto sampled = sample(logits, reference::summarize(logits), parameters, position);
  EXPECT_TRUE(sampled) << sampled.error().message;
  return *std::move(sampled);
}

/// Roughly normal with the given spread, like logits of a language model.
std::vector<float> random_logits(std::size_t vocabulary, float spread, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> logits(vocabulary);
  for (float& logit : logits) {
    float sum = 0;
    for (int i = 0; i < 6; ++i) sum += random.uniform() - 0.5F;
    logit = sum * 1.414F * spread;
  }
  return logits;
}

/// How often each token is chosen over `draws` positions.
std::vector<int> count_choices(std::span<const float> logits, const SamplingParameters& parameters, int draws) {
  const auto summary = reference::summarize(logits);
  std::vector<int> counts(logits.size(), 0);
  for (int position = 0; position < draws; ++position) {
    ++counts[static_cast<std::size_t>(sample(logits, summary, parameters, position).value().token)];
  }
  return counts;
}

std::set<TokenId> chosen_tokens(std::span<const float> logits, const SamplingParameters& parameters, int draws = 2000) {
  const std::vector<int> counts = count_choices(logits, parameters, draws);
  std::set<TokenId> tokens;
  for (std::size_t token = 0; token < counts.size(); ++token) {
    if (counts[token] > 0) tokens.insert(static_cast<TokenId>(token));
  }
  return tokens;
}

/// Counts against probabilities: nothing improbable chosen, and chi-square below what one in a million good samplers exceeds
/// (the Wilson-Hilferty approximation of its quantile). Tokens expected fewer than 5 times are counted together.
void expect_follows(const std::vector<int>& counts, const std::vector<double>& probabilities, int draws) {
  double chi_square = 0;
  double rare_expected = 0;
  double rare_seen = 0;
  int cells = 0;
  const auto add_cell = [&](double seen, double expected) {
    chi_square += (seen - expected) * (seen - expected) / expected;
    ++cells;
  };
  for (std::size_t token = 0; token < counts.size(); ++token) {
    const double expected = probabilities[token] * draws;
    if (expected == 0) {
      EXPECT_EQ(counts[token], 0) << "token " << token << " was filtered out";
    } else if (expected < 5) {
      rare_expected += expected;
      rare_seen += counts[token];
    } else {
      add_cell(counts[token], expected);
    }
  }
  if (rare_expected >= 5) add_cell(rare_seen, rare_expected);
  if (cells < 2) return;
  const double degrees = cells - 1;
  const double limit = degrees * std::pow(1 - 2 / (9 * degrees) + 4.753 * std::sqrt(2 / (9 * degrees)), 3);
  EXPECT_LT(chi_square, limit) << "with " << degrees << " degrees of freedom";
}

TEST(Sampler, TakesTheBestTokenWhenGreedy) {
  const std::vector<float> logits = {1, 4, -2, 3};
  SamplingParameters parameters;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    parameters.seed = seed;
    EXPECT_EQ(sample_or_die(logits, parameters, 7).token, 1);
  }
}

TEST(Sampler, ReportsLogProbabilitiesOfTheModelItself) {
  const std::vector<float> logits = {0, std::log(2.0F), -infinity, std::log(5.0F), 0};
  SamplingParameters parameters{.temperature = 3, .top_k = 2, .log_probabilities = 10};
  const SampledToken sampled = sample_or_die(logits, parameters, 0);
  ASSERT_EQ(sampled.top.size(), 4U) << "the token of probability 0 is not listed";
  const std::vector<TokenId> order = {3, 1, 0, 4};
  const std::vector<double> probabilities = {5 / 9.0, 2 / 9.0, 1 / 9.0, 1 / 9.0};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(sampled.top[i].token, order[i]);
    EXPECT_NEAR(sampled.top[i].log_probability, std::log(probabilities[i]), 1e-6);
  }
  EXPECT_TRUE(sampled.token == 3 || sampled.token == 1);
  EXPECT_FLOAT_EQ(sampled.log_probability, sampled.top[sampled.token == 3 ? 0 : 1].log_probability);
}

TEST(Sampler, ListsAsManyTokensAsAskedBestFirst) {
  const std::vector<float> logits = random_logits(5000, 3, 1);
  const std::vector<std::int32_t> ranks = reference::ranks(logits);
  for (std::int32_t count = 0; count <= log_probabilities_max; ++count) {
    const SampledToken sampled = sample_or_die(logits, {.log_probabilities = count}, 0);
    ASSERT_EQ(sampled.top.size(), static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < sampled.top.size(); ++i) EXPECT_EQ(sampled.top[i].token, ranks[i]);
  }
}

TEST(Sampler, FollowsTheTruthForEachOptionAloneAndTogether) {
  constexpr int draws = 20000;
  const std::vector<SamplingParameters> cases = {
      {.temperature = 1},
      {.temperature = 0.3F},
      {.temperature = 2.5F},
      {.temperature = 100},
      {.temperature = 1, .top_k = 1},
      {.temperature = 1, .top_k = 7},
      {.temperature = 1, .top_k = 1000},
      {.temperature = 1, .top_p = 0.5F},
      {.temperature = 1, .top_p = 0.9F},
      {.temperature = 1.5F, .top_p = 0.999F},
      {.temperature = 1, .min_p = 0.1F},
      {.temperature = 1, .min_p = 0.9F},
      {.temperature = 2, .top_k = 20, .top_p = 0.8F},
      {.temperature = 2, .top_k = 20, .min_p = 0.2F},
      {.temperature = 2, .top_p = 0.8F, .min_p = 0.2F},
      {.temperature = 1.2F, .top_k = 30, .top_p = 0.95F, .min_p = 0.05F},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE("case " + std::to_string(i));
    SamplingParameters parameters = cases[i];
    parameters.seed = 1000 + i;
    const std::vector<float> logits = random_logits(60, 2, i);
    const reference::Distribution truth = reference::distribution(logits, parameters);
    ASSERT_GT(truth.margin, 1e-5) << "these logits leave a filter undecided; take others";
    expect_follows(count_choices(logits, parameters, draws), truth.probabilities, draws);
  }
}

// Stronger than statistics: the uniform number is known, so that the truth names the very token.
TEST(Sampler, ChoosesTheVeryTokenThatTheTruthDoes) {
  Random random(42);
  int compared = 0;
  for (int i = 0; i < 3000; ++i) {
    SCOPED_TRACE("case " + std::to_string(i));
    const auto vocabulary = static_cast<std::size_t>(random.between(1, 700));
    std::vector<float> logits = random_logits(vocabulary, 0.1F + 5 * random.uniform(), random.next());
    if (random.chance(0.3F)) {  // many ties
      for (float& logit : logits) logit = std::round(logit);
    }
    if (random.chance(0.3F)) {
      for (std::size_t token = 1; token < vocabulary; ++token) logits[token] = random.chance(0.5F) ? -infinity : logits[token];
    }
    SamplingParameters parameters{.temperature = 0.05F + 3 * random.uniform(),
                                  .seed = std::uint64_t{random.next()} << 32 | random.next()};
    if (random.chance(0.5F)) parameters.top_k = static_cast<std::int32_t>(random.between(1, 800));
    if (random.chance(0.5F)) parameters.top_p = 1 - random.uniform();
    if (random.chance(0.5F)) parameters.min_p = random.uniform() * random.uniform();
    ASSERT_TRUE(validate(parameters));

    const reference::Distribution truth = reference::distribution(logits, parameters);
    if (truth.margin < 1e-5) continue;
    for (std::int32_t position = 0; position < 5; ++position) {
      const reference::Choice expected = reference::choose(truth.probabilities, parameters.seed, position);
      if (expected.margin < 1e-6) continue;
      EXPECT_EQ(sample_or_die(logits, parameters, position).token, expected.token);
      ++compared;
    }
  }
  EXPECT_GT(compared, 10000);
}

TEST(Sampler, ChoosesTheVeryTokenInALargeVocabulary) {
  constexpr std::size_t vocabulary = 151936;
  const std::vector<SamplingParameters> cases = {
      {.temperature = 1},
      {.temperature = 100, .top_p = 0.9F},
      {.temperature = 1, .top_k = 50000},
      {.temperature = 1, .top_k = 40},
      {.temperature = 0.7F, .top_p = 0.95F},
      {.temperature = 1, .min_p = 0.02F},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE("case " + std::to_string(i));
    const std::vector<float> logits = random_logits(vocabulary, 3, 99 + i);
    const auto summary = reference::summarize(logits);
    const reference::Distribution truth = reference::distribution(logits, cases[i]);
    int compared = 0;
    for (std::int32_t position = 0; position < 20; ++position) {
      const reference::Choice expected = reference::choose(truth.probabilities, 0, position);
      if (expected.margin < 2e-7) continue;
      EXPECT_EQ(sample(logits, summary, cases[i], position).value().token, expected.token);
      ++compared;
    }
    EXPECT_GT(compared, 10);
  }
}

TEST(Sampler, BreaksTiesTowardsTheLowerId) {
  const std::vector<float> logits = {1, 2, 2, 2, 2, 0};
  EXPECT_EQ(sample_or_die(logits, {}, 0).token, 1);
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 1, .top_k = 1}), (std::set<TokenId>{1}));
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 1, .top_k = 3}), (std::set<TokenId>{1, 2, 3}));
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 1, .top_p = 0.3F}), (std::set<TokenId>{1, 2}));
  const SampledToken listed = sample_or_die(logits, {.log_probabilities = 3}, 0);
  EXPECT_EQ(listed.top[0].token, 1);
  EXPECT_EQ(listed.top[2].token, 3);
}

TEST(Sampler, KeepsTheFewestTokensThatReachTopP) {
  const std::vector<float> logits = {0, 0, 0, 0};  // a quarter each
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 1, .top_p = 0.25F}).size(), 1U);
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 1, .top_p = 0.5F}).size(), 2U);
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 1, .top_p = std::nextafter(0.5F, 1.0F)}).size(), 3U);
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 1, .top_p = std::nextafter(1.0F, 0.0F)}).size(), 4U);
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 1, .top_p = std::numeric_limits<float>::denorm_min()}).size(), 1U);
}

TEST(Sampler, CountsTopPWithinWhatTopKLeft) {
  const std::vector<float> logits = {0, 0, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 1, .top_k = 4, .top_p = 0.5F}), (std::set<TokenId>{0, 1}));
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 1, .top_p = 0.5F}), (std::set<TokenId>{0, 1, 2, 3}));
}

TEST(Sampler, MeasuresMinPAgainstTheBestTokenAfterTemperature) {
  const std::vector<float> logits = {0, std::log(0.5F), std::log(0.2F), std::log(0.01F)};
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 1, .min_p = 0.3F}), (std::set<TokenId>{0, 1}));
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 2, .min_p = 0.3F}), (std::set<TokenId>{0, 1, 2}));
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 1, .min_p = std::nextafter(1.0F, 0.0F)}), (std::set<TokenId>{0}));
}

TEST(Sampler, NeverChoosesATokenOfProbabilityZero) {
  std::vector<float> logits(100, -infinity);
  logits[13] = -50;
  logits[77] = -51;
  const std::set<TokenId> possible = {13, 77};
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 100}), possible);
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 100, .top_k = 50}), possible);
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 100, .top_p = 0.999F}), possible);
  EXPECT_EQ(chosen_tokens(logits, {.temperature = 100, .min_p = 0.01F}), possible);
}

TEST(Sampler, BecomesGreedyWithoutOverflowAsTheTemperatureFalls) {
  const std::vector<float> logits = {-3e38F, 3e38F, 2.9e38F, -infinity, 0};
  for (const float temperature : {1e-3F, 1e-20F, temperature_min, std::numeric_limits<float>::denorm_min()}) {
    EXPECT_EQ(chosen_tokens(logits, {.temperature = temperature}, 50), (std::set<TokenId>{1})) << temperature;
    EXPECT_EQ(chosen_tokens(logits, {.temperature = temperature, .top_k = 3, .top_p = 0.9F, .min_p = 0.1F}, 50),
              (std::set<TokenId>{1}));
  }
}

TEST(Sampler, ChoosesFromEqualLogitsEvenly) {
  const std::vector<float> logits(10, 3e38F);
  expect_follows(count_choices(logits, {.temperature = 1}, 20000), std::vector<double>(10, 0.1), 20000);
}

TEST(Sampler, ServesAVocabularyOfOneToken) {
  const std::vector<float> logits = {-4};
  for (const float temperature : {0.0F, 1.0F}) {
    const SampledToken sampled = sample_or_die(
        logits, {.temperature = temperature, .top_k = 5, .top_p = 0.1F, .min_p = 0.5F, .log_probabilities = 20}, 3);
    EXPECT_EQ(sampled.token, 0);
    EXPECT_EQ(sampled.log_probability, 0);
    EXPECT_EQ(sampled.top.size(), 1U);
  }
}

TEST(Sampler, DependsOnSeedAndPositionAndOnNothingElse) {
  const std::vector<float> logits = random_logits(500, 1, 5);
  const auto summary = reference::summarize(logits);
  const SamplingParameters parameters{.temperature = 1, .top_p = 0.95F, .seed = 0xFEDCBA9876543210};
  std::vector<TokenId> forwards(300);
  for (std::int32_t position = 0; position < 300; ++position) {
    forwards[static_cast<std::size_t>(position)] = sample(logits, summary, parameters, position).value().token;
  }
  std::vector<TokenId> backwards(300);
  std::thread other([&] {
    for (std::int32_t position = 299; position >= 0; --position) {
      SamplingParameters neighbour = parameters;
      neighbour.seed = 17;
      (void)sample(logits, summary, neighbour, position);
      backwards[static_cast<std::size_t>(position)] = sample(logits, summary, parameters, position).value().token;
    }
  });
  other.join();
  EXPECT_EQ(forwards, backwards);

  for (const std::uint64_t flip : {std::uint64_t{1}, std::uint64_t{1} << 40}) {  // both halves of the seed count
    SamplingParameters changed = parameters;
    changed.seed ^= flip;
    int equal = 0;
    for (std::int32_t position = 0; position < 300; ++position) {
      equal += sample(logits, summary, changed, position).value().token == forwards[static_cast<std::size_t>(position)] ? 1 : 0;
    }
    EXPECT_LT(equal, 30);
  }
}

// Recorded once. A change means that answers recorded with a seed can no longer be replayed.
TEST(Sampler, ChoosesWhatItChoseBefore) {
  const std::vector<float> logits = {0.5F, 1.5F, -1.0F, 2.0F, 0.0F, 1.0F, 0.25F, -0.5F};
  std::vector<TokenId> tokens;
  for (std::int32_t position = 0; position < 16; ++position) {
    tokens.push_back(sample_or_die(logits, {.temperature = 1.5F, .top_p = 0.95F, .seed = 2026}, position).token);
  }
  EXPECT_EQ(tokens, (std::vector<TokenId>{4, 6, 3, 5, 0, 3, 5, 3, 3, 1, 6, 3, 0, 3, 6, 7}));
}

TEST(Sampler, RefusesParametersOutOfRangeByName) {
  const auto message = [](const SamplingParameters& parameters) {
    const auto result = validate(parameters);
    if (result) return std::string("accepted");
    EXPECT_EQ(result.error().code, ErrorCode::out_of_range);
    return result.error().message;
  };
  EXPECT_EQ(message({}), "accepted");
  EXPECT_EQ(message({.temperature = 100, .top_k = 2147483647, .top_p = 1e-9F, .min_p = 0.999F, .log_probabilities = 20}),
            "accepted");
  EXPECT_EQ(message({.temperature = -0.5F}), "temperature is -0.5, expected 0 (greedy) to 100");
  EXPECT_EQ(message({.temperature = 100.5F}), "temperature is 100.5, expected 0 (greedy) to 100");
  EXPECT_EQ(message({.temperature = not_a_number}), "temperature is nan, expected 0 (greedy) to 100");
  EXPECT_EQ(message({.top_k = -1}), "top_k is -1, expected at least 1, or 0 to turn it off");
  EXPECT_EQ(message({.top_p = 0}), "top_p is 0, expected more than 0 and at most 1 (1 turns it off)");
  EXPECT_EQ(message({.top_p = 1.5F}), "top_p is 1.5, expected more than 0 and at most 1 (1 turns it off)");
  EXPECT_EQ(message({.top_p = not_a_number}), "top_p is nan, expected more than 0 and at most 1 (1 turns it off)");
  EXPECT_EQ(message({.min_p = -1e-8F}), "min_p is -1e-08, expected at least 0 (0 turns it off) and less than 1");
  EXPECT_EQ(message({.min_p = 1}), "min_p is 1, expected at least 0 (0 turns it off) and less than 1");
  EXPECT_EQ(message({.min_p = not_a_number}), "min_p is nan, expected at least 0 (0 turns it off) and less than 1");
  EXPECT_EQ(message({.log_probabilities = -1}), "log_probabilities is -1, expected 0 to 20");
  EXPECT_EQ(message({.log_probabilities = 21}), "log_probabilities is 21, expected 0 to 20");
}

TEST(Sampler, ReportsDamagedLogits) {
  const std::vector<float> logits = {1, 2, 3};
  const std::vector<kernels::LogitSummary> damaged = {{2, 3, not_a_number},
                                                      {0, -infinity, -infinity},
                                                      {0, -infinity, not_a_number},
                                                      {2, infinity, not_a_number},
                                                      {0, not_a_number, 1}};
  for (const auto& summary : damaged) {
    for (const float temperature : {0.0F, 1.0F}) {
      const auto sampled = sample(logits, summary, {.temperature = temperature}, 12);
      ASSERT_FALSE(sampled);
      EXPECT_EQ(sampled.error().code, ErrorCode::corrupt);
      EXPECT_NE(sampled.error().message.find("position 12"), std::string::npos) << sampled.error().message;
    }
  }
}

TEST(Sampler, RefusesAVocabularyWhoseWeightsCouldOverflow) {
  const std::vector<float> logits(sampled_vocabulary_max + 1, 0.0F);
  const auto sampled = sample(logits, {0, 0, 16.6F}, {.temperature = 1}, 0);
  ASSERT_FALSE(sampled);
  EXPECT_EQ(sampled.error().code, ErrorCode::too_large);
}

TEST(SamplerDeathTest, StopsWhenASummaryBelongsToOtherLogits) {
  const std::vector<float> logits = {1, 2, 3};
  EXPECT_DEATH((void)sample(logits, {3, 3, 4}, {}, 0), "summary belongs");
}

}  // namespace
}  // namespace troupe::model
