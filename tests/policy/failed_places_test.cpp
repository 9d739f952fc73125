#include "policy/failed_places.hpp"

#include <gtest/gtest.h>

namespace troupe::policy {
namespace {

using std::chrono::seconds;

const ReplicaPlace a{NodeId{"a"}, 0};
const ReplicaPlace b{NodeId{"b"}, 0};
const TimePoint start{std::chrono::hours(1)};

TEST(FailedPlaces, AreAvoidedForAWhileAndUsedIfThereIsNoOther) {
  FailedPlaces places;
  places.failed(a, start);
  EXPECT_EQ(places.without({a, b}, start), std::vector{b});
  EXPECT_EQ(places.without({a}, start), std::vector{a}) << "it is the only one";
  EXPECT_EQ(places.without({a, b}, start + FailedPlaces::avoided_first), (std::vector{a, b}));
  places.failed(b, start + seconds(1));
  EXPECT_EQ(places.without({a, b}, start + seconds(1)), (std::vector{a, b})) << "one is as good as the other";
}

TEST(FailedPlaces, AreAvoidedLongerEachTimeUntilTheyAnswerOrAreForgotten) {
  FailedPlaces places;
  TimePoint now = start;
  for (const int avoided : {2, 4, 8, 16, 32, 60, 60}) {
    places.failed(a, now);
    places.failed(a, now + seconds(1));  // was asked before the first failure was known
    EXPECT_TRUE(places.avoided(a, now + seconds(avoided - 1)));
    now += seconds(avoided);
    EXPECT_FALSE(places.avoided(a, now)) << avoided;
  }
  places.answered(a);
  for (int i = 0; i < 2; ++i, now += FailedPlaces::avoided_first + FailedPlaces::avoided_longest) {
    places.failed(a, now);
    EXPECT_FALSE(places.avoided(a, now + FailedPlaces::avoided_first)) << "as the first time";
  }
}

TEST(FailedPlaces, AreNotWhereAQuestionIsRefused) {
  EXPECT_TRUE(tells_of_place(ErrorCode::invalid_argument)) << "a wrong key";
  for (const ErrorCode code :
       {ErrorCode::out_of_range, ErrorCode::too_large, ErrorCode::cancelled, ErrorCode::deadline_exceeded})
    EXPECT_FALSE(tells_of_place(code)) << to_string(code);
}

TEST(FailedPlaces, AreNoMoreThanTheirLimit) {
  FailedPlaces places;
  const auto place = [](std::size_t i) { return ReplicaPlace{NodeId{"a"}, static_cast<std::uint32_t>(i)}; };
  for (std::size_t i = 0; i <= FailedPlaces::places_max; ++i) places.failed(place(i), start + std::chrono::milliseconds(i));
  EXPECT_FALSE(places.avoided(place(0), start + seconds(1)));
  EXPECT_TRUE(places.avoided(place(1), start + seconds(1)));
}

}  // namespace
}  // namespace troupe::policy
