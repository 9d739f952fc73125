// Two halves of a pair without their fabrics: time, what is said, and what the link does are drawn from a seed.
#include "cluster/device_pair.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/cluster/fabric_ends.hpp"
#include "tests/cluster/twin_links.hpp"

namespace troupe::cluster {
namespace {

class TestRegion final : public Region {
 public:
  TestRegion(const RegionId& id, std::span<std::byte> memory) : id_(id), memory_(memory) {}
  std::span<std::byte> memory() const override { return memory_; }
  RemoteRegion remote() const override { return {encode_device_key(id_), memory_.size()}; }
  const RegionId& id() const { return id_; }

 private:
  RegionId id_;
  std::span<std::byte> memory_;
};

std::vector<std::byte> pattern(std::size_t count, std::uint64_t seed) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(((i + 977 * seed) * 2654435761U) >> 11);
  return bytes;
}

/// Memory that is filled and looked at again once nobody should touch it any more.
struct Watched {
  explicit Watched(std::vector<std::byte> bytes) : memory(std::move(bytes)) {}
  std::vector<std::byte> memory;
  std::vector<std::byte> last;  ///< what it held when it was let go
  bool free = false;
  void let_go() {
    free = true;
    last = memory;
    std::ranges::fill(memory, std::byte{0x77});
  }
  bool untouched() const {
    return !free || std::ranges::all_of(memory, [](std::byte byte) { return byte == std::byte{0x77}; });
  }
};

struct TestTransfer {
  DeviceTransferPtr transfer;
  std::size_t from = 0;
  Watched here;
  Watched there;
  std::weak_ptr<Region> region_there;
  std::vector<std::byte> expected;
  std::string code;
  int times = 0;
};

class Two {
 public:
  explicit Two(const TwinOptions& options = {}, const FabricLimits& limits = {})
      : hub(options), links(hub), limits_(limits), random_(options.seed, 7) {
    for (std::size_t side = 0; side < 2; ++side) make(side);
  }
  ~Two() {
    for (auto& side : sides_) {
      side.pair->lose({ErrorCode::unavailable, "the test is over"});
      gone_.push_back(std::move(side.pair));
    }
    while (!gone_.empty()) poll_gone();
  }

  DevicePair& pair(std::size_t side) { return *sides_[side].pair; }
  ManualClock& clock() { return clock_; }

  TestTransfer& ask(std::size_t side, bool gets, std::size_t bytes, std::vector<Piece> pieces = {},
                    Duration time = seconds(100)) {
    const std::uint64_t number = ++drawn_;
    transfers_.push_back(std::make_unique<TestTransfer>(TestTransfer{std::make_shared<DeviceTransfer>(),
                                                                     side,
                                                                     Watched(pattern(bytes, 2 * number)),
                                                                     Watched(pattern(bytes, 2 * number + 1)),
                                                                     {},
                                                                     {},
                                                                     {},
                                                                     0}));
    TestTransfer& test = *transfers_.back();
    DeviceTransfer& transfer = *test.transfer;
    transfer.id = TransferId{number};
    transfer.gets = gets;
    transfer.local = std::make_shared<TestRegion>(name(), test.here.memory);
    const auto there = std::make_shared<TestRegion>(name(), test.there.memory);
    held_.push_back(there);
    test.region_there = there;
    sides_[1 - side].regions[there->id()] = there;
    transfer.remote = there->id();
    transfer.pieces = pieces.empty() ? std::vector<Piece>{{0, 0, bytes}} : std::move(pieces);
    for (const Piece& piece : transfer.pieces) transfer.bytes += piece.bytes;
    transfer.deadline = clock_.now() + time;
    test.expected = gets ? test.here.memory : test.there.memory;
    for (const Piece& piece : transfer.pieces) {
      std::memcpy(test.expected.data() + (gets ? piece.local_offset : piece.remote_offset),
                  (gets ? test.there.memory.data() + piece.remote_offset : test.here.memory.data() + piece.local_offset),
                  piece.bytes);
    }
    pair(side).submit(test.transfer);
    return test;
  }
  /// Lets a side's regions go that nobody else holds, and marks their memory.
  void forget_regions() {
    held_.clear();
    for (const auto& test : transfers_) {
      if (test->region_there.expired() && !test->there.free) test->there.let_go();
    }
  }
  /// As if their owner had told the other of larger ones.
  void shrink_regions(std::size_t side, std::size_t bytes) {
    for (auto& [id, region] : sides_[side].regions) {
      const auto smaller = std::make_shared<TestRegion>(id, region.lock()->memory().first(bytes));
      held_.push_back(smaller);
      region = smaller;
    }
  }
  /// Delivers some of what is said, in order, lets time pass, and polls both.
  void step(float hears = 1, Duration time = milliseconds(1)) {
    for (std::size_t side = 0; side < 2; ++side) {
      Side& self = sides_[side];
      while (!self.inbox.empty() && !self.deaf && random_.chance(hears)) {
        const std::string frame = std::move(self.inbox.front());
        self.inbox.pop_front();
        if (frame.empty()) {
          renew(side);
          continue;
        }
        self.pair->on_frame(std::as_bytes(std::span(frame)));
      }
      if (!self.deaf) self.pair->poll();
    }
    poll_gone();
    clock_.advance(time);
  }
  void poll_gone() {
    std::erase_if(gone_, [](const auto& pair) {
      pair->poll();
      return pair->empty();
    });
  }
  bool run(int steps = 2000) {
    for (int i = 0; i < steps; ++i) {
      if (std::ranges::all_of(transfers_, [](const auto& test) { return test->times > 0; })) return true;
      step();
    }
    return false;
  }
  bool run_until_free(int steps) {
    for (int i = 0; i < steps; ++i) {
      forget_regions();
      if (std::ranges::all_of(transfers_, [](const auto& test) { return test->there.free; })) return true;
      step();
    }
    return false;
  }
  /// The side ends and begins again. What was on its way to it still arrives; the other one is told behind what was on its way
  /// from it, or not at all.
  void begin_anew(std::size_t side, bool told) {
    renew(side);
    if (told) {
      sides_[1 - side].inbox.push_back("");
    } else {
      sides_[1 - side].inbox.clear();
    }
  }
  void set_deaf(std::size_t side, bool deaf) { sides_[side].deaf = deaf; }
  void hear(std::size_t side, const DeviceFrame& frame) {
    const std::string bytes = encode(frame);
    pair(side).on_frame(std::as_bytes(std::span(bytes)));
  }
  void check() {
    EXPECT_TRUE(hub.violations().empty()) << hub.violations().front();
    for (const auto& test : transfers_) {
      EXPECT_LE(test->times, 1);
      EXPECT_TRUE(test->here.untouched()) << "the caller's memory of transfer " << test->transfer->id.value;
      EXPECT_TRUE(test->there.untouched()) << "the owner's memory of transfer " << test->transfer->id.value;
    }
  }
  Random& random() { return random_; }
  std::vector<std::unique_ptr<TestTransfer>>& transfers() { return transfers_; }

  TwinHub hub;
  TwinLinks links;

 private:
  struct Side {
    std::unique_ptr<DevicePair> pair;
    std::deque<std::string> inbox;
    std::map<RegionId, std::weak_ptr<Region>> regions;
    bool deaf = false;
  };
  RegionId name() {
    RegionId id;
    const std::uint64_t number = ++names_;
    std::memcpy(id.bytes.data(), &number, sizeof(number));
    return id;
  }
  void renew(std::size_t side) {
    sides_[side].pair->lose({ErrorCode::unavailable, "it begins anew"});
    gone_.push_back(std::move(sides_[side].pair));
    make(side);
  }
  void make(std::size_t side) {
    DevicePairWorld world;
    world.clock = &clock_;
    world.links = &links;
    const std::uint64_t life = ++lives_;
    sides_[side].life = life;
    world.say = [this, side, life](std::string frame) {
      if (sides_[side].life == life) sides_[1 - side].inbox.push_back(std::move(frame));
    };
    world.find_region = [this, side](const RegionId& id) -> Result<RegionPtr> {
      const auto place = sides_[side].regions.find(id);
      RegionPtr region = place == sides_[side].regions.end() ? nullptr : place->second.lock();
      if (!region) return Error{ErrorCode::not_found, "no such region"};
      return region;
    };
    world.ended = [this](const DeviceTransferPtr& transfer) { on_ended(transfer); };
    sides_[side].pair = std::make_unique<DevicePair>(NodeId{side == 0 ? "b" : "a"}, life, side == 0, limits_, world);
  }
  void on_ended(const DeviceTransferPtr& transfer) {
    for (const auto& test : transfers_) {
      if (test->transfer != transfer) continue;
      ++test->times;
      test->code = transfer->outcome ? std::string(to_string(transfer->outcome->code)) : "ok";
      if (!transfer->outcome) {
        const Watched& target = transfer->gets ? test->here : test->there;
        const auto& moved = target.free ? target.last : target.memory;
        const auto wrong = std::ranges::mismatch(moved, test->expected).in1 - moved.begin();
        EXPECT_TRUE(moved == test->expected) << (transfer->gets ? "get " : "put ") << transfer->id.value << " by side "
                                             << test->from << " is wrong from byte " << wrong << " of " << moved.size();
      }
      test->here.let_go();
    }
  }

  ManualClock clock_;
  FabricLimits limits_;
  Random random_;
  struct LivingSide : Side {
    std::uint64_t life = 0;
  };
  std::array<LivingSide, 2> sides_;
  std::vector<std::unique_ptr<DevicePair>> gone_;
  std::vector<std::unique_ptr<TestTransfer>> transfers_;
  std::vector<RegionPtr> held_;
  std::uint64_t drawn_ = 0;
  std::uint64_t names_ = 0;
  std::uint64_t lives_ = 0;
};

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
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    muddle(seed);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace troupe::cluster
