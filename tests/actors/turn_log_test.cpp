#include "actors/turn_log.hpp"

#include <gtest/gtest.h>

#include "base/random.hpp"

namespace troupe::actors {
namespace {

constexpr TimePoint now{};
const policy::TurnId turn{{{1}}, 3};

policy::TurnEvent tokens(std::uint64_t number) { return {number, policy::TokensEvent{0, 0, {7}, "x"}}; }
policy::TurnEvent failed(std::uint64_t number) { return {number, policy::FailedEvent{"cancelled", ""}}; }
schemas::ReaderId reader(std::uint64_t number) { return {policy::NodeId{"a"}, number}; }

std::vector<std::uint64_t> numbers(const TurnLog::Delivery& delivery) {
  std::vector<std::uint64_t> found;
  for (const auto& event : delivery.events.events) found.push_back(event.number);
  return found;
}

TEST(TurnLog, SendsWhatIsThereAndThenWhatComes) {
  TurnLog log(turn);
  log.append(tokens(0));
  log.append(tokens(5));
  ASSERT_TRUE(log.more(reader(1), 0, 10, false, now));
  auto deliveries = log.take_deliveries();
  ASSERT_EQ(deliveries.size(), 1U);
  EXPECT_EQ(numbers(deliveries[0]), (std::vector<std::uint64_t>{0, 5}));
  EXPECT_EQ(deliveries[0].events.from, 0U);
  EXPECT_TRUE(log.take_deliveries().empty());
  log.append(tokens(6));
  deliveries = log.take_deliveries();
  ASSERT_EQ(deliveries.size(), 1U);
  EXPECT_EQ(deliveries[0].events.from, 6U);
  EXPECT_EQ(numbers(deliveries[0]), (std::vector<std::uint64_t>{6}));
}

TEST(TurnLog, KnowsWhoReads) {
  TurnLog log(turn);
  EXPECT_TRUE(log.readers().empty());
  log.more(reader(2), 0, 1, false, now);
  log.more(reader(1), 0, 1, false, now);
  EXPECT_EQ(log.readers(), (std::vector{reader(1), reader(2)}));
  log.leave(reader(1));
  EXPECT_EQ(log.readers(), std::vector{reader(2)});
}

TEST(TurnLog, ResumesFromTheNumberThatIsAskedFor) {
  TurnLog log(turn);
  for (const std::uint64_t number : {0U, 1U, 4U, 9U}) log.append(tokens(number));
  log.more(reader(1), 2, 10, false, now);
  const auto deliveries = log.take_deliveries();
  ASSERT_EQ(deliveries.size(), 1U);
  EXPECT_EQ(numbers(deliveries[0]), (std::vector<std::uint64_t>{4, 9}));
  EXPECT_EQ(deliveries[0].events.from, 2U);
}

TEST(TurnLog, SendsNoMoreThanAReaderHasCreditFor) {
  TurnLog log(turn);
  for (std::uint64_t number = 0; number < 10; ++number) log.append(tokens(number));
  log.more(reader(1), 0, 3, false, now);
  EXPECT_EQ(numbers(log.take_deliveries().at(0)), (std::vector<std::uint64_t>{0, 1, 2}));
  EXPECT_TRUE(log.take_deliveries().empty());
  log.more(reader(1), 3, 1, false, now);
  EXPECT_EQ(numbers(log.take_deliveries().at(0)), (std::vector<std::uint64_t>{3}));
  log.more(reader(1), 4, 0, false, now);
  EXPECT_TRUE(log.take_deliveries().empty());
  EXPECT_TRUE(log.read());
}

TEST(TurnLog, SendsAgainWhatWasLostOnTheWay) {
  TurnLog log(turn);
  log.append(tokens(0));
  log.append(failed(3));
  log.more(reader(1), 0, 10, false, now);
  EXPECT_EQ(log.take_deliveries().size(), 1U);
  log.more(reader(1), 0, 10, true, now);
  const auto again = log.take_deliveries();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(numbers(again[0]), (std::vector<std::uint64_t>{0, 3}));
}

TEST(TurnLog, CountsWhatIsOnItsWay) {
  TurnLog log(turn);
  for (std::uint64_t number = 0; number < 10; ++number) log.append(tokens(number));
  log.more(reader(1), 0, 4, false, now);
  EXPECT_EQ(numbers(log.take_deliveries().at(0)), (std::vector<std::uint64_t>{0, 1, 2, 3}));
  // The reader has had 0 and 1 when it gives two more: it wants four from 2 on, of which 2 and 3 were sent.
  log.more(reader(1), 2, 4, false, now);
  EXPECT_EQ(numbers(log.take_deliveries().at(0)), (std::vector<std::uint64_t>{4, 5}));
  log.more(reader(1), 2, 2, false, now);
  EXPECT_TRUE(log.take_deliveries().empty());
}

TEST(TurnLog, ForgetsAReaderThatWasSentTheEnd) {
  TurnLog log(turn);
  log.append(tokens(0));
  log.more(reader(1), 0, 10, false, now);
  log.take_deliveries();
  EXPECT_TRUE(log.read());
  log.append(failed(4));
  EXPECT_TRUE(log.complete());
  EXPECT_EQ(log.take_deliveries().size(), 1U);
  EXPECT_FALSE(log.read());
  log.more(reader(2), 5, 10, false, now);
  EXPECT_TRUE(log.take_deliveries().empty());
  EXPECT_FALSE(log.read()) << "there is nothing after the end to wait for";
}

TEST(TurnLog, IgnoresAnEventThatItHas) {
  TurnLog log(turn);
  log.append(tokens(3));
  log.append(tokens(3));
  log.append(tokens(1));
  EXPECT_EQ(log.events().size(), 1U);
}

TEST(TurnLog, ForgetsReadersThatFellSilentAndRefusesTooMany) {
  TurnLog log(turn);
  log.more(reader(1), 0, 1, false, now);
  log.more(reader(2), 0, 1, false, now + std::chrono::seconds(5));
  log.leave_silent(now + std::chrono::seconds(1));
  for (std::uint64_t number = 10; number < 10 + TurnLog::readers_max - 1; ++number) {
    ASSERT_TRUE(log.more(reader(number), 0, 1, false, now + std::chrono::seconds(5)));
  }
  EXPECT_FALSE(log.more(reader(9999), 0, 1, false, now));
  EXPECT_TRUE(log.more(reader(2), 0, 1, false, now)) << "one that is there already may ask again";
}

TEST(TurnLog, GivesEveryReaderEveryEventOnceInOrderHoweverItAsks) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    TurnLog log(turn);
    std::vector<std::uint64_t> all;
    std::array<std::vector<std::uint64_t>, 3> seen;
    std::uint64_t number = 0;
    while (!log.complete() || seen[0] != all || seen[1] != all || seen[2] != all) {
      if (!log.complete()) {
        number += 1 + random.below(3);
        const bool last = all.size() >= 40;
        log.append(last ? failed(number) : tokens(number));
        all.push_back(number);
      }
      const auto who = random.below(3);
      const std::uint64_t next = seen[who].empty() ? 0 : seen[who].back() + 1;
      log.more(reader(who), next, static_cast<std::uint32_t>(random.below(5)), random.chance(0.5F), now);
      for (const auto& delivery : log.take_deliveries()) {
        if (random.chance(0.2F)) continue;  // lost
        auto& of = seen[delivery.events.reader];
        const std::uint64_t expected = of.empty() ? 0 : of.back() + 1;
        if (delivery.events.from > expected) continue;
        for (const auto& event : delivery.events.events) {
          if (event.number >= expected) of.push_back(event.number);
        }
      }
    }
  }
}

}  // namespace
}  // namespace troupe::actors
