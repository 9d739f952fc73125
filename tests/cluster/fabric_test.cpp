// What every fabric promises (cluster/fabric.hpp), asked of each of them.
#include "cluster/fabric.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <future>
#include <thread>

#include "cluster/device_fabric.hpp"
#include "cluster/local_fabric.hpp"
#include "cluster/ucx_fabric.hpp"
#include "tests/cluster/fabric_ends.hpp"
#include "tests/cluster/twin_links.hpp"

namespace troupe::cluster {
namespace {

class FabricTest : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Fabric> open(const NodeId& name, const FabricLimits& limits = {}) {
    if (GetParam() == "local") return *hub_.join(name, limits);
    if (GetParam() == "device") {
      return make_device_fabric(name, limits, "twin", *hub_.join(name, limits), std::make_unique<TwinLinks>(twins_));
    }
    UcxOptions options;
    options.transports = GetParam() == "ucx_tcp" ? "tcp" : "all";
    auto fabric = open_ucx_fabric(name, limits, options);
    if (!fabric) ADD_FAILURE() << fabric.error().message;
    return std::move(*fabric);
  }
  void open_both(const FabricLimits& limits = {}) {
    a_ = open(node_a, limits);
    b_ = open(node_b, limits);
    ASSERT_TRUE(a_->connect(node_b, b_->address()));
    ASSERT_TRUE(b_->connect(node_a, a_->address()));
  }
  End send(const Payload& payload, TimePoint deadline = soon(), Channel channel = Channel::test) {
    End end;
    a_->send(node_b, channel, payload, deadline, end.done());
    return end;
  }

  LocalHub hub_;
  TwinHub twins_;
  Inbox inbox_;  // outlives the fabrics
  std::unique_ptr<Fabric> a_;
  std::unique_ptr<Fabric> b_;
};

TEST_P(FabricTest, CarriesMessagesOfAllSizes) {
  open_both();
  b_->receive(Channel::test, inbox_.listener());
  const std::vector<std::size_t> sizes = {0, 1, 7, 256, 4096, 8191, 65536, 70001, std::size_t{1} << 20, std::size_t{8} << 20};
  std::vector<End> ends;
  for (const std::size_t size : sizes) ends.push_back(send(payload_of(random_bytes(size, size))));
  ASSERT_TRUE(inbox_.wait(sizes.size()));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    EXPECT_EQ(ends[i].wait_code(), "ok");
    EXPECT_TRUE(inbox_.at(i) == random_bytes(sizes[i], sizes[i])) << sizes[i] << " bytes";
    EXPECT_EQ(inbox_.from(i), node_a);
  }
}

TEST_P(FabricTest, KeepsTheOrderOfAChannel) {
  open_both();
  b_->receive(Channel::expert_work, inbox_.listener());
  constexpr std::uint64_t count = 400;
  Random random(5);
  for (std::uint64_t i = 0; i < count; ++i) {
    // Small ones and large ones, which take different ways.
    std::vector<std::byte> bytes(random.chance(0.1F) ? 300000 : 8 + random.below(2000));
    std::memcpy(bytes.data(), &i, sizeof(i));
    a_->send(node_b, Channel::expert_work, payload_of(bytes), soon(), nullptr);
  }
  ASSERT_TRUE(inbox_.wait(count));
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t number = 0;
    std::memcpy(&number, inbox_.at(i).data(), sizeof(number));
    ASSERT_EQ(number, i);
  }
}

TEST_P(FabricTest, DeliversToWhoListensOnThatChannelOnly) {
  open_both();
  b_->receive(Channel::expert_results, inbox_.listener());
  EXPECT_EQ(send(payload_of(random_bytes(10, 1)), soon(), Channel::expert_work).wait_code(), "ok");
  EXPECT_EQ(send(payload_of(random_bytes(11, 1)), soon(), Channel::expert_results).wait_code(), "ok");
  ASSERT_TRUE(inbox_.wait(1));
  EXPECT_EQ(inbox_.at(0).size(), 11U);
  EXPECT_EQ(inbox_.count(), 1U);
}

TEST_P(FabricTest, AnswersWhomItHasNotConnectedItself) {
  a_ = open(node_a);
  b_ = open(node_b);
  ASSERT_TRUE(a_->connect(node_b, b_->address()));
  b_->receive(Channel::test, inbox_.listener());
  EXPECT_EQ(send(payload_of(random_bytes(100, 1))).wait_code(), "ok");
  EXPECT_TRUE(inbox_.wait(1));
}

TEST_P(FabricTest, GetsAndPutsManyPieces) {
  open_both();
  constexpr std::size_t size = std::size_t{6} << 20;
  Exposed there(*b_, random_bytes(size, 1));
  Exposed here(*a_, random_bytes(size, 2));
  // Disjoint at both ends, of all sizes, in another order here than there.
  Random random(7);
  std::vector<Piece> pieces;
  for (std::uint64_t at = 0; at < size;) {
    const std::uint64_t bytes = std::min<std::uint64_t>(size - at, random.chance(0.02F) ? 1500000 : random.below(30000));
    pieces.push_back({at, size - at - bytes, random.chance(0.5F) ? bytes : bytes / 2});
    at += bytes;
  }
  std::vector<std::byte> expected = *here.memory;
  for (const Piece& piece : pieces) {
    std::memcpy(expected.data() + piece.local_offset, there.memory->data() + piece.remote_offset, piece.bytes);
  }
  End got;
  a_->get(node_b, there.region->remote(), here.region, pieces, soon(), got.done());
  EXPECT_EQ(got.wait_code(), "ok");
  EXPECT_TRUE(*here.memory == expected);

  std::ranges::copy(random_bytes(size, 3), here.memory->begin());
  expected = *there.memory;
  for (const Piece& piece : pieces) {
    std::memcpy(expected.data() + piece.remote_offset, here.memory->data() + piece.local_offset, piece.bytes);
  }
  End put;
  a_->put(node_b, here.region, there.region->remote(), pieces, soon(), put.done());
  EXPECT_EQ(put.wait_code(), "ok");
  EXPECT_TRUE(*there.memory == expected);
}

TEST_P(FabricTest, MovesLargePiecesWhole) {
  open_both();
  constexpr std::size_t size = std::size_t{20} << 20;
  Exposed there(*b_, random_bytes(size, 1));
  Exposed here(*a_, std::vector<std::byte>(size));
  End got;
  a_->get(node_b, there.region->remote(), here.region, {{0, 0, size}}, soon(), got.done());
  EXPECT_EQ(got.wait_code(), "ok");
  EXPECT_TRUE(*here.memory == *there.memory);
}

TEST_P(FabricTest, AnEmptyTransferIsDone) {
  open_both();
  Exposed there(*b_, random_bytes(10, 1));
  Exposed here(*a_, random_bytes(10, 2));
  End none;
  a_->get(node_b, there.region->remote(), here.region, {}, soon(), none.done());
  EXPECT_EQ(none.wait_code(), "ok");
  End empty;
  a_->put(node_b, here.region, there.region->remote(), {{3, 3, 0}, {10, 10, 0}}, soon(), empty.done());
  EXPECT_EQ(empty.wait_code(), "ok");
  EXPECT_TRUE(*there.memory == random_bytes(10, 1));
}

TEST_P(FabricTest, RefusesPiecesOutsideOfTheRegions) {
  open_both();
  Exposed there(*b_, random_bytes(100, 1));
  Exposed here(*a_, random_bytes(50, 2));
  constexpr std::uint64_t most = ~std::uint64_t{0};
  for (const Piece piece : {Piece{0, 0, 51}, Piece{60, 0, 41}, Piece{101, 0, 0}, Piece{0, 51, 0}, Piece{most, 0, 2},
                            Piece{2, 0, most}, Piece{0, most, most}}) {
    End end;
    a_->get(node_b, there.region->remote(), here.region, {{0, 0, 10}, piece}, soon(), end.done());
    EXPECT_EQ(end.wait_code(), "invalid_argument") << piece.remote_offset << " " << piece.local_offset << " " << piece.bytes;
  }
  // Who says that a region is larger than it is finds out from its owner.
  RemoteRegion lie = there.region->remote();
  lie.bytes = 1000;
  End end;
  a_->get(node_b, lie, here.region, {{90, 0, 20}}, soon(), end.done());
  EXPECT_EQ(end.wait_code(), "invalid_argument");
  EXPECT_TRUE(*here.memory == random_bytes(50, 2));
}

TEST_P(FabricTest, RefusesKeysThatNoFabricHasMade) {
  open_both();
  Exposed there(*b_, random_bytes(100, 1));
  Exposed here(*a_, random_bytes(100, 2));
  const std::string key = there.region->remote().key;
  ASSERT_LE(key.size(), RemoteRegion::key_bytes_max);
  for (const std::string& bad : {std::string(), key.substr(0, key.size() / 3), key + std::string(100, 'x'),
                                 std::string(key.size(), '\xff'), std::string(1 << 16, 'k')}) {
    End end;
    a_->put(node_b, here.region, {bad, 100}, {{0, 0, 100}}, soon(), end.done());
    EXPECT_EQ(end.wait_code(), "invalid_argument") << bad.size() << " bytes";
  }
  std::string other = key;
  other.back() = other.back() == '7' ? '8' : '7';
  End end;
  a_->put(node_b, here.region, {other, 100}, {{0, 0, 100}}, soon(), end.done());
  EXPECT_EQ(end.wait_code(), "not_found");
  EXPECT_TRUE(*there.memory == random_bytes(100, 1));
}

TEST_P(FabricTest, ARegionThatWasLetGoIsNotFound) {
  open_both();
  Exposed here(*a_, random_bytes(100, 2));
  auto there = std::make_unique<Exposed>(*b_, random_bytes(100, 1));
  const RemoteRegion remote = there->region->remote();
  std::weak_ptr<std::vector<std::byte>> memory = there->memory;
  there.reset();
  EXPECT_TRUE(memory.expired());
  End end;
  a_->get(node_b, remote, here.region, {{0, 0, 100}}, soon(), end.done());
  EXPECT_EQ(end.wait_code(), "not_found");
}

TEST_P(FabricTest, ATransferHoldsItsRegionUntilItIsDone) {
  open_both();
  constexpr std::size_t size = std::size_t{4} << 20;
  Exposed there(*b_, random_bytes(size, 1));
  auto here = std::make_unique<Exposed>(*a_, std::vector<std::byte>(size));
  const std::weak_ptr<std::vector<std::byte>> memory = here->memory;
  End end;
  a_->get(node_b, there.region->remote(), std::move(here->region), {{0, 0, size}}, soon(), end.done());
  here.reset();
  EXPECT_EQ(end.wait_code(), "ok");
  EXPECT_TRUE(memory.expired());
}

TEST_P(FabricTest, KnowsNobodyThatWasNotConnected) {
  open_both();
  End end;
  a_->send({"nobody"}, Channel::test, payload_of(random_bytes(10, 1)), soon(), end.done());
  EXPECT_EQ(end.wait_code(), "unavailable");
  EXPECT_FALSE(a_->connect(node_a, a_->address()));
}

TEST_P(FabricTest, RefusesAddressesThatNoFabricHasMade) {
  a_ = open(node_a);
  b_ = open(node_b);
  const std::string address = b_->address();
  ASSERT_LE(address.size(), 4096U);
  for (const std::string& bad : {std::string(), std::string("x"), std::string(5000, 'x'), address.substr(0, 5)}) {
    EXPECT_FALSE(a_->connect(node_b, bad)) << bad.size() << " bytes";
  }
}

TEST_P(FabricTest, RefusesMessagesThatAreTooLong) {
  FabricLimits limits;
  limits.message_bytes_max = 1000;
  open_both(limits);
  b_->receive(Channel::test, inbox_.listener());
  EXPECT_EQ(send(payload_of(random_bytes(1001, 1))).wait_code(), "too_large");
  EXPECT_EQ(send(payload_of(random_bytes(1000, 1))).wait_code(), "ok");
  EXPECT_TRUE(inbox_.wait(1));
}

TEST_P(FabricTest, WaitsWhileTheReceiverKeepsTheWindowFull) {
  FabricLimits limits;
  limits.message_bytes_max = 10000;
  limits.window_bytes = 10 * (1000 + message_overhead_bytes);
  open_both(limits);
  b_->receive(Channel::test, inbox_.listener());
  for (int i = 0; i < 25; ++i) send(payload_of(random_bytes(1000, 1)));
  ASSERT_TRUE(inbox_.wait(10));
  EXPECT_FALSE(inbox_.wait(11, milliseconds(20)));
  inbox_.drop();
  ASSERT_TRUE(inbox_.wait(10));
  EXPECT_FALSE(inbox_.wait(11, milliseconds(20)));
  inbox_.drop();
  EXPECT_TRUE(inbox_.wait(5));
}

TEST_P(FabricTest, ALargeMessageGetsThroughAfterSmallOnes) {
  FabricLimits limits;
  limits.message_bytes_max = 100000;
  limits.window_bytes = 100000;
  open_both(limits);
  std::atomic<int> arrived = 0;
  b_->receive(Channel::test, [&](const NodeId&, const Payload&) { ++arrived; });
  std::vector<End> ends;
  for (int i = 0; i < 60; ++i) ends.push_back(send(payload_of(random_bytes(i % 6 == 5 ? 100000 : 700, 1))));
  for (const End& end : ends) EXPECT_EQ(end.wait_code(), "ok");
  b_.reset();
  EXPECT_EQ(arrived, 60);
}

TEST_P(FabricTest, RefusesWhatItHasNoRoomFor) {
  FabricLimits limits;
  limits.message_bytes_max = 1000;
  limits.window_bytes = 1256;
  limits.waiting_max = 5;
  open_both(limits);
  b_->receive(Channel::test, inbox_.listener());
  ASSERT_EQ(send(payload_of(random_bytes(1000, 1))).wait_code(), "ok");  // kept by the inbox: the window is full
  ASSERT_TRUE(inbox_.wait(1));
  std::vector<End> ends;
  for (int i = 0; i < 8; ++i) ends.push_back(send(payload_of(random_bytes(1000, 1))));
  for (int i = 5; i < 8; ++i) EXPECT_EQ(ends[static_cast<std::size_t>(i)].wait_code(), "overloaded");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ends[static_cast<std::size_t>(i)].times(), 0);
}

TEST_P(FabricTest, CancelsAndExpiresWhatWaits) {
  FabricLimits limits;
  limits.message_bytes_max = 1000;
  limits.window_bytes = 1256;
  open_both(limits);
  b_->receive(Channel::test, inbox_.listener());
  ASSERT_EQ(send(payload_of(random_bytes(1000, 1))).wait_code(), "ok");
  ASSERT_TRUE(inbox_.wait(1));
  End cancelled;
  const TransferId id = a_->send(node_b, Channel::test, payload_of(random_bytes(10, 1)), soon(), cancelled.done());
  const End late = send(payload_of(random_bytes(10, 1)), in(milliseconds(5)));
  const End patient = send(payload_of(random_bytes(10, 1)));
  a_->cancel(id);
  a_->cancel(TransferId{12345678});
  EXPECT_EQ(cancelled.wait_code(), "cancelled");
  EXPECT_EQ(late.wait_code(), "deadline_exceeded");
  EXPECT_EQ(patient.times(), 0);
  inbox_.drop();
  EXPECT_EQ(patient.wait_code(), "ok");
  EXPECT_EQ(cancelled.times(), 1);
  EXPECT_EQ(late.times(), 1);
}

TEST_P(FabricTest, TouchesNoMemoryAfterACancelledTransferIsDone) {
  open_both();
  constexpr std::size_t size = std::size_t{2} << 20;
  Exposed there(*b_, std::vector<std::byte>(size, std::byte{1}));
  Exposed here(*a_, std::vector<std::byte>(size));
  for (int round = 0; round < 30; ++round) {
    std::fill(here.memory->begin(), here.memory->end(), std::byte{0});
    End end;
    const TransferId id = a_->get(node_b, there.region->remote(), here.region, {{0, 0, size}}, soon(), end.done());
    if (round % 3 > 0) std::this_thread::sleep_for(std::chrono::microseconds(100 * round));
    a_->cancel(id);
    const std::string code = end.wait_code();
    ASSERT_TRUE(code == "ok" || code == "cancelled") << code;
    std::fill(here.memory->begin(), here.memory->end(), std::byte{2});
    std::this_thread::sleep_for(milliseconds(1));
    ASSERT_TRUE(std::all_of(here.memory->begin(), here.memory->end(), [](std::byte byte) { return byte == std::byte{2}; }));
    ASSERT_EQ(end.times(), 1);
  }
}

TEST_P(FabricTest, EndsWithTransfersUnderWay) {
  // UCX 1.13 may touch what it has freed when a TCP connection ends while a socket takes no more of what is to be written.
  const std::size_t size = GetParam() == "ucx_tcp" ? std::size_t{256} << 10 : std::size_t{8} << 20;
  for (const bool ours : {true, false}) {
    open_both();
    b_->receive(Channel::test, inbox_.listener());
    Exposed there(*b_, random_bytes(size, 1));
    Exposed here(*a_, random_bytes(size, 2));
    std::vector<End> ends(30);
    for (std::size_t i = 0; i < ends.size(); i += 3) {
      a_->get(node_b, there.region->remote(), here.region, {{0, 0, size}}, soon(), ends[i].done());
      a_->put(node_b, here.region, there.region->remote(), {{0, 0, size}}, soon(), ends[i + 1].done());
      a_->send(node_b, Channel::test, payload_of(random_bytes(100, 3)), soon(), ends[i + 2].done());
    }
    (ours ? a_ : b_).reset();
    for (const End& end : ends) {
      const std::string code = end.wait_code();
      EXPECT_TRUE(code == "ok" || code == (ours ? "cancelled" : "unavailable")) << code;
      EXPECT_EQ(end.times(), 1);
    }
    a_.reset();
    b_.reset();
    inbox_.drop();
  }
}

TEST_P(FabricTest, MayBeUsedByWhatItCalls) {
  open_both();
  // Each passes a number back and forth, from within the calls.
  std::promise<int> last;
  const auto play = [&](Fabric& fabric, const NodeId& other) {
    fabric.receive(Channel::test, [&fabric, &last, other](const NodeId&, const Payload& message) {
      int number = 0;
      std::memcpy(&number, message.bytes.data(), sizeof(number));
      if (number == 100) return last.set_value(number);
      ++number;
      fabric.send(other, Channel::test, payload_of(std::as_bytes(std::span(&number, 1))), soon(), nullptr);
    });
  };
  play(*a_, node_b);
  play(*b_, node_a);
  const int first = 0;
  send(payload_of(std::as_bytes(std::span(&first, 1))));
  auto future = last.get_future();
  ASSERT_EQ(future.wait_for(seconds(20)), std::future_status::ready);
  EXPECT_EQ(future.get(), 100);
}

TEST_P(FabricTest, ForgetsWhomItDisconnectsAndMeetsThemAgain) {
  FabricLimits limits;
  limits.message_bytes_max = 1000;
  limits.window_bytes = 1256;
  open_both(limits);
  b_->receive(Channel::test, inbox_.listener());
  ASSERT_EQ(send(payload_of(random_bytes(1000, 1))).wait_code(), "ok");
  ASSERT_TRUE(inbox_.wait(1));
  const End waiting = send(payload_of(random_bytes(10, 1)));
  a_->disconnect(node_b);
  EXPECT_EQ(waiting.wait_code(), "unavailable");
  EXPECT_EQ(send(payload_of(random_bytes(10, 1))).wait_code(), "unavailable");
  inbox_.drop();
  ASSERT_TRUE(a_->connect(node_b, b_->address()));
  EXPECT_EQ(send(payload_of(random_bytes(20, 1))).wait_code(), "ok");
  ASSERT_TRUE(inbox_.wait(1));
  EXPECT_EQ(inbox_.at(0).size(), 20U);
}

TEST_P(FabricTest, TellsOfAPeerThatEnds) {
  open_both();
  Losses losses(*a_);
  b_->receive(Channel::test, inbox_.listener());
  ASSERT_EQ(send(payload_of(random_bytes(1000, 1))).wait_code(), "ok");
  ASSERT_TRUE(inbox_.wait(1));
  b_.reset();
  EXPECT_EQ(losses.wait(), node_b);
  EXPECT_EQ(send(payload_of(random_bytes(10, 1))).wait_code(), "unavailable");
  // Its next life has another address.
  inbox_.drop();
  b_ = open(node_b);
  b_->receive(Channel::test, inbox_.listener());
  ASSERT_TRUE(a_->connect(node_b, b_->address()));
  EXPECT_EQ(send(payload_of(random_bytes(10, 1))).wait_code(), "ok");
  EXPECT_TRUE(inbox_.wait(1));
}

TEST_P(FabricTest, APayloadOutlivesItsFabric) {
  open_both();
  b_->receive(Channel::test, inbox_.listener());
  send(payload_of(random_bytes(100000, 1)));
  ASSERT_TRUE(inbox_.wait(1));
  b_.reset();
  a_.reset();
  EXPECT_TRUE(inbox_.at(0) == random_bytes(100000, 1));
}

TEST_P(FabricTest, BoundsItsPeers) {
  FabricLimits limits;
  limits.peers_max = 1;
  open_both(limits);
  const auto more = a_->connect({"c"}, b_->address());
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, ErrorCode::overloaded);
}

INSTANTIATE_TEST_SUITE_P(Over, FabricTest, testing::Values("local", "ucx", "ucx_tcp", "device"),
                         [](const auto& which) { return which.param; });

}  // namespace
}  // namespace troupe::cluster
