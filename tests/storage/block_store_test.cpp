#include "storage/block_store.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <vector>

#include "base/random.hpp"
#include "storage/rocks_block_disk.hpp"
#include "tests/support/full_disk.hpp"
#include "tests/support/memory_block_disk.hpp"

namespace troupe::storage {
namespace {

using policy::BlockId;
using tests::MemoryBlockDisk;

constexpr std::size_t block_bytes = 256;

BlockId block_id(std::uint32_t number) {
  BlockId id;
  for (std::size_t i = 0; i < 4; ++i) id.bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
  id.bytes[15] = 1;
  return id;
}

std::vector<std::byte> payload_of(std::uint32_t number) {
  Random random(number);
  std::vector<std::byte> payload(block_bytes);
  for (std::byte& byte : payload) byte = static_cast<std::byte>(random.below(256));
  return payload;
}

std::vector<BlockId> chain(std::uint32_t first, std::uint32_t count) {
  std::vector<BlockId> ids;
  for (std::uint32_t i = 0; i < count; ++i) ids.push_back(block_id(first + i));
  return ids;
}

void keep(BlockStore& store, std::uint32_t number) {
  const auto payload = payload_of(number);
  store.keep(block_id(number), engine::block_checksum(block_id(number), payload), payload);
}

struct Got {
  std::vector<std::uint64_t> checksums;
  std::vector<std::vector<std::byte>> payloads;
};

Got read(BlockStore& store, const std::vector<BlockId>& ids) {
  Got got;
  got.payloads.assign(ids.size(), std::vector<std::byte>(block_bytes));
  std::vector<std::span<std::byte>> targets(got.payloads.begin(), got.payloads.end());
  std::promise<std::vector<std::uint64_t>> promise;
  store.read(ids, targets, [&](std::vector<std::uint64_t> checksums) { promise.set_value(std::move(checksums)); });
  got.checksums = promise.get_future().get();
  return got;
}

/// Work is done at once, so that tests see what is where.
BlockStore::Run at_once() {
  return [](const std::function<void()>& work) { work(); };
}

TEST(BlockStore, GivesBackWhatItWasGiven) {
  BlockStore store({.host_bytes = 10 * block_bytes}, nullptr);
  for (std::uint32_t i = 0; i < 3; ++i) keep(store, i);
  EXPECT_EQ(store.count(chain(0, 5)), 3U);
  EXPECT_EQ(store.count(chain(7, 5)), 0U);
  const Got got = read(store, chain(0, 5));
  ASSERT_EQ(got.checksums.size(), 3U) << "as far as it goes";
  for (std::uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(got.payloads[i], payload_of(i));
    EXPECT_EQ(got.checksums[i], engine::block_checksum(block_id(i), payload_of(i)));
  }
  EXPECT_EQ(store.counters().host_bytes, 3 * block_bytes);
  EXPECT_EQ(store.counters().served, 3U);
}

TEST(BlockStore, WhatHostMemoryHasNoRoomForGoesToTheDisk) {
  auto disk = std::make_unique<MemoryBlockDisk>();
  const MemoryBlockDisk& beneath = *disk;
  BlockStore store({.host_bytes = 3 * block_bytes + 5, .disk_bytes = 4 * block_bytes}, std::move(disk), at_once());
  for (std::uint32_t i = 0; i < 5; ++i) keep(store, i);
  EXPECT_EQ(beneath.blocks(), 2U);
  EXPECT_EQ(store.counters().host_bytes, 3 * block_bytes);
  EXPECT_EQ(store.counters().disk_bytes, 2 * block_bytes);
  const Got got = read(store, chain(0, 5));
  ASSERT_EQ(got.checksums.size(), 5U);
  for (std::uint32_t i = 0; i < 5; ++i) EXPECT_EQ(got.payloads[i], payload_of(i));

  for (std::uint32_t i = 5; i < 20; ++i) keep(store, i);
  EXPECT_EQ(store.counters().host_bytes, 3 * block_bytes);
  EXPECT_EQ(store.counters().disk_bytes, 4 * block_bytes) << "both levels keep to their budgets";
  EXPECT_EQ(store.count(chain(0, 1)), 0U) << "the oldest is gone";
  EXPECT_EQ(store.count(chain(13, 7)), 7U);
}

TEST(BlockStore, WhatWasUsedLatelyStaysInMemory) {
  BlockStore store({.host_bytes = 3 * block_bytes}, nullptr, at_once());
  for (std::uint32_t i = 0; i < 3; ++i) keep(store, i);
  read(store, chain(0, 1));
  keep(store, 7);
  EXPECT_EQ(store.count(chain(0, 1)), 1U);
  EXPECT_EQ(store.count(chain(1, 1)), 0U);
}

TEST(BlockStore, WithoutMemoryItKeepsBlocksOnTheDiskAndWithoutEitherNone) {
  auto disk = std::make_unique<MemoryBlockDisk>();
  BlockStore only_disk({.host_bytes = 0, .disk_bytes = 4 * block_bytes}, std::move(disk), at_once());
  keep(only_disk, 1);
  EXPECT_EQ(read(only_disk, chain(1, 1)).payloads[0], payload_of(1));
  BlockStore nothing({.host_bytes = 0, .disk_bytes = 0}, std::make_unique<MemoryBlockDisk>(), at_once());
  keep(nothing, 1);
  EXPECT_EQ(nothing.count(chain(1, 1)), 0U);
  EXPECT_TRUE(read(nothing, chain(1, 1)).checksums.empty());
}

TEST(BlockStore, ADiskThatFailsIsMissedAndNothingElse) {
  auto disk = std::make_unique<MemoryBlockDisk>();
  MemoryBlockDisk& beneath = *disk;
  BlockStore store({.host_bytes = block_bytes, .disk_bytes = 100 * block_bytes}, std::move(disk), at_once());
  keep(store, 0);
  keep(store, 1);
  beneath.fail(true);
  keep(store, 2);  // 1 cannot be written
  EXPECT_EQ(store.counters().failed, 1U);
  EXPECT_TRUE(read(store, chain(0, 1)).checksums.empty());
  EXPECT_EQ(store.count(chain(0, 1)), 0U) << "what could not be read is not promised again";
  EXPECT_EQ(read(store, chain(2, 1)).checksums.size(), 1U);
  beneath.fail(false);
  keep(store, 3);
  EXPECT_EQ(read(store, chain(2, 1)).checksums.size(), 1U);
}

TEST(BlockStore, ForgetsWhatTurnedOutToBeWrong) {
  auto disk = std::make_unique<MemoryBlockDisk>();
  MemoryBlockDisk& beneath = *disk;
  beneath.spoil([](const BlockId&, std::vector<std::byte>& payload) { payload[3] ^= std::byte{1}; });
  BlockStore store({.host_bytes = block_bytes, .disk_bytes = 100 * block_bytes}, std::move(disk), at_once());
  keep(store, 0);
  keep(store, 1);
  const Got got = read(store, chain(0, 2));
  ASSERT_EQ(got.checksums.size(), 2U);
  EXPECT_NE(engine::block_checksum(block_id(0), got.payloads[0]), got.checksums[0]) << "the checksum tells";
  EXPECT_EQ(engine::block_checksum(block_id(1), got.payloads[1]), got.checksums[1]);
  store.drop_wrong(chain(0, 1));
  EXPECT_EQ(store.count(chain(0, 1)), 0U);
  EXPECT_EQ(beneath.blocks(), 0U);
  EXPECT_EQ(store.counters().wrong, 1U);
}

TEST(BlockStore, BlocksOfAnotherLengthAreNotThere) {
  BlockStore store({.host_bytes = 100 * block_bytes}, nullptr, at_once());
  const std::vector<std::byte> shorter(block_bytes / 2);
  store.keep(block_id(1), 0, shorter);
  EXPECT_TRUE(read(store, chain(1, 1)).checksums.empty());
}

TEST(BlockStore, WorksOnAThreadOfItsOwn) {
  auto disk = std::make_unique<MemoryBlockDisk>();
  BlockStore store({.host_bytes = 2 * block_bytes, .disk_bytes = 1000 * block_bytes}, std::move(disk));
  for (std::uint32_t i = 0; i < 200; ++i) keep(store, i);
  const Got got = read(store, chain(0, 200));
  ASSERT_EQ(got.checksums.size(), 200U) << "what is on its way to the disk is found too";
  for (std::uint32_t i = 0; i < 200; ++i) EXPECT_EQ(got.payloads[i], payload_of(i));
}

class RocksBlocks : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("troupe_blocks_" + std::to_string(::getpid()));
    std::filesystem::remove_all(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<RocksBlockDisk> open(std::size_t bytes = std::size_t{64} << 20) {
    auto disk = RocksBlockDisk::open(folder_, bytes);
    EXPECT_TRUE(disk) << disk.error().message;
    return *std::move(disk);
  }
  std::uint64_t bytes_on_disk() const {
    std::uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_)) {
      if (entry.is_regular_file()) bytes += entry.file_size();
    }
    return bytes;
  }
  std::filesystem::path folder_;
};

TEST_F(RocksBlocks, AreThereAfterARestart) {
  {
    BlockStore store({.host_bytes = 0, .disk_bytes = std::size_t{64} << 20}, open());
    for (std::uint32_t i = 0; i < 20; ++i) keep(store, i);
  }
  BlockStore store({.host_bytes = 0, .disk_bytes = std::size_t{64} << 20}, open());
  read(store, {});  // what was asked for before it, the index, is there now
  EXPECT_EQ(store.count(chain(0, 30)), 20U);
  const Got got = read(store, chain(0, 20));
  ASSERT_EQ(got.checksums.size(), 20U);
  for (std::uint32_t i = 0; i < 20; ++i) EXPECT_EQ(got.payloads[i], payload_of(i));
  store.drop_wrong(chain(0, 1));
  read(store, {});
  EXPECT_EQ(store.count(chain(0, 1)), 0U);
}

TEST_F(RocksBlocks, KeepNearTheirBudget) {
  constexpr std::size_t budget = std::size_t{32} << 20;
  const auto disk = open(budget);
  std::vector<std::byte> payload(std::size_t{256} << 10);
  for (std::uint32_t i = 0; i < 600; ++i) {
    payload[0] = static_cast<std::byte>(i);
    ASSERT_TRUE(disk->put(block_id(i), i, payload));
  }
  EXPECT_LT(bytes_on_disk(), budget * 2) << "150 MiB were written";
  std::vector<std::byte> back(payload.size());
  EXPECT_EQ(disk->get(block_id(599), back).value(), 599U);
  EXPECT_EQ(back, payload);
}

TEST_F(RocksBlocks, OutliveAFullDisk) {
  const std::vector<std::byte> payload(std::size_t{256} << 10);
  {
    const auto disk = open();
    const tests::FullDisk full(std::size_t{1} << 20);
    bool refused = false;
    for (std::uint32_t i = 0; i < 400 && !refused; ++i) refused = !disk->put(block_id(i), i, payload);
    EXPECT_TRUE(refused) << "100 MiB do not fit into memory, nor into files of 1 MiB";
    EXPECT_FALSE(disk->put(block_id(1000), 1, payload));
  }
  const auto disk = open();
  EXPECT_TRUE(disk->put(block_id(1), 1, payload));
  std::vector<std::byte> back(payload.size());
  EXPECT_EQ(disk->get(block_id(1), back).value(), 1U);
}

TEST_F(RocksBlocks, RefuseABudgetThatIsNoneAndAFolderThatIsAFile) {
  EXPECT_EQ(RocksBlockDisk::open(folder_, 1000).error().code, ErrorCode::out_of_range);
  std::vector<std::byte> wrong(3);
  const auto disk = open();
  ASSERT_TRUE(disk->put(block_id(1), 7, payload_of(1)));
  EXPECT_EQ(disk->get(block_id(1), wrong).error().code, ErrorCode::corrupt);
  EXPECT_FALSE(disk->get(block_id(2), wrong).value());
}

}  // namespace
}  // namespace troupe::storage
