#include "policy/turn.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::policy {
namespace {

Emission emission(std::int32_t first, TokenIds ids, std::string text) {
  std::vector<float> probabilities(ids.size(), -0.5F);
  return {.first_index = first, .ids = std::move(ids), .log_probabilities = std::move(probabilities), .text = std::move(text)};
}

void add_attempt(Turn& turn, bool held_back, std::int32_t tokens_max) {
  AttemptPlan plan;
  plan.attempt = static_cast<std::int32_t>(turn.attempts.size());
  plan.event_number = next_attempt_number(turn);
  plan.tier = tiers.at(turn.attempts.size() % tiers.size());
  plan.why = "because";
  plan.held_back = held_back;
  plan.tokens_max = tokens_max;
  turn.attempts.push_back({plan, std::nullopt});
}

AttemptResult two_emissions() {
  AttemptResult result;
  result.emissions = {emission(0, {5, 6}, "Donor"), emission(2, {7}, " files")};
  result.finish_reason = "end_token";
  result.prompt_tokens = 100;
  result.reused_tokens = 64;
  result.generated_tokens = 3;
  result.seconds = 0.5;
  result.node = "b";
  return result;
}

TurnOutcome answered_by(std::int32_t attempt) {
  return {
      .committed = true, .answer = "Donor files", .citations = {}, .attempt = attempt, .doubt = {}, .code = {}, .message = {}};
}

TurnOutcome failed() {
  return {.answer = {}, .citations = {}, .doubt = {}, .code = "deadline_exceeded", .message = "too late"};
}

std::vector<std::uint64_t> numbers_of(const std::vector<TurnEvent>& events) {
  std::vector<std::uint64_t> numbers;
  for (const auto& event : events) numbers.push_back(event.number);
  return numbers;
}

Turn asked() {
  Turn turn;
  turn.ask.question = "Which?";
  return turn;
}

using Numbers = std::vector<std::uint64_t>;

TEST(TurnEvents, BeginWithTheAcceptedQuestion) {
  EXPECT_EQ(events_of(asked()), (std::vector<TurnEvent>{{0, AcceptedEvent{"Which?"}}}));
}

TEST(TurnEvents, OfADraftShowTokensAsTheyCome) {
  Turn turn = asked();
  add_attempt(turn, /*held_back=*/false, 10);
  EXPECT_EQ(
      events_of(turn, {emission(0, {5, 6}, "Donor")}),
      (std::vector<TurnEvent>{
          {0, AcceptedEvent{"Which?"}}, {1, AttemptEvent{0, Tier::mini, "because"}}, {2, TokensEvent{0, 0, {5, 6}, "Donor"}}}));
  turn.attempts[0].result = two_emissions();
  turn.outcome = answered_by(0);
  const auto events = events_of(turn);
  EXPECT_EQ(numbers_of(events), (Numbers{0, 1, 2, 4, 13}));
  EXPECT_EQ(events[3].what, (decltype(events[3].what){TokensEvent{0, 2, {7}, " files"}}));
  EXPECT_TRUE(events.back().last());
  EXPECT_FALSE(events[3].last());
}

TEST(TurnEvents, OfAHeldBackAttemptShowNothingUntilItsAnswerStands) {
  Turn turn = asked();
  add_attempt(turn, /*held_back=*/true, 10);
  EXPECT_EQ(numbers_of(events_of(turn, two_emissions().emissions)), (Numbers{0, 1}));
  turn.attempts[0].result = two_emissions();
  EXPECT_EQ(numbers_of(events_of(turn)), (Numbers{0, 1}));
  turn.outcome = failed();
  EXPECT_EQ(numbers_of(events_of(turn)), (Numbers{0, 1, 13}));
  turn.outcome = answered_by(0);
  EXPECT_EQ(numbers_of(events_of(turn)), (Numbers{0, 1, 2, 4, 13}));
}

TEST(TurnEvents, OfAnEscalationSumUpWhatAllAttemptsCost) {
  Turn turn = asked();
  add_attempt(turn, true, 10);
  turn.attempts[0].result = two_emissions();
  turn.attempts[0].result->superseded_why = "not sure";
  add_attempt(turn, true, 20);
  turn.attempts[1].result = two_emissions();
  turn.attempts[1].result->node = "c";
  turn.outcome = answered_by(1);
  const auto events = events_of(turn);
  EXPECT_EQ(numbers_of(events), (Numbers{0, 1, 13, 14, 15, 17, 36}));
  EXPECT_EQ(events[2].what, (decltype(events[2].what){SupersededEvent{0, "not sure"}}));
  const auto& committed = std::get<CommittedEvent>(events.back().what);
  EXPECT_EQ(committed.outcome, *turn.outcome);
  EXPECT_EQ(committed.tier, Tier::medium);
  EXPECT_EQ(committed.node, "c");
  EXPECT_EQ(committed.prompt_tokens, 200);
  EXPECT_EQ(committed.reused_tokens, 128);
  EXPECT_EQ(committed.generated_tokens, 6);
  EXPECT_EQ(committed.seconds, 1.0);
}

TEST(TurnEvents, OfATurnThatFailedEarlyHaveTheFirstNumber) {
  Turn turn = asked();
  turn.outcome = failed();
  EXPECT_EQ(events_of(turn),
            (std::vector<TurnEvent>{{0, AcceptedEvent{"Which?"}}, {1, FailedEvent{"deadline_exceeded", "too late"}}}));
}

TEST(TurnEvents, OfATurnThatFailedBetweenAttemptsComeAfterTheSupersededOne) {
  Turn turn = asked();
  add_attempt(turn, true, 10);
  turn.attempts[0].result = two_emissions();
  turn.attempts[0].result->superseded_why = "not sure";
  turn.outcome = failed();
  EXPECT_EQ(numbers_of(events_of(turn)), (Numbers{0, 1, 13, 14}));
  turn.outcome = answered_by(0);  // contradicts itself; readers have passed those numbers, so no tokens come to light
  EXPECT_EQ(numbers_of(events_of(turn)), (Numbers{0, 1, 13, 14}));
}

TEST(TurnEvents, HaveANumberForTextThatEndsAFullAnswer) {
  Turn turn = asked();
  add_attempt(turn, false, 2);
  AttemptResult result;
  result.emissions = {emission(0, {5, 6}, "a"), emission(2, {}, "\xEF\xBF\xBD")};
  turn.attempts[0].result = result;
  turn.outcome = answered_by(0);
  EXPECT_EQ(numbers_of(events_of(turn)), (Numbers{0, 1, 2, 4, 5}));
}

/// A random turn, step by step as its life goes; `seen` gets all events after each step.
class RandomTurn {
 public:
  explicit RandomTurn(std::uint64_t seed) : random_(seed), held_back_(random_.chance(0.5F)) {}

  std::vector<std::vector<TurnEvent>> live() {
    see();
    const auto attempts = random_.below(4);
    for (std::uint64_t i = 0; i < attempts; ++i) {
      add_attempt(turn_, held_back_, static_cast<std::int32_t>(random_.between(1, 12)));
      see();
      generate();
      if (random_.chance(0.1F)) return end(failed());  // and what streamed is lost
      finish();
      const bool last = i + 1 == attempts;
      if (last && random_.chance(0.7F)) return end(answered_by(static_cast<std::int32_t>(i)));
      turn_.attempts.back().result->superseded_why = "not sure";
      see();
    }
    return end(failed());
  }

  bool lost_tokens() const { return turn_.outcome && !turn_.attempts.empty() && !turn_.attempts.back().result; }

 private:
  void see() { seen_.push_back(events_of(turn_, running_)); }
  void generate() {
    running_.clear();
    const std::int32_t tokens_max = turn_.attempts.back().plan.tokens_max;
    for (std::int32_t first = 0; first < tokens_max && random_.chance(0.8F);) {
      const auto size = static_cast<std::int32_t>(random_.between(1, std::min(3, tokens_max - first)));
      running_.push_back(emission(first, TokenIds(static_cast<std::size_t>(size), 9), "t"));
      first += size;
      see();
      if (first == tokens_max && random_.chance(0.5F)) running_.push_back(emission(first, {}, "end"));
    }
  }
  void finish() {
    turn_.attempts.back().result = AttemptResult{};
    turn_.attempts.back().result->emissions = std::exchange(running_, {});
    see();
  }
  std::vector<std::vector<TurnEvent>> end(TurnOutcome outcome) {
    running_.clear();
    turn_.outcome = std::move(outcome);
    see();
    return std::move(seen_);
  }

  Random random_;
  bool held_back_;
  Turn turn_ = asked();
  std::vector<Emission> running_;
  std::vector<std::vector<TurnEvent>> seen_;
};

TEST(TurnEvents, AscendAndOnlyGrowAtTheEnd) {
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomTurn life(seed);
    const auto seen = life.live();
    ASSERT_TRUE(seen.back().back().last());
    for (std::size_t step = 0; step < seen.size(); ++step) {
      const auto& events = seen[step];
      for (std::size_t i = 1; i < events.size(); ++i) ASSERT_LT(events[i - 1].number, events[i].number);
      if (step == 0) continue;
      auto before = seen[step - 1];
      // A turn that fails under a streaming attempt keeps nothing of what that attempt had shown.
      if (step + 1 == seen.size() && life.lost_tokens()) {
        while (std::holds_alternative<TokensEvent>(before.back().what)) before.pop_back();
      }
      ASSERT_LE(before.size(), events.size());
      ASSERT_TRUE(std::equal(before.begin(), before.end(), events.begin())) << "step " << step;
    }
  }
}

TEST(TurnEvents, OfAnAnswerWithoutAModelAreTheQuestionAndTheAnswer) {
  Turn turn = asked();
  turn.outcome = answered_by(no_attempt);
  turn.outcome->rule = "out of scope";
  const auto events = events_of(turn);
  EXPECT_EQ(numbers_of(events), (std::vector<std::uint64_t>{0, 1}));
  const auto* end = std::get_if<CommittedEvent>(&events.back().what);
  ASSERT_NE(end, nullptr);
  EXPECT_EQ(end->outcome, *turn.outcome);
  EXPECT_EQ(end->prompt_tokens, 0);
}

}  // namespace
}  // namespace troupe::policy
