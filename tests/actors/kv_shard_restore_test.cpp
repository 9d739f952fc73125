// How a KV shard brings back what its pools have evicted, from the store below them.
#include <gtest/gtest.h>

#include "tests/actors/shards.hpp"
#include "tests/support/memory_block_disk.hpp"

namespace troupe::actors {
namespace {

class KvRestoring : public Shards {
 protected:
  /// A node with a store below its pool, into which prompt(4) was evicted.
  void make(const storage::BlockStoreLimits& limits = {}, Duration takes = {}, const PoolOptions& pool = {}) {
    auto disk = std::make_unique<tests::MemoryBlockDisk>();
    if (limits.disk_bytes > 0) disk_ = disk.get();
    storage::BlockStore::Run run = [](const std::function<void()>& work) { work(); };
    if (takes > Duration::zero()) {
      run = [this, takes](std::function<void()> work) { world_.schedule(takes, std::move(work)); };
    }
    store_ = std::make_shared<storage::BlockStore>(limits, std::move(disk), std::move(run));
    b_ = &add("b", {pool}, store_);
    publish();
    b_->replica().compute(prompt(4));
    b_->replica().evict_all();
    pass(milliseconds(200));
    ASSERT_EQ(b_->replica().here(prompt(1)), 0U);
    ASSERT_EQ(store_->count(b_->replica().chain(prompt(4))), 4U);
  }
  static storage::BlockStoreLimits only_disk() { return {.host_bytes = 0, .disk_bytes = 1 << 20}; }

  Node* b_ = nullptr;
  std::shared_ptr<storage::BlockStore> store_;
  tests::MemoryBlockDisk* disk_ = nullptr;
};

TEST_F(KvRestoring, BringsBackWhatWasEvicted) {
  make();
  EXPECT_EQ(fetch(*b_, prompt(4)), 4U);
  EXPECT_EQ(b_->replica().here(prompt(4)), 4U);
  EXPECT_EQ(b_->traffic().restored_blocks, 4U);
  EXPECT_EQ(b_->traffic().fetched_blocks, 0U);
  EXPECT_GE(b_->traffic().host_bytes, 4 * block_bytes);
  EXPECT_EQ(b_->replica().pool().held(), 0);
}

TEST_F(KvRestoring, HasWrongBlocksDroppedBelow) {
  make(only_disk());
  const auto chain = b_->replica().chain(prompt(4));
  disk_->spoil([&](const policy::BlockId& id, std::vector<std::byte>& payload) {
    if (id == chain[1]) payload[3] ^= std::byte{1};
  });
  for (const auto& id : chain) {
    const auto contents = b_->replica().contents_of(id);
    ASSERT_TRUE(disk_->put(id, engine::block_checksum(id, contents), contents));
  }
  EXPECT_EQ(fetch(*b_, prompt(4)), 1U);
  EXPECT_EQ(b_->replica().here(prompt(4)), 1U);
  EXPECT_EQ(b_->traffic().wrong_blocks, 1U);
  EXPECT_EQ(b_->traffic().restored_blocks, 3U);
  EXPECT_EQ(store_->count(std::span(chain).subspan(1)), 0U);
  pass(milliseconds(200));
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  EXPECT_EQ(b_->traffic().wrong_blocks, 1U) << "they are not read again";
}

TEST_F(KvRestoring, TakesFewerBlocksThanTheDiskHadPromised) {
  make(only_disk());
  ASSERT_TRUE(disk_->remove(b_->replica().chain(prompt(4))[2]));
  EXPECT_EQ(fetch(*b_, prompt(4)), 2U);
  EXPECT_EQ(b_->replica().here(prompt(4)), 2U);
  EXPECT_EQ(b_->traffic().restored_blocks, 2U);
  EXPECT_EQ(b_->traffic().wrong_blocks, 0U);
}

TEST_F(KvRestoring, GoesOnWithoutADiskThatFails) {
  make(only_disk());
  disk_->fail(true);
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  EXPECT_EQ(b_->replica().here(prompt(1)), 0U);
  EXPECT_EQ(b_->replica().pool().held(), 0);
  EXPECT_EQ(b_->traffic().restored_blocks, 0U);
}

TEST_F(KvRestoring, IsNotWaitedForLongerThanAnEngineDoes) {
  make({}, seconds(4));
  EXPECT_EQ(fetch(*b_, prompt(4)), 0U);
  EXPECT_EQ(b_->replica().pool().held(), 4) << "the store still writes there";
  pass(seconds(2));
  EXPECT_EQ(b_->replica().pool().held(), 0);
  EXPECT_EQ(b_->replica().here(prompt(4)), 4U) << "they are there for the next one";
}

TEST_F(KvRestoring, TellsThoseWhoWaitWhenTheShardEndsAndKeepsItsMemoryUntilItIsRead) {
  make({}, milliseconds(300));
  const auto answer = begin_fetch(*b_, prompt(4));
  EXPECT_FALSE(answer->has_value());
  stop(b_->shard);
  world_.settle();
  EXPECT_TRUE(answer->has_value());
  EXPECT_EQ(b_->replica().pool().held(), 4);
  pass(milliseconds(500));
  EXPECT_EQ(b_->replica().pool().held(), 0);
}

TEST_F(KvRestoring, IsChosenUnlessSomebodyElseHasMore) {
  make();
  Neighbour& other = add_neighbour("n", 6);
  publish();
  other.lend = [&](const schemas::KvLease& asked) { return lends_all(other, b_->replica(), asked); };
  tell(b_->shard, schemas::KvHoldings{other.name, false, b_->replica().chain(prompt(4)), {}});
  EXPECT_EQ(fetch(*b_, prompt(4)), 4U);
  EXPECT_EQ(b_->traffic().restored_blocks, 4U);
  b_->replica().evict_all();
  pass(milliseconds(200));
  tell(b_->shard, schemas::KvHoldings{other.name, false, b_->replica().chain(prompt(6)), {}});
  EXPECT_EQ(fetch(*b_, prompt(6)), 6U);
  EXPECT_EQ(b_->traffic().fetched_blocks, 6U);
}

TEST_F(KvRestoring, GoesThroughTheStreamWhereTheHostCannotReachThePool) {
  make(only_disk(), {}, {.device = testing::far_device});
  const auto chain = b_->replica().chain(prompt(4));
  disk_->spoil([&](const policy::BlockId&, std::vector<std::byte>& payload) { payload[3] ^= std::byte{1}; });
  ASSERT_TRUE(disk_->put(chain[3], 0, b_->replica().contents_of(chain[3])));
  EXPECT_EQ(fetch(*b_, prompt(4)), 3U);
  EXPECT_EQ(b_->replica().here(prompt(4)), 3U);
  EXPECT_EQ(b_->traffic().restored_blocks, 3U);
  EXPECT_EQ(b_->traffic().wrong_blocks, 1U);
  EXPECT_EQ(b_->replica().pool().held(), 0);
}

TEST_F(KvRestoring, NeedsNoFabric) {
  auto store = std::make_shared<storage::BlockStore>(storage::BlockStoreLimits{}, nullptr,
                                                     [](const std::function<void()>& work) { work(); });
  b_ = &add("b", {{}}, std::move(store), false);
  publish();
  b_->replica().compute(prompt(4));
  b_->replica().evict_all();
  pass(milliseconds(200));
  EXPECT_EQ(fetch(*b_, prompt(4)), 4U);
  EXPECT_EQ(b_->traffic().restored_blocks, 4U);
}

}  // namespace
}  // namespace troupe::actors
