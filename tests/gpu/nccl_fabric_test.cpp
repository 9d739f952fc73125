// The fabric over NCCL between processes that share one GPU, some of which are killed. Without a GPU, or without NCCL, each
// test says so and is skipped. tests/cluster/device_pair_test.cpp has the protocol, without either.
#include "cluster/nccl_fabric.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "bench/cuda_memory.hpp"
#include "cluster/ucx_fabric.hpp"
#include "tests/cluster/fabric_ends.hpp"
#include "tests/gpu/gpu_peer.hpp"

namespace troupe::cluster {
namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;
const NodeId first_name{"first"};
const NodeId second_name{"second"};

class FabricOverNccl : public testing::Test {
 protected:
  void SetUp() override {
    ::setenv("NCCL_HOSTID", "troupe-test-caller", 1);
    auto control = open_ucx_fabric(caller_name);
    ASSERT_TRUE(control) << control.error().message;
    auto fabric = open_nccl_fabric(caller_name, {}, {}, std::move(*control));
    if (!fabric) GTEST_SKIP() << fabric.error().message;
    own_ = std::move(*fabric);
    memory_ = *bench::CudaMemory::allocate(gpu_region_bytes);
    ASSERT_TRUE(memory_->write(0, gpu_pattern(gpu_region_bytes, 1)));
    auto region = own_->expose(memory_->memory(), memory_);
    ASSERT_TRUE(region) << region.error().message;
    region_ = *region;
    own_->receive(Channel::test, answers_.listener());
    own_->receive(Channel::expert_results, results_.listener());
  }
  void meet(const NodeId& name, const GpuPeer& peer) {
    ASSERT_TRUE(peer.started());
    ASSERT_TRUE(own_->connect(name, peer.address));
  }
  End get(const NodeId& name, const GpuPeer& peer, std::vector<Piece> pieces = {{0, 0, gpu_region_bytes}},
          TimePoint until = soon()) {
    End end;
    last_ = own_->get(name, peer.region, region_, std::move(pieces), until, end.done());
    return end;
  }
  End put(const NodeId& name, const GpuPeer& peer, std::vector<Piece> pieces = {{0, 0, gpu_region_bytes}},
          TimePoint until = soon()) {
    End end;
    last_ = own_->put(name, region_, peer.region, std::move(pieces), until, end.done());
    return end;
  }
  void tell(const NodeId& name, const GpuCommand& command) {
    own_->send(name, Channel::test, payload_of(std::as_bytes(std::span(&command, 1))), soon(), nullptr);
  }
  std::vector<std::byte> read_peer(const NodeId& name, std::uint64_t offset, std::uint64_t bytes) {
    const std::size_t before = answers_.count();
    GpuCommand command;
    command.kind = GpuCommand::Kind::read;
    command.offset = offset;
    command.bytes = bytes;
    tell(name, command);
    if (!answers_.wait(before + 1)) return {};
    return answers_.at(before);
  }
  GpuCommand get_from_us() const {
    GpuCommand command;
    const RemoteRegion remote = region_->remote();
    command.key_bytes = static_cast<std::uint32_t>(remote.key.size());
    std::memcpy(command.key, remote.key.data(), remote.key.size());
    return command;
  }
  std::vector<std::byte> own_bytes(std::size_t offset = 0, std::size_t bytes = gpu_region_bytes) {
    std::vector<std::byte> read(bytes);
    EXPECT_TRUE(memory_->read(offset, read));
    return read;
  }
  static std::string text_of(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  Inbox answers_;  // outlive the fabric
  Inbox results_;
  std::shared_ptr<bench::CudaMemory> memory_;
  RegionPtr region_;
  std::unique_ptr<Fabric> own_;
  TransferId last_;
};

TEST_F(FabricOverNccl, TwoProcessesOfOneGpuMoveItsMemory) {
  GpuPeer peer(first_name, 2);
  meet(first_name, peer);
  EXPECT_EQ(own_->transport(), "nccl");
  ASSERT_EQ(get(first_name, peer).wait_code(), "ok");
  EXPECT_TRUE(own_bytes() == gpu_pattern(gpu_region_bytes, 2));
  ASSERT_TRUE(memory_->write(0, gpu_pattern(gpu_region_bytes, 3)));
  ASSERT_EQ(put(first_name, peer).wait_code(), "ok");
  EXPECT_TRUE(read_peer(first_name, 0, gpu_region_bytes) == gpu_pattern(gpu_region_bytes, 3));
  EXPECT_EQ(peer.end(), 0);
}

TEST_F(FabricOverNccl, BringsKvBlocksLayerByLayer) {
  GpuPeer peer(first_name, 2);
  meet(first_name, peer);
  // Blocks of 16 layers of 32 KiB from a pool to other places of another: one transfer for each layer of all blocks.
  constexpr std::uint64_t layer_bytes = 32768;
  constexpr std::uint64_t layers = 16;
  constexpr std::uint64_t blocks = gpu_region_bytes / (layers * layer_bytes);
  const auto there = gpu_pattern(gpu_region_bytes, 2);
  auto expected = gpu_pattern(gpu_region_bytes, 1);
  std::vector<End> ends;
  for (std::uint64_t layer = 0; layer < layers; ++layer) {
    std::vector<Piece> pieces;
    for (std::uint64_t block = 0; block < blocks / 2; ++block) {
      const std::uint64_t from = ((block * 13 + 5) % blocks * layers + layer) * layer_bytes;
      const std::uint64_t to = ((block * 7 + 3) % blocks * layers + layer) * layer_bytes;
      pieces.push_back({from, to, layer_bytes});
      std::memcpy(expected.data() + to, there.data() + from, layer_bytes);
    }
    ends.push_back(get(first_name, peer, std::move(pieces)));
  }
  for (const End& end : ends) EXPECT_EQ(end.wait_code(), "ok");
  EXPECT_TRUE(own_bytes() == expected);
}

TEST_F(FabricOverNccl, CarriesExpertActivationsBetweenDevicesAndMessagesBeside) {
  GpuPeer peer(first_name, 2);
  meet(first_name, peer);
  // Rows of activations for an expert over there, gathered from where they stand; the message says where they went.
  constexpr std::uint64_t row_bytes = 2048 * sizeof(float);
  std::vector<Piece> rows;
  const auto here = gpu_pattern(gpu_region_bytes, 1);
  std::vector<std::byte> expected;
  for (const std::uint64_t row : {3U, 17U, 18U, 400U, 999U}) {
    rows.push_back({rows.size() * row_bytes, row * row_bytes, row_bytes});
    expected.insert(expected.end(), here.begin() + static_cast<std::ptrdiff_t>(row * row_bytes),
                    here.begin() + static_cast<std::ptrdiff_t>((row + 1) * row_bytes));
  }
  ASSERT_EQ(put(first_name, peer, rows).wait_code(), "ok");
  EXPECT_TRUE(read_peer(first_name, 0, expected.size()) == expected);
  own_->send(first_name, Channel::expert_work, payload_of(expected), soon(), nullptr);
  ASSERT_TRUE(results_.wait(1));
  EXPECT_TRUE(results_.at(0) == expected);
}

TEST_F(FabricOverNccl, BothMayMoveEverythingAtOnce) {
  GpuPeer peer(first_name, 2);
  GpuPeer other(second_name, 4);
  meet(first_name, peer);
  meet(second_name, other);
  auto target = *bench::CudaMemory::allocate(gpu_region_bytes);
  const RegionPtr into = *own_->expose(target->memory(), target);
  std::vector<End> ends(40);
  const auto piece = [](std::size_t i) { return Piece{i / 2 * mebibyte, i * (mebibyte / 2 + 64), mebibyte / 2 + i}; };
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const bool first = i % 2 == 0;
    own_->get(first ? first_name : second_name, (first ? peer : other).region, into, {piece(i)}, soon(), ends[i].done());
    if (i % 8 == 0) tell(first_name, get_from_us());
    if (i % 8 == 1) tell(second_name, get_from_us());
  }
  for (const End& end : ends) EXPECT_EQ(end.wait_code(), "ok");
  ASSERT_TRUE(answers_.wait(10));
  for (std::size_t i = 0; i < 10; ++i) EXPECT_EQ(text_of(answers_.at(i)), "right");
  const std::array patterns{gpu_pattern(gpu_region_bytes, 2), gpu_pattern(gpu_region_bytes, 4)};
  for (std::size_t i = 0; i < ends.size(); ++i) {
    std::vector<std::byte> arrived(piece(i).bytes);
    ASSERT_TRUE(target->read(piece(i).local_offset, arrived));
    const auto right = patterns[i % 2].begin() + static_cast<std::ptrdiff_t>(piece(i).remote_offset);
    EXPECT_TRUE(std::equal(arrived.begin(), arrived.end(), right)) << "transfer " << i;
  }
}

TEST_F(FabricOverNccl, ManySmallTransfersAllArrive) {
  GpuPeer peer(first_name, 2);
  meet(first_name, peer);
  const auto there = gpu_pattern(gpu_region_bytes, 2);
  auto expected = gpu_pattern(gpu_region_bytes, 1);
  Random random(11);
  std::vector<End> ends;
  for (std::uint64_t i = 0; i < 500; ++i) {
    const std::uint64_t bytes = 1 + random.below(30000);
    const std::uint64_t from = random.below(gpu_region_bytes - bytes);
    std::memcpy(expected.data() + i * 30000, there.data() + from, bytes);
    ends.push_back(get(first_name, peer, {{from, i * 30000, bytes}}));
  }
  for (const End& end : ends) EXPECT_EQ(end.wait_code(), "ok");
  EXPECT_TRUE(own_bytes() == expected);
}

TEST_F(FabricOverNccl, RefusesWhatNobodyExposes) {
  GpuPeer peer(first_name, 2);
  meet(first_name, peer);
  RemoteRegion wrong = peer.region;
  wrong.key.back() = static_cast<char>(wrong.key.back() ^ 1);
  End unknown;
  own_->get(first_name, wrong, region_, {{0, 0, 1000}}, soon(), unknown.done());
  EXPECT_EQ(unknown.wait_code(), "not_found");
  RemoteRegion larger = peer.region;
  larger.bytes *= 2;
  End outside;
  own_->get(first_name, larger, region_, {{gpu_region_bytes - 10, 0, 11}}, soon(), outside.done());
  EXPECT_EQ(outside.wait_code(), "invalid_argument");
  std::vector<std::byte> host(1000);
  const auto of_host = own_->expose(host, nullptr);
  ASSERT_TRUE(of_host);
  End mixed;
  own_->get(first_name, peer.region, *of_host, {{0, 0, 1000}}, soon(), mixed.done());
  EXPECT_EQ(mixed.wait_code(), "invalid_argument");
  EXPECT_EQ(get(first_name, peer).wait_code(), "ok");
}

TEST_F(FabricOverNccl, NoticesAPeerKilledInMidTransferAndGoesOnWithAnother) {
  GpuPeer other(second_name, 4);
  meet(second_name, other);
  ASSERT_EQ(get(second_name, other).wait_code(), "ok");
  for (int round = 0; round < 4; ++round) {
    Losses losses(*own_);
    GpuPeer peer(first_name, 2);
    meet(first_name, peer);
    // From while the communicator is made to the middle of it all.
    if (round > 0) {
      ASSERT_EQ(get(first_name, peer).wait_code(), "ok");
    }
    std::vector<End> ends;
    for (int i = 0; i < 10; ++i) {
      ends.push_back(get(first_name, peer));
      ends.push_back(put(first_name, peer));
    }
    std::this_thread::sleep_for(milliseconds(round == 0 ? 100 : 10 * round));
    const TimePoint killed = SystemClock().now();
    peer.kill();
    EXPECT_EQ(losses.wait(), first_name);
    for (const End& end : ends) {
      const std::string code = end.wait_code();
      EXPECT_TRUE(code == "ok" || code == "unavailable") << code;
    }
    const Duration took = SystemClock().now() - killed;
    EXPECT_LT(took, seconds(2));
    std::printf("round %d: noticed, and all memory let go, after %.0f ms\n", round,
                std::chrono::duration<double, std::milli>(took).count());
    EXPECT_EQ(get(first_name, peer).wait_code(), "unavailable");
    EXPECT_EQ(get(second_name, other, {{0, 0, mebibyte}}).wait_code(), "ok");
  }
  EXPECT_TRUE(own_bytes(0, mebibyte) == gpu_pattern(mebibyte, 4));
}

TEST_F(FabricOverNccl, TheOthersTransfersGoOnWhileAPeerDies) {
  GpuPeer other(second_name, 4);
  meet(second_name, other);
  ASSERT_EQ(get(second_name, other).wait_code(), "ok");
  GpuPeer peer(first_name, 2);
  meet(first_name, peer);
  ASSERT_EQ(get(first_name, peer).wait_code(), "ok");
  std::vector<End> dying;
  std::vector<End> living;
  for (int i = 0; i < 10; ++i) {
    dying.push_back(get(first_name, peer, {{0, 0, gpu_region_bytes / 2}}));
    living.push_back(get(second_name, other, {{gpu_region_bytes / 2, gpu_region_bytes / 2, gpu_region_bytes / 2}}));
  }
  peer.kill();
  for (const End& end : living) EXPECT_EQ(end.wait_code(), "ok");
  for (const End& end : dying) end.wait_code();
  const auto expected = gpu_pattern(gpu_region_bytes, 4);
  EXPECT_TRUE(std::ranges::equal(own_bytes(gpu_region_bytes / 2, gpu_region_bytes / 2),
                                 std::span(expected).subspan(gpu_region_bytes / 2)));
}

TEST_F(FabricOverNccl, ACancelledTransferLetsGoOfItsMemory) {
  GpuPeer peer(first_name, 2);
  meet(first_name, peer);
  ASSERT_EQ(get(first_name, peer).wait_code(), "ok");
  const std::vector<std::byte> marked(gpu_region_bytes, std::byte{0x55});
  for (int round = 0; round < 8; ++round) {
    const End end = get(first_name, peer);
    std::this_thread::sleep_for(milliseconds(2 * round));
    own_->cancel(last_);
    const std::string code = end.wait_code();
    ASSERT_TRUE(code == "ok" || code == "cancelled") << code;
    ASSERT_TRUE(memory_->write(0, marked));
    std::this_thread::sleep_for(milliseconds(20));
    ASSERT_TRUE(own_bytes() == marked);
  }
  EXPECT_EQ(get(first_name, peer).wait_code(), "ok");
}

TEST_F(FabricOverNccl, ADeadlineEndsWhatAStoppedPeerHoldsUp) {
  GpuPeer peer(first_name, 2);
  meet(first_name, peer);
  ASSERT_EQ(get(first_name, peer).wait_code(), "ok");
  std::vector<End> before;
  for (int i = 0; i < 8; ++i) before.push_back(get(first_name, peer, {{0, 0, gpu_region_bytes}}, in(milliseconds(200))));
  peer.signal(SIGSTOP);
  const TimePoint stopped = SystemClock().now();
  const End after = get(first_name, peer, {{0, 0, mebibyte}}, in(milliseconds(100)));
  EXPECT_EQ(after.wait_code(), "deadline_exceeded");
  for (const End& end : before) {
    const std::string code = end.wait_code();
    EXPECT_TRUE(code == "ok" || code == "deadline_exceeded" || code == "unavailable") << code;
  }
  EXPECT_LT(SystemClock().now() - stopped, seconds(5));
  const std::vector<std::byte> marked(gpu_region_bytes, std::byte{0x66});
  ASSERT_TRUE(memory_->write(0, marked));
  peer.signal(SIGCONT);
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_TRUE(own_bytes() == marked) << "a peer that goes on moved what was over";
  // It may have been given up meanwhile; then it is met again.
  std::string code;
  for (int tries = 0; tries < 5 && code != "ok"; ++tries) {
    if (tries > 0) std::this_thread::sleep_for(milliseconds(500));
    (void)own_->connect(first_name, peer.address);
    code = get(first_name, peer).wait_code();
  }
  EXPECT_EQ(code, "ok");
}

TEST_F(FabricOverNccl, APeerThatComesBackIsMetAgain) {
  for (std::uint64_t life = 2; life < 5; ++life) {
    GpuPeer peer(first_name, life);
    meet(first_name, peer);
    ASSERT_EQ(get(first_name, peer).wait_code(), "ok");
    EXPECT_TRUE(own_bytes() == gpu_pattern(gpu_region_bytes, life));
    if (life == 2) continue;  // killed by its end
    EXPECT_EQ(peer.end(), 0);
  }
}

TEST_F(FabricOverNccl, EndsWithTransfersUnderWay) {
  GpuPeer peer(first_name, 2);
  meet(first_name, peer);
  ASSERT_EQ(get(first_name, peer).wait_code(), "ok");
  std::vector<End> ends;
  for (int i = 0; i < 10; ++i) ends.push_back(get(first_name, peer));
  std::this_thread::sleep_for(milliseconds(10));
  own_.reset();
  for (const End& end : ends) {
    ASSERT_EQ(end.times(), 1);
    const std::string code = end.wait_code();
    EXPECT_TRUE(code == "ok" || code == "cancelled") << code;
  }
  EXPECT_EQ(peer.end(), 0);
}

}  // namespace
}  // namespace troupe::cluster
