#include "storage/data_folder.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "storage/memory_store.hpp"

namespace troupe::storage {
namespace {

constexpr policy::ClusterId ours{.bytes = {1, 2, 3}};
constexpr policy::ClusterId theirs{.bytes = {9}};
constexpr std::array<std::uint8_t, 16> random{0xab, 0xcd};

void expect_refused(const Result<Identity>& result, ErrorCode code, const std::vector<std::string>& words) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, code) << result.error().message;
  for (const auto& word : words) EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
}

void put(MemoryStore& store, const std::string& key, std::optional<std::string> value, Column column = Column::meta) {
  ASSERT_TRUE(
      store.write({{.puts = {{.column = column, .key = key, .value = std::move(value)}}, .fence = std::nullopt}}).front());
}

TEST(DataFolder, BelongsToWhoClaimsItFirst) {
  MemoryStore store;
  EXPECT_EQ(claim(store, ours, "one", random).value(), (Identity{.cluster = ours, .node = {"one"}, .incarnation = 1}));
  EXPECT_EQ(claim(store, ours, "one", random).value().incarnation, 2U);
}

TEST(DataFolder, HasNewIncarnationsAlsoIfItIsAnOlderCopy) {
  MemoryStore store;
  EXPECT_EQ(claim(store, ours, "one", random, 1000).value().incarnation, 1000U);
  EXPECT_EQ(claim(store, ours, "one", random, 1007).value().incarnation, 1007U);
  EXPECT_EQ(claim(store, ours, "one", random, 900).value().incarnation, 1008U) << "a clock that was set back";
  EXPECT_EQ(claim(store, ours, "one", random, 1008).value().incarnation, 1009U) << "twice in a second";
}

TEST(DataFolder, CanBeChangedWithoutItsNodeOnceItHasOne) {
  MemoryStore store;
  const auto none = check_claimed(store);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::not_found);
  ASSERT_TRUE(claim(store, ours, "one", random));
  EXPECT_TRUE(check_claimed(store));
  put(store, "format", "9");
  const auto other = check_claimed(store);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::unsupported);
}

TEST(DataFolder, KeepsWhetherItsNodeIsDrained) {
  MemoryStore store;
  EXPECT_FALSE(claim(store, ours, "one", random)->drained);
  ASSERT_TRUE(store.write({put_drained(true)}).front());
  EXPECT_TRUE(claim(store, ours, "one", random)->drained);
  EXPECT_TRUE(claim(store, ours, "one", random)->drained);
  ASSERT_TRUE(store.write({put_drained(false)}).front());
  EXPECT_FALSE(claim(store, ours, "one", random)->drained);
}

TEST(DataFolder, KeepsTheNodesPartInItsCluster) {
  MemoryStore joined;
  ASSERT_TRUE(claim(joined, ours, "one", random));
  expect_refused(claim(joined, std::nullopt, "one", random), ErrorCode::invalid_argument, {"joined a cluster", "--join"});
  MemoryStore first;
  const auto made = claim(first, std::nullopt, "one", random);
  ASSERT_TRUE(made);
  expect_refused(claim(first, made->cluster, "one", random), ErrorCode::invalid_argument, {"first node", "leases"});
  EXPECT_EQ(claim(first, std::nullopt, "one", random).value().incarnation, 2U) << "refusals change nothing";
}

TEST(DataFolder, KnowsTheNodesPartBeforeItsClusterIsAsked) {
  MemoryStore store;
  EXPECT_TRUE(check_part(store, true)) << "an unused store is anybody's";
  EXPECT_TRUE(check_part(store, false));
  ASSERT_TRUE(claim(store, std::nullopt, "one", random));
  EXPECT_TRUE(check_part(store, false));
  const auto joins = check_part(store, true);
  ASSERT_FALSE(joins);
  EXPECT_NE(joins.error().message.find("first node, which grants the leases"), std::string::npos) << joins.error().message;
}

TEST(DataFolder, MakesAClusterIfNoneIsNamed) {
  MemoryStore store;
  EXPECT_EQ(claim(store, std::nullopt, "one", random).value().cluster, policy::ClusterId{random});
  EXPECT_EQ(claim(store, std::nullopt, "one", {7}).value().cluster, policy::ClusterId{random}) << "once";
  MemoryStore other;
  expect_refused(claim(other, std::nullopt, "one", {}), ErrorCode::invalid_argument, {"random"});
}

TEST(DataFolder, CountsIncarnationsThroughCrashes) {
  MemoryStore store;
  for (std::uint64_t incarnation = 1; incarnation < 5; ++incarnation) {
    EXPECT_EQ(claim(store, ours, "one", random).value().incarnation, incarnation);
    store.crash();
  }
}

TEST(DataFolder, RefusesAnotherClusterOrNode) {
  MemoryStore store;
  ASSERT_TRUE(claim(store, ours, "one", random));
  expect_refused(claim(store, theirs, "one", random), ErrorCode::invalid_argument,
                 {to_string(ours), to_string(theirs), "another folder"});
  expect_refused(claim(store, ours, "two", random), ErrorCode::invalid_argument, {"node one", "two", "another folder"});
  EXPECT_EQ(claim(store, ours, "one", random).value().incarnation, 2U) << "refusals change nothing";
}

TEST(DataFolder, RefusesAnotherFormat) {
  MemoryStore store;
  ASSERT_TRUE(claim(store, ours, "one", random));
  put(store, "format", "2");
  put(store, "cluster", "written in a way that nobody knows yet");
  expect_refused(claim(store, ours, "one", random), ErrorCode::unsupported, {"version 2", "version 1", "run the version"});
}

TEST(DataFolder, RefusesAnIdentityThatIsDamaged) {
  struct Damage {
    std::string key;
    std::optional<std::string> value;
  };
  for (const auto& [key, value] : std::vector<Damage>{{"format", "one"},
                                                      {"format", ""},
                                                      {"format", std::nullopt},
                                                      {"cluster", "12"},
                                                      {"cluster", std::string(32, '0')},
                                                      {"cluster", std::nullopt},
                                                      {"node", std::nullopt},
                                                      {"incarnation", "-1"},
                                                      {"incarnation", "3x"},
                                                      {"incarnation", "18446744073709551616"},
                                                      {"incarnation", "18446744073709551615"},
                                                      {"incarnation", std::nullopt},
                                                      {"part", "second"},
                                                      {"part", std::nullopt}}) {
    MemoryStore store;
    ASSERT_TRUE(claim(store, ours, "one", random));
    put(store, key, value);
    expect_refused(claim(store, ours, "one", random), ErrorCode::corrupt, {key, "copy"});
  }
}

TEST(DataFolder, RefusesRecordsOfNobody) {
  MemoryStore store;
  put(store, "x", "y", Column::conversations);
  expect_refused(claim(store, ours, "one", random), ErrorCode::corrupt, {"format", "missing", "conversations"});
}

TEST(DataFolder, RefusesNamesThatNobodyCouldType) {
  MemoryStore store;
  for (const std::string& name : {std::string(), std::string("two words"), std::string("line\n"), std::string(256, 'n')}) {
    expect_refused(claim(store, ours, name, random), ErrorCode::invalid_argument, {"name", std::to_string(name.size())});
  }
  EXPECT_TRUE(claim(store, ours, std::string(255, 'n'), random));
}

TEST(DataFolder, OnAFullDiskIsNotClaimed) {
  MemoryStore store;
  store.fail_writes(10);
  expect_refused(claim(store, ours, "one", random), ErrorCode::io, {"room"});
  store.fail_writes(std::nullopt);
  EXPECT_EQ(claim(store, ours, "one", random).value().incarnation, 1U);
}

}  // namespace
}  // namespace troupe::storage
