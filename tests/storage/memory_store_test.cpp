#include "storage/memory_store.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace troupe::storage {
namespace {

WriteBatch batch(const std::string& key, const std::string& value = "v") {
  return {.puts = {{.column = Column::meta, .key = key, .value = value}}, .fence = std::nullopt};
}
Result<void> write(MemoryStore& store, const std::string& key, const std::string& value = "v") {
  return store.write({batch(key, value)}).front();
}
std::string keys(const MemoryStore& store) {
  std::string all;
  const auto entries = store.scan(Column::meta, "", "", 100).value();
  for (const auto& entry : entries) all += entry.first;
  return all;
}

TEST(MemoryStore, KeepsThroughACrashWhatWasWritten) {
  MemoryStore store;
  ASSERT_TRUE(write(store, "a"));
  EXPECT_EQ(store.unsynced(), 0U);
  store.crash();
  store.crash(7);
  EXPECT_EQ(keys(store), "a");
}

TEST(MemoryStore, LosesWhatWasNotSynced) {
  MemoryStore store;
  ASSERT_TRUE(write(store, "a"));
  store.skip_sync(true);
  ASSERT_TRUE(write(store, "b")) << "the writer believes that it is durable";
  ASSERT_TRUE(write(store, "a", "changed"));
  EXPECT_EQ(keys(store), "ab") << "and everybody reads it";
  EXPECT_EQ(store.unsynced(), 2U);
  store.crash();
  EXPECT_EQ(keys(store), "a");
  EXPECT_EQ(store.get(Column::meta, "a").value(), "v");
  EXPECT_EQ(store.unsynced(), 0U);
}

TEST(MemoryStore, SyncsAllThatCameBeforeWithTheNextSync) {
  MemoryStore store;
  store.skip_sync(true);
  ASSERT_TRUE(write(store, "a"));
  store.skip_sync(false);
  ASSERT_TRUE(write(store, "b"));
  store.crash();
  EXPECT_EQ(keys(store), "ab");
}

TEST(MemoryStore, ForgetsEpochsThatWereNotSynced) {
  MemoryStore store;
  const auto fenced = [](std::uint64_t epoch) {
    WriteBatch one = batch("a");
    one.fence = Fence{.column = Column::meta, .key = "fence", .epoch = epoch};
    return one;
  };
  ASSERT_TRUE(store.write({fenced(1)}).front());
  store.skip_sync(true);
  ASSERT_TRUE(store.write({fenced(2)}).front());
  EXPECT_FALSE(store.write({fenced(1)}).front());
  store.crash();
  EXPECT_TRUE(store.write({fenced(1)}).front());
}

TEST(MemoryStore, TearsBetweenBatchesAndNeverInside) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    MemoryStore store;
    store.skip_sync(true);
    const WriteBatch two{
        .puts = {{.column = Column::meta, .key = "b", .value = "v"}, {.column = Column::meta, .key = "c", .value = "v"}},
        .fence = std::nullopt};
    store.write({batch("a"), two});
    ASSERT_TRUE(write(store, "d"));
    store.crash(seed);
    seen.insert(keys(store));

    MemoryStore again;
    again.skip_sync(true);
    again.write({batch("a"), two, batch("d")});
    again.crash(seed);
    ASSERT_EQ(keys(again), keys(store)) << "seed " << seed << " decides alone";
  }
  EXPECT_EQ(seen, (std::set<std::string>{"", "a", "abc", "abcd"}));
}

TEST(MemoryStore, FillsUpAndHasRoomAgain) {
  MemoryStore store;
  ASSERT_TRUE(write(store, "a", "12345"));
  store.fail_writes(10);
  ASSERT_TRUE(write(store, "b", "12345")) << "6 bytes of 10";
  const auto results = store.write({batch("c", "1"), batch("d", "12345")});
  for (const auto& result : results) {
    ASSERT_FALSE(result) << "all or nothing";
    EXPECT_EQ(result.error().code, ErrorCode::io);
    EXPECT_NE(result.error().message.find("8 bytes"), std::string::npos) << result.error().message;
    EXPECT_NE(result.error().message.find("for 4"), std::string::npos) << result.error().message;
  }
  EXPECT_EQ(keys(store), "ab");
  ASSERT_TRUE(write(store, "e", "123")) << "a small one still fits";
  store.fail_writes(0);
  EXPECT_FALSE(write(store, "f"));
  store.crash();
  EXPECT_FALSE(write(store, "f")) << "a restart makes no room";
  store.fail_writes(std::nullopt);
  EXPECT_TRUE(write(store, "f"));
  EXPECT_EQ(keys(store), "abef");
}

TEST(MemoryStore, AFullDiskDoesNotRaiseAnEpoch) {
  MemoryStore store;
  WriteBatch one = batch("a");
  one.fence = Fence{.column = Column::meta, .key = "fence", .epoch = 9};
  store.fail_writes(1);
  EXPECT_FALSE(store.write({one}).front());
  store.fail_writes(std::nullopt);
  one.fence->epoch = 1;
  EXPECT_TRUE(store.write({one}).front());
}

TEST(MemoryStore, AsksItsHookBeforeEachWrite) {
  MemoryStore store;
  std::vector<std::uint64_t> seen;
  store.before_write([&](std::uint64_t bytes) {
    seen.push_back(bytes);
    EXPECT_EQ(keys(store).size(), seen.size() - 1) << "nothing is applied yet, and the store can be used";
  });
  ASSERT_TRUE(write(store, "a", "123"));
  ASSERT_TRUE(write(store, "b", ""));
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{4, 1}));
}

}  // namespace
}  // namespace troupe::storage
