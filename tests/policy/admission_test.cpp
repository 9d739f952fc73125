#include "policy/admission.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/random.hpp"

namespace troupe::policy {
namespace {

using std::chrono::seconds;

constexpr AdmissionLimits limits{
    .waiting_max = 4, .running_max = 2, .context_max = 1000, .blocks = 50, .promote_after = seconds(10)};
constexpr auto largest = std::numeric_limits<std::int32_t>::max();

TimePoint at(std::int64_t second) { return TimePoint{seconds(second)}; }

WaitingSequence waiting(std::uint64_t id, Priority priority, TimePoint since = at(0)) {
  return {.id = id, .priority = priority, .arrival = id, .since = since};
}

void expect_refused(const Result<void>& result, ErrorCode code, const std::vector<std::string>& words) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, code) << result.error().message;
  for (const auto& word : words) EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
}

TEST(Admission, CountsBlocksForPositions) {
  EXPECT_EQ(blocks_for(1, 16), 1);
  EXPECT_EQ(blocks_for(16, 16), 1);
  EXPECT_EQ(blocks_for(17, 16), 2);
  EXPECT_EQ(blocks_for(0, 16), 0);
  EXPECT_EQ(blocks_for(-5, 16), 0);
  EXPECT_EQ(blocks_for(largest, 1), largest);
  EXPECT_EQ(blocks_for(largest, 16), 1 << 27);
  EXPECT_EQ(blocks_for(largest, largest), 1);
}

TEST(Admission, AcceptsWhatFitsExactly) {
  EXPECT_TRUE(check_request(1, 1, 0, limits, 16));
  EXPECT_TRUE(check_request(700, 100, 3, limits, 16)) << "800 tokens are 50 blocks, and one place is left in the queue";
}

TEST(Admission, RefusesWhatCanNeverRunAndSaysWhy) {
  expect_refused(check_request(0, 10, 0, limits, 16), ErrorCode::invalid_argument, {"prompt", "0 tokens"});
  expect_refused(check_request(-3, 10, 0, limits, 16), ErrorCode::invalid_argument, {"-3"});
  expect_refused(check_request(10, 0, 0, limits, 16), ErrorCode::invalid_argument, {"answer", "0"});
  expect_refused(check_request(900, 101, 0, limits, 16), ErrorCode::too_large, {"900", "101", "1001", "1000"});
  expect_refused(check_request(700, 101, 0, limits, 16), ErrorCode::too_large, {"51 KV blocks", "50"});
  expect_refused(check_request(largest, largest, 0, limits, 16), ErrorCode::too_large, {"4294967294"});
  expect_refused(check_request(1, 1, 0, AdmissionLimits{}, 16), ErrorCode::too_large, {"the context holds 0"});
}

TEST(Admission, SaysOverloadedOnlyWhenWaitingMayHelp) {
  expect_refused(check_request(10, 10, 4, limits, 16), ErrorCode::overloaded, {"4 requests", "queue holds 4"});
  expect_refused(check_request(1000, 10, 4, limits, 16), ErrorCode::too_large, {"1010"});
}

TEST(Admission, PrefersUrgentRequestsAndThenEarlierOnes) {
  const std::vector queue{waiting(1, Priority::batch), waiting(2, Priority::standard), waiting(4, Priority::interactive),
                          waiting(3, Priority::interactive)};
  EXPECT_EQ(next_to_admit(queue, at(1), limits), 3U);
  EXPECT_EQ(queue_position(queue, 3, at(1), limits), 0);
  EXPECT_EQ(queue_position(queue, 4, at(1), limits), 1);
  EXPECT_EQ(queue_position(queue, 2, at(1), limits), 2);
  EXPECT_EQ(queue_position(queue, 1, at(1), limits), 3);
}

TEST(Admission, PromotesByOneClassForEachTimeWaited) {
  const auto request = waiting(1, Priority::batch, at(100));
  EXPECT_EQ(promoted_priority(request, at(109), limits), Priority::batch);
  EXPECT_EQ(promoted_priority(request, at(110), limits), Priority::standard);
  EXPECT_EQ(promoted_priority(request, at(119), limits), Priority::standard);
  EXPECT_EQ(promoted_priority(request, at(120), limits), Priority::interactive);
  EXPECT_EQ(promoted_priority(request, at(1000000), limits), Priority::interactive);
  EXPECT_EQ(promoted_priority(request, at(0), limits), Priority::batch) << "it was queued in the future";
}

TEST(Admission, APromotedRequestStandsBeforeLaterOnesOfItsNewClass) {
  const std::vector queue{waiting(1, Priority::standard, at(0)), waiting(2, Priority::interactive, at(9))};
  EXPECT_EQ(next_to_admit(queue, at(9), limits), 2U);
  EXPECT_EQ(next_to_admit(queue, at(10), limits), 1U);
}

TEST(Admission, WithoutAPromotionTimeTheOrderOfArrivalDecides) {
  auto by_arrival = limits;
  by_arrival.promote_after = Duration::zero();
  const std::vector queue{waiting(2, Priority::interactive), waiting(1, Priority::batch)};
  EXPECT_EQ(next_to_admit(queue, at(0), by_arrival), 1U);
  by_arrival.promote_after = seconds(-1);
  EXPECT_EQ(next_to_admit(queue, at(0), by_arrival), 1U);
}

TEST(Admission, OfAnEmptyQueueIsNobody) {
  EXPECT_EQ(next_to_admit({}, at(0), limits), std::nullopt);
  EXPECT_EQ(queue_position({}, 1, at(0), limits), 0);
  EXPECT_EQ(queue_position(std::vector{waiting(1, Priority::batch)}, 9, at(0), limits), 1) << "a stranger stands behind all";
}

TEST(Admission, QueuePositionsAreTheOrderOfAdmissionInRandomQueues) {
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    std::vector<WaitingSequence> queue;
    for (auto left = random.between(0, 20); left > 0; --left) {
      queue.push_back({.id = queue.size(),
                       .priority = static_cast<Priority>(random.below(3)),
                       .arrival = random.below(10),
                       .since = at(random.between(0, 40))});
    }
    const auto now = at(random.between(0, 60));
    for (std::int32_t position = 0; !queue.empty(); ++position) {
      std::vector<std::int32_t> positions;
      for (const auto& request : queue) positions.push_back(queue_position(queue, request.id, now, limits));
      std::sort(positions.begin(), positions.end());
      for (std::size_t i = 0; i < positions.size(); ++i) ASSERT_EQ(positions[i], static_cast<std::int32_t>(i));

      const auto next = next_to_admit(queue, now, limits);
      ASSERT_TRUE(next);
      ASSERT_EQ(queue_position(queue, *next, now, limits), 0);
      std::erase_if(queue, [&](const WaitingSequence& request) { return request.id == *next; });
    }
    ASSERT_EQ(next_to_admit(queue, now, limits), std::nullopt);
  }
}

/// Urgent requests come faster than the one a second that is admitted, for ever.
TEST(Admission, PromotionBoundsHowLongAnyoneWaits) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    std::vector<WaitingSequence> queue;
    std::uint64_t arrivals = 0;
    const auto arrive = [&](Priority priority, std::int64_t second) {
      queue.push_back(waiting(++arrivals, priority, at(second)));
    };

    for (auto before = random.between(0, 10); before > 0; --before) arrive(static_cast<Priority>(random.below(3)), 0);
    arrive(Priority::batch, 0);
    const std::uint64_t patient = arrivals;

    // Two promotions take 20 seconds; what can then stand before it are those that came earlier.
    const auto longest = 20 + static_cast<std::int64_t>(patient);
    std::optional<std::int64_t> admitted;
    for (std::int64_t second = 0; second <= longest && !admitted; ++second) {
      arrive(Priority::interactive, second);
      if (random.chance(0.5F)) arrive(Priority::standard, second);
      const auto next = next_to_admit(queue, at(second), limits);
      ASSERT_TRUE(next);
      if (*next == patient) admitted = second;
      std::erase_if(queue, [&](const WaitingSequence& request) { return request.id == *next; });
    }
    ASSERT_TRUE(admitted) << "still waiting after " << longest << " seconds";
    EXPECT_GE(*admitted, 10) << "until its first promotion every interactive request goes first";
  }
}

TEST(AdmissionDeathTest, RefusesBlocksWithoutPositions) { EXPECT_DEATH(blocks_for(5, 0), "at least one position"); }

}  // namespace
}  // namespace troupe::policy
