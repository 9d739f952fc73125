#include "cluster/lease_table.hpp"

#include <gtest/gtest.h>

namespace troupe::cluster {
namespace {

using std::chrono::seconds;

const policy::NodeId a{"a"};
const policy::NodeId b{"b"};
constexpr Duration ttl = seconds(10);

TimePoint at(int second) { return TimePoint(seconds(1000 + second)); }

LeaseTable table_with_sessions() {
  LeaseTable table(ttl, at(0));
  EXPECT_TRUE(table.keep(a, 1, at(0)));
  EXPECT_TRUE(table.keep(b, 1, at(0)));
  return table;
}

TEST(LeaseTable, GrantsANewConversationToWhoAsks) {
  const LeaseTable table = table_with_sessions();
  const auto decision = table.acquire(std::nullopt, a, 1, /*create=*/true, 0, at(1));
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->record, (LeaseRecord{a, 1, 1}));
  EXPECT_TRUE(decision->changed);
}

TEST(LeaseTable, KnowsNoConversationThatNobodyCreated) {
  const LeaseTable table = table_with_sessions();
  const auto decision = table.acquire(std::nullopt, a, 1, /*create=*/false, 0, at(1));
  ASSERT_FALSE(decision);
  EXPECT_EQ(decision.error().code, ErrorCode::not_found);
}

TEST(LeaseTable, GivesTheSameEpochToTheSameLifeAndAGreaterOneToTheNext) {
  LeaseTable table = table_with_sessions();
  const LeaseRecord stored{a, 1, 7};
  const auto again = table.acquire(stored, a, 1, false, 0, at(1));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->record, stored);
  EXPECT_FALSE(again->changed);
  ASSERT_TRUE(table.keep(a, 2, at(2)));
  const auto next = table.acquire(stored, a, 2, false, 0, at(2));
  ASSERT_TRUE(next);
  EXPECT_EQ(next->record, (LeaseRecord{a, 2, 8}));
  EXPECT_TRUE(next->changed);
}

TEST(LeaseTable, BeginsANewEpochForAHomeWhoseMoveCameToNothing) {
  const LeaseTable table = table_with_sessions();
  const LeaseRecord stored{a, 1, 7};
  EXPECT_EQ(table.acquire(stored, a, 1, false, 6, at(1))->record, stored) << "it has begun already";
  const auto next = table.acquire(stored, a, 1, false, 7, at(1));
  ASSERT_TRUE(next);
  EXPECT_EQ(next->record, (LeaseRecord{a, 1, 8}));
  EXPECT_TRUE(next->changed);
}

TEST(LeaseTable, MovesALeaseFromItsHomeToANodeWithASession) {
  const LeaseTable table = table_with_sessions();
  const LeaseRecord stored{a, 1, 7};
  const auto moved = table.move(stored, a, 1, 7, b, at(1));
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->record, (LeaseRecord{b, 1, 8}));
  EXPECT_TRUE(moved->changed);
  const auto again = table.move(moved->record, a, 1, 7, b, at(2));
  ASSERT_TRUE(again) << "its answer may have been lost";
  EXPECT_EQ(again->record, moved->record);
  EXPECT_FALSE(again->changed);
  EXPECT_FALSE(table.acquire(moved->record, a, 1, false, 0, at(2)));
  EXPECT_EQ(table.acquire(moved->record, b, 1, false, 0, at(2))->record, moved->record);
}

TEST(LeaseTable, MovesNothingForWhoIsNotAtHomeNow) {
  LeaseTable table = table_with_sessions();
  const policy::NodeId c{"c"};
  ASSERT_TRUE(table.keep(c, 4, at(0)));
  const LeaseRecord stored{a, 1, 7};
  EXPECT_FALSE(table.move(stored, a, 1, 6, b, at(1))) << "an epoch that is over";
  EXPECT_FALSE(table.move(stored, a, 1, 8, b, at(1))) << "an epoch that nobody was granted";
  EXPECT_FALSE(table.move(stored, b, 1, 7, c, at(1))) << "another node";
  EXPECT_FALSE(table.move(LeaseRecord{a, 2, 7}, a, 1, 7, b, at(1))) << "an earlier life";
  EXPECT_FALSE(table.move(LeaseRecord{b, 1, 9}, a, 1, 7, b, at(1))) << "it moved, and its home has begun anew since";
  EXPECT_EQ(table.move(stored, a, 1, 7, a, at(1)).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(table.move(std::nullopt, a, 1, 7, b, at(1)).error().code, ErrorCode::not_found);
  EXPECT_FALSE(table.move(stored, a, 1, 7, b, at(10))) << "both sessions have just ended";
  ASSERT_TRUE(table.keep(a, 1, at(10)));
  const auto to_nobody = table.move(stored, a, 1, 7, b, at(10));
  ASSERT_FALSE(to_nobody);
  EXPECT_NE(to_nobody.error().message.find("node b has no session"), std::string::npos) << to_nobody.error().message;
  EXPECT_FALSE(table.move(stored, a, 1, 7, policy::NodeId{"d"}, at(10))) << "a node that never was";
}

TEST(LeaseTable, GivesNoConversationToANodeWithoutItsRecords) {
  LeaseTable table = table_with_sessions();
  const LeaseRecord stored{a, 1, 3};
  const auto held = table.acquire(stored, b, 1, false, 0, at(1));
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, ErrorCode::unavailable);
  EXPECT_NE(held.error().message.find("node a"), std::string::npos);
  ASSERT_TRUE(table.keep(b, 1, at(15)));
  const auto away = table.acquire(stored, b, 1, true, 0, at(20));
  ASSERT_FALSE(away);
  EXPECT_NE(away.error().message.find("away"), std::string::npos) << away.error().message;
}

TEST(LeaseTable, RefusesALifeThatANewerOneHasReplaced) {
  LeaseTable table = table_with_sessions();
  ASSERT_TRUE(table.keep(a, 2, at(1)));
  EXPECT_FALSE(table.keep(a, 1, at(2)));
  EXPECT_FALSE(table.acquire(std::nullopt, a, 1, true, 0, at(2)));
  EXPECT_FALSE(table.acquire(LeaseRecord{a, 3, 9}, a, 2, false, 0, at(2))) << "a life after this one has been home already";
}

TEST(LeaseTable, GrantsNothingWithoutASession) {
  LeaseTable table(ttl, at(0));
  EXPECT_FALSE(table.acquire(std::nullopt, a, 1, true, 0, at(0)));
  ASSERT_TRUE(table.keep(a, 1, at(0)));
  EXPECT_TRUE(table.acquire(std::nullopt, a, 1, true, 0, at(9)));
  EXPECT_FALSE(table.acquire(std::nullopt, a, 1, true, 0, at(10))) << "the session has just ended";
}

TEST(LeaseTable, TakesForAliveWhatAnEarlierLifeOfItsOwnMayHaveGranted) {
  const LeaseTable table(ttl, at(0));
  EXPECT_TRUE(table.alive(a, at(9)));
  EXPECT_FALSE(table.alive(a, at(10)));
}

TEST(LeaseRecord, SurvivesItsEncodingAndRefusesOtherBytes) {
  const LeaseRecord record{policy::NodeId{"node-7500"}, 0x0123456789abcdefU, 0xfedcba9876543210U};
  const std::string bytes = encode(record);
  const auto decoded = decode_lease(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, record);
  for (std::size_t size = 0; size <= 17; ++size) {
    EXPECT_EQ(decode_lease(std::string_view(bytes).substr(0, size)).error().code, ErrorCode::corrupt) << size;
  }
  std::string future = bytes;
  future[0] = 2;
  EXPECT_EQ(decode_lease(future).error().code, ErrorCode::unsupported);
  EXPECT_EQ(decode_lease(bytes + std::string(1000, 'x')).error().code, ErrorCode::corrupt);
}

}  // namespace
}  // namespace troupe::cluster
