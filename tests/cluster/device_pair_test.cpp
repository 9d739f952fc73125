// What two halves of a pair make of whatever happens, without their fabrics.
#include "cluster/device_pair.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/cluster/two_pairs.hpp"

namespace troupe::cluster {
namespace {

constexpr std::size_t kibibyte = 1024;

TEST(DevicePair, MovesWhatEitherSideAsksFor) {
  for (const std::size_t side : {0U, 1U}) {
    for (const bool gets : {true, false}) {
      Two two;
      const TestTransfer& test = two.ask(side, gets, 100 * kibibyte, {{0, 50, 1000}, {7, 3, 0}, {5000, 40000, 60000}});
      ASSERT_TRUE(two.run()) << side << gets;
      EXPECT_EQ(test.code, "ok");
      two.check();
    }
  }
}

TEST(DevicePair, BothMayAskForEverythingAtOnce) {
  Two two;
  for (int i = 0; i < 30; ++i) {
    for (const std::size_t side : {0U, 1U}) {
      two.ask(side, true, 300 * kibibyte);
      two.ask(side, false, 200 * kibibyte);
    }
  }
  ASSERT_TRUE(two.run());
  for (const auto& test : two.transfers()) EXPECT_EQ(test->code, "ok");
  EXPECT_EQ(two.hub.links(), 1U) << "one link serves both directions";
  two.check();
}

TEST(DevicePair, SplitsWhatIsLarge) {
  Two two;
  const std::size_t bytes = 3 * DeviceFrame::ask_bytes_max + 5;
  std::vector<Piece> small;
  for (std::uint64_t i = 0; i < 3 * DeviceFrame::extents_max; ++i) small.push_back({i * 10, i * 11, 10});
  const TestTransfer& large = two.ask(0, true, bytes);
  const TestTransfer& many = two.ask(1, false, 10000, small);
  ASSERT_TRUE(two.run());
  EXPECT_EQ(large.code, "ok");
  EXPECT_EQ(many.code, "ok");
  two.check();
}

TEST(DevicePair, RefusesWhatTheOwnerDoesNotHave) {
  for (const std::size_t side : {0U, 1U}) {
    Two two;
    TestTransfer& gone = two.ask(side, true, 1000);
    two.forget_regions();
    TestTransfer& fine = two.ask(side, true, 1000);
    ASSERT_TRUE(two.run());
    EXPECT_EQ(gone.code, "not_found");
    EXPECT_EQ(fine.code, "ok");
    two.check();
  }
}

TEST(DevicePair, TheOwnerChecksWhereAPieceLies) {
  for (const std::size_t side : {0U, 1U}) {
    Two two;
    const TestTransfer& test = two.ask(side, true, 1000, {{100, 0, 100}, {450, 100, 51}});
    two.shrink_regions(1 - side, 500);
    ASSERT_TRUE(two.run());
    EXPECT_EQ(test.code, "invalid_argument");
    two.forget_regions();
    two.check();
  }
}

TEST(DevicePair, ACancelledTransferEndsAtOnceWhileNoLinkIsThere) {
  TwinOptions options;
  options.never_opens = 1;
  for (const std::size_t side : {0U, 1U}) {
    Two two(options);
    TestTransfer& test = two.ask(side, true, 1000);
    for (int i = 0; i < 5; ++i) two.step();
    two.pair(side).cancel(test.transfer->id);
    for (int i = 0; i < 5; ++i) two.step();
    EXPECT_EQ(test.code, "cancelled");
    EXPECT_EQ(two.hub.links(), 1U) << "nothing was broken off for it";
    two.forget_regions();
    EXPECT_TRUE(test.there.free) << "the owner holds nothing that was dropped";
    two.check();
  }
}

TEST(DevicePair, ADeadlineEndsWhatADeafPeerHoldsUpAndOthersAreNotKeptWaiting) {
  for (const std::size_t side : {0U, 1U}) {
    Two two;
    two.set_deaf(1 - side, true);
    TestTransfer& test = two.ask(side, true, 1000, {}, milliseconds(100));
    for (int i = 0; i < 1200; ++i) two.step();
    EXPECT_EQ(test.code, "deadline_exceeded");
    two.set_deaf(1 - side, false);
    TestTransfer& later = two.ask(side, true, 1000);
    ASSERT_TRUE(two.run());
    EXPECT_EQ(later.code, "ok");
    two.check();
  }
}

TEST(DevicePair, MakesAnotherLinkWhenOneBreaks) {
  for (const std::size_t side : {0U, 1U}) {
    TwinOptions options;
    options.gets_on = 0;
    Two two(options);
    TestTransfer& test = two.ask(side, false, 100 * kibibyte);
    for (int i = 0; i < 10; ++i) two.step();
    options.fails = 1;
    two.hub.set_options(options);
    for (int i = 0; i < 10; ++i) two.step();
    EXPECT_EQ(test.code, "unavailable");
    two.hub.set_options({});
    TestTransfer& next = two.ask(side, false, 100 * kibibyte);
    ASSERT_TRUE(two.run());
    EXPECT_EQ(next.code, "ok");
    EXPECT_GE(two.hub.links(), 2U);
    two.check();
  }
}

TEST(DevicePair, EndsWhatWaitsForALinkThatNeverComes) {
  TwinOptions options;
  options.never_opens = 1;
  Two two(options);
  for (int i = 0; i < 40; ++i) two.ask(i % 2, true, 1000, {}, std::chrono::hours(1));
  ASSERT_TRUE(two.run(60000));
  for (const auto& test : two.transfers()) EXPECT_EQ(test->code, "unavailable");
  EXPECT_LE(two.hub.links(), 3U) << "it does not try again and again";
  two.check();
}

TEST(DevicePair, HoldsMemoryUntilABrokenLinkIsQuiet) {
  TwinOptions options;
  options.gets_on = 0;
  options.quiet_after = 50;
  Two two(options);
  TestTransfer& test = two.ask(0, true, 1000);
  for (int i = 0; i < 10; ++i) two.step();
  two.pair(0).lose({ErrorCode::unavailable, "gone"});
  for (int i = 0; i < 40; ++i) two.step();
  EXPECT_EQ(test.times, 0);
  for (int i = 0; i < 40; ++i) two.step();
  EXPECT_EQ(test.code, "unavailable");
  EXPECT_EQ(two.hub.links(), 1U);
  two.check();
}

TEST(DevicePair, APeerThatComesBackIsMetAgain) {
  for (const bool told : {true, false}) {
    for (const std::size_t side : {0U, 1U}) {
      TwinOptions options;
      options.gets_on = 0;
      Two two(options);
      TestTransfer& first = two.ask(side, true, 1000);
      TestTransfer& second = two.ask(1 - side, true, 1000);
      for (int i = 0; i < 10; ++i) two.step();
      two.hub.set_options({});
      two.begin_anew(side, told);
      TestTransfer& later = two.ask(side, true, 1000);
      ASSERT_TRUE(two.run());
      EXPECT_EQ(first.code, "unavailable");
      EXPECT_EQ(second.code, "unavailable");
      EXPECT_EQ(later.code, "ok");
      two.check();
    }
  }
}

TEST(DevicePair, BoundsWhatWaits) {
  FabricLimits limits;
  limits.waiting_max = 3;
  Two two({}, limits);
  for (int i = 0; i < 40; ++i) two.ask(0, true, 1000);
  int refused = 0;
  for (const auto& test : two.transfers()) refused += test->code == "overloaded" ? 1 : 0;
  EXPECT_EQ(refused, 40 - 3 - static_cast<int>(DevicePair::asks_max));
  ASSERT_TRUE(two.run());
  two.check();
}

TEST(DevicePair, SurvivesNonsense) {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    Two two;
    Random random(seed);
    two.ask(0, true, 1000);
    two.ask(1, false, 1000);
    for (int i = 0; i < 20; ++i) {
      DeviceFrame frame;
      frame.kind = static_cast<DeviceFrameKind>(1 + random.below(9));
      frame.gets = random.chance(0.5F);
      frame.status = static_cast<std::uint16_t>(random.below(15));
      frame.own = random.chance(0.9F) ? 1 + random.below(2) : 77;
      frame.yours = random.below(3);
      frame.epoch = 1 + random.below(2);
      frame.id = random.below(4);
      frame.extents.region.bytes[0] = static_cast<std::uint8_t>(random.below(5));
      frame.extents.list = {{random.below(1200), 1 + random.below(1000)}};
      frame.entries = {{random.chance(0.5F), random.below(4)}};
      frame.text = random.chance(0.5F) ? "twin:1" : "x";
      two.hear(random.below(2), frame);
      two.step(0.5F);
    }
    // What somebody has claimed to be in the other's name may have ended it all, but neither hangs nor breaks.
    EXPECT_TRUE(two.run(200000)) << "seed " << seed;
  }
}

std::vector<Piece> random_pieces(Random& random, std::size_t bytes) {
  std::vector<Piece> pieces;
  for (std::uint64_t at = 0; at < bytes;) {
    const std::uint64_t length = std::min<std::uint64_t>(bytes - at, random.below(3000));
    pieces.push_back({at, bytes - at - length, length});
    at += std::max<std::uint64_t>(length, 1);
  }
  return pieces;
}

/// Everything at once: whatever happens, each transfer ends once and in time, right or with an error, and nobody touches memory
/// that was let go.
void muddle(std::uint64_t seed) {
  Random choose(seed, 3);
  TwinOptions options;
  options.seed = seed;
  options.gets_on = 0.2F + 0.8F * choose.uniform();
  options.quiet_after = static_cast<int>(choose.below(20));
  options.fails = choose.chance(0.5F) ? 0.002F : 0;
  options.never_opens = choose.chance(0.2F) ? 0.5F : 0;
  FabricLimits limits;
  if (choose.chance(0.3F)) limits.window_bytes = 20000;
  Two two(options, limits);
  const float hears = 0.3F + 0.7F * choose.uniform();
  for (int i = 0; i < 400; ++i) {
    const std::uint64_t what = choose.below(100);
    if (what < 30) {
      const std::size_t bytes = 1 + choose.below(choose.chance(0.1F) ? 100000 : 5000);
      const Duration time = choose.chance(0.2F) ? Duration(milliseconds(choose.below(50))) : seconds(3000);
      auto pieces = random_pieces(choose, bytes);
      if (std::ranges::all_of(pieces, [](const Piece& piece) { return piece.bytes == 0; })) continue;
      two.ask(choose.below(2), choose.chance(0.5F), bytes, std::move(pieces), time);
    } else if (what < 40 && !two.transfers().empty()) {
      const TestTransfer& test = *two.transfers()[choose.below(two.transfers().size())];
      two.pair(test.from).cancel(test.transfer->id);
    } else if (what < 42) {
      two.set_deaf(choose.below(2), choose.chance(0.5F));
    } else if (what == 42) {
      two.begin_anew(choose.below(2), true);
    } else if (what < 45) {
      two.forget_regions();
    } else if (what == 45) {
      for (int k = 0; k < 1500; ++k) two.step(hears);
    } else {
      two.step(hears);
    }
  }
  two.set_deaf(0, false);
  two.set_deaf(1, false);
  options.gets_on = 1;
  options.fails = 0;
  options.never_opens = 0;
  two.hub.set_options(options);
  // Longer than anything may hang on a link that was never to open.
  EXPECT_TRUE(two.run(60000)) << "a transfer did not end";
  EXPECT_TRUE(two.run_until_free(60000)) << "a region is held that nothing is under way to";
  two.check();
  // The first one may meet what is left of it all: a link that was never to open, a life that is over.
  std::string last;
  for (int tries = 0; tries < 8 && last != "ok"; ++tries) {
    const TestTransfer& test = two.ask(choose.below(2), choose.chance(0.5F), 5000);
    EXPECT_TRUE(two.run(60000));
    last = test.code;
  }
  EXPECT_EQ(last, "ok");
}

TEST(DevicePair, EndsEverythingInTimeWhateverHappens) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    muddle(seed);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace troupe::cluster
