// Two halves of a pair without their fabrics: time, what is said, and what the link does are drawn from a seed.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "cluster/device_pair.hpp"
#include "tests/cluster/fabric_ends.hpp"
#include "tests/cluster/twin_links.hpp"

namespace troupe::cluster {

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

inline std::vector<std::byte> pattern(std::size_t count, std::uint64_t seed) {
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

}  // namespace troupe::cluster
