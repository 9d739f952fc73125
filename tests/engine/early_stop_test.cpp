// An answer that is to be no less probable than so much ends with the token that brings it below.
#include <cmath>
#include <limits>

#include "tests/engine/engine_fixture.hpp"

namespace troupe::engine {
namespace {

/// Hears the log-probabilities too.
class Sums final : public Listener {
 public:
  void on_tokens(const TokensEvent& event) override {
    for (const auto& token : event.tokens) tokens.push_back(token);
  }
  void on_finished(const FinishedEvent& event) override { finished = event; }

  std::vector<model::SampledToken> tokens;
  std::optional<FinishedEvent> finished;
};

class EarlyStop : public EngineTest {
 protected:
  Sums answer(Engine& engine, GenerateRequest asked) {
    Sums sums;
    EXPECT_TRUE(engine.submit(std::move(asked), sums));
    while (!engine.idle()) engine.step();
    EXPECT_TRUE(sums.finished);
    expect_nothing_held(engine);
    return sums;
  }

  static std::vector<TokenId> ids(const std::vector<model::SampledToken>& tokens, std::size_t count) {
    std::vector<TokenId> made;
    for (std::size_t i = 0; i < count; ++i) made.push_back(tokens.at(i).token);
    return made;
  }
  static double sum_of(const std::vector<model::SampledToken>& tokens, std::size_t count) {
    double sum = 0;
    for (std::size_t i = 0; i < count; ++i) sum += tokens.at(i).log_probability;
    return sum;
  }
};

TEST_F(EarlyStop, AnAnswerEndsWithTheTokenThatBringsItsSumBelowTheLeast) {
  Engine& engine = make(blocks(16));
  for (const float temperature : {0.0F, 5.0F}) {
    GenerateRequest asked = request(20, 16);
    asked.sampling.temperature = temperature;
    const Sums whole = answer(engine, asked);
    ASSERT_EQ(whole.tokens.size(), 16U);
    for (const std::size_t last : {std::size_t{1}, std::size_t{7}, std::size_t{15}}) {
      asked.log_probability_sum_min = std::nextafter(sum_of(whole.tokens, last), 0.0);
      const Sums stopped = answer(engine, asked);
      EXPECT_EQ(stopped.finished->reason, FinishReason::unsure);
      EXPECT_EQ(ids(stopped.tokens, stopped.tokens.size()), ids(whole.tokens, last));
      EXPECT_EQ(stopped.finished->statistics.generated_tokens, static_cast<std::int32_t>(last));
      // Just as probable as it is to be: it goes on.
      asked.log_probability_sum_min = sum_of(whole.tokens, last);
      const Sums next = answer(engine, asked);
      EXPECT_EQ(next.tokens.size(), last + 1);
    }
  }
}

TEST_F(EarlyStop, WhatEndsAnywayIsNotUnsure) {
  Engine& engine = make(blocks(16));
  GenerateRequest asked = request(20, 8);
  const Sums whole = answer(engine, asked);
  asked.log_probability_sum_min = std::nextafter(sum_of(whole.tokens, 8), 0.0);
  EXPECT_EQ(answer(engine, asked).finished->reason, FinishReason::length);
  asked.log_probability_sum_min = 0;
  asked.stop.tokens = {whole.tokens[0].token};
  EXPECT_EQ(answer(engine, asked).finished->reason, FinishReason::stop_token);
  asked.stop.tokens.clear();
  EXPECT_EQ(answer(engine, asked).finished->reason, FinishReason::unsure);
  asked.log_probability_sum_min = -std::numeric_limits<double>::infinity();
  EXPECT_EQ(answer(engine, asked).finished->reason, FinishReason::length);
}

TEST_F(EarlyStop, AnAnswerThatAnotherEngineHasBegunStopsAtTheSameToken) {
  Engine& engine = make(blocks(16));
  GenerateRequest asked = request(20, 16);
  const Sums whole = answer(engine, asked);
  constexpr std::size_t last = 9;
  asked.log_probability_sum_min = std::nextafter(sum_of(whole.tokens, last), 0.0);
  for (std::size_t known = 1; known <= last; ++known) {
    GenerateRequest rest = asked;
    rest.answered.assign(whole.tokens.begin(), whole.tokens.begin() + static_cast<std::ptrdiff_t>(known));
    const Sums stopped = answer(engine, rest);
    EXPECT_EQ(stopped.finished->reason, FinishReason::unsure) << known;
    EXPECT_EQ(stopped.finished->statistics.generated_tokens, static_cast<std::int32_t>(last)) << known;
    EXPECT_EQ(stopped.tokens.size(), last - known) << known;
  }
}

TEST_F(EarlyStop, RefusesALeastThatNoAnswerReaches) {
  Engine& engine = make(blocks(16));
  GenerateRequest asked = request(20, 4);
  Sums sums;
  for (const double wrong : {0.5, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    asked.log_probability_sum_min = wrong;
    const auto refused = engine.submit(asked, sums);
    ASSERT_FALSE(refused) << wrong;
    EXPECT_EQ(refused.error().code, ErrorCode::out_of_range);
    EXPECT_NE(refused.error().message.find("log_probability_sum_min"), std::string::npos) << refused.error().message;
  }
}

}  // namespace
}  // namespace troupe::engine
