// What every store does, on a disk and in memory.
#include "storage/store.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "storage/fence.hpp"
#include "storage/memory_store.hpp"
#include "storage/rocks_store.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::storage {
namespace {

using namespace std::string_literals;

Put put(const std::string& key, const std::string& value, Column column = Column::conversations) {
  return {.column = column, .key = key, .value = value};
}
Put removal(const std::string& key) { return {.column = Column::conversations, .key = key, .value = std::nullopt}; }
WriteBatch batch(std::vector<Put> puts, std::optional<Fence> fence = std::nullopt) {
  return {.puts = std::move(puts), .fence = std::move(fence)};
}
Fence fence(std::uint64_t epoch, const std::string& key = "fence") {
  return {.column = Column::leases, .key = key, .epoch = epoch};
}

struct Twin {
  std::string name;
  std::function<std::unique_ptr<Store>(const std::filesystem::path&)> make;
};

class AnyStore : public ::testing::TestWithParam<Twin> {
 protected:
  Result<void> write(WriteBatch one) { return store_->write({std::move(one)}).front(); }
  std::optional<std::string> get(const std::string& key, Column column = Column::conversations) {
    return store_->get(column, key).value();
  }
  std::string keys(const std::string& begin, const std::string& end, std::size_t limit = 100, bool backwards = false) {
    std::string all;
    const auto entries = store_->scan(Column::conversations, begin, end, limit, backwards).value();
    for (const auto& entry : entries) all += entry.first + " ";
    return all;
  }

  tests::TemporaryFolder folder_;
  std::unique_ptr<Store> store_ = GetParam().make(folder_.path());
};

TEST_P(AnyStore, KeepsWhatIsPutAndForgetsWhatIsRemoved) {
  EXPECT_EQ(get("a"), std::nullopt);
  ASSERT_TRUE(write(batch({put("a", "1"), put("b", ""), put("a"s + '\0', "\xff\0z"s)})));
  EXPECT_EQ(get("a"), "1");
  EXPECT_EQ(get("b"), "") << "an empty value is a value";
  EXPECT_EQ(get("a"s + '\0'), "\xff\0z"s) << "keys and values are bytes";
  ASSERT_TRUE(write(batch({put("a", "2"), removal("b"), removal("never there")})));
  EXPECT_EQ(get("a"), "2");
  EXPECT_EQ(get("b"), std::nullopt);
  ASSERT_TRUE(write(batch({put("c", "first"), put("c", "last"), put("d", "x"), removal("d")})));
  EXPECT_EQ(get("c"), "last") << "puts of a batch apply in order";
  EXPECT_EQ(get("d"), std::nullopt);
}

TEST_P(AnyStore, KeepsColumnsApart) {
  ASSERT_TRUE(write(batch({put("k", "meta", Column::meta), put("k", "corpus", Column::corpus)})));
  EXPECT_EQ(get("k", Column::meta), "meta");
  EXPECT_EQ(get("k", Column::corpus), "corpus");
  EXPECT_EQ(get("k", Column::conversations), std::nullopt);
  EXPECT_EQ(get("k", Column::leases), std::nullopt);
}

TEST_P(AnyStore, ScansInTheOrderOfBytes) {
  ASSERT_TRUE(write(batch({put("b", ""), put("a", ""), put("c", ""), put("ab", ""), put("\xff", "")})));
  EXPECT_EQ(keys("a", "c"), "a ab b ") << "the end is not part of it";
  EXPECT_EQ(keys("a", "c", 2), "a ab ");
  EXPECT_EQ(keys("a", "c", 100, true), "b ab a ");
  EXPECT_EQ(keys("a", "c", 2, true), "b ab ") << "the last ones";
  EXPECT_EQ(keys("aa", "bb"), "ab b ");
  EXPECT_EQ(keys("", ""), "a ab b c \xff ");
  EXPECT_EQ(keys("c", "", 100, true), "\xff c ");
  EXPECT_EQ(keys("b", "b"), "");
  EXPECT_EQ(keys("c", "a"), "") << "an end before the beginning";
  EXPECT_EQ(keys("a", "c", 0), "");
  EXPECT_EQ(keys("d", "e", 5, true), "");
}

TEST_P(AnyStore, AnswersForEachBatch) {
  EXPECT_TRUE(store_->write({}).empty());
  EXPECT_TRUE(write(batch({}))) << "nothing to write is written";
  const auto results = store_->write({batch({put("a", "1")}), batch({put("a", "2")}), batch({put("b", "3")})});
  ASSERT_EQ(results.size(), 3U);
  for (const auto& result : results) EXPECT_TRUE(result);
  EXPECT_EQ(get("a"), "2");
}

TEST_P(AnyStore, RefusesAWriterOfAnOlderEpoch) {
  ASSERT_TRUE(write(batch({put("a", "old home")}, fence(3))));
  ASSERT_TRUE(write(batch({put("a", "same home")}, fence(3))));
  ASSERT_TRUE(write(batch({put("a", "new home")}, fence(5))));
  const auto late = write(batch({put("a", "late"), put("b", "late")}, fence(4)));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, ErrorCode::unavailable);
  EXPECT_NE(late.error().message.find("epoch 4"), std::string::npos) << late.error().message;
  EXPECT_NE(late.error().message.find("epoch 5"), std::string::npos) << late.error().message;
  EXPECT_EQ(get("a"), "new home");
  EXPECT_EQ(get("b"), std::nullopt) << "refused whole";
  EXPECT_EQ(decode_epoch(get("fence", Column::leases).value()).value(), 5U);
  EXPECT_TRUE(write(batch({put("a", "someone else")}, fence(1, "another")))) << "another key is another fence";
}

TEST_P(AnyStore, LetsFencesOfOneWriteSeeEachOther) {
  const auto results = store_->write({batch({put("a", "2")}, fence(2)), batch({put("a", "1")}, fence(1)),
                                      batch({put("b", "free")}), batch({put("a", "3")}, fence(3)),
                                      batch({put("a", "2 again")}, fence(2)), batch({put("c", "3")}, fence(3))});
  const std::vector expected{true, false, true, true, false, true};
  ASSERT_EQ(results.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_EQ(results[i].has_value(), expected[i]) << i;
  EXPECT_EQ(get("a"), "3");
  EXPECT_EQ(get("b"), "free");
  EXPECT_EQ(get("c"), "3");
  EXPECT_EQ(decode_epoch(get("fence", Column::leases).value()).value(), 3U);
}

TEST_P(AnyStore, RefusesAFenceThatIsDamaged) {
  ASSERT_TRUE(write(batch({put("fence", "seven", Column::leases)})));
  const auto results = store_->write({batch({put("a", "1")}, fence(9)), batch({put("b", "2")})});
  ASSERT_FALSE(results[0]);
  EXPECT_EQ(results[0].error().code, ErrorCode::corrupt) << results[0].error().message;
  EXPECT_TRUE(results[1]);
  EXPECT_EQ(get("a"), std::nullopt);
}

TEST_P(AnyStore, IsAMapWhateverIsDoneToIt) {
  for (std::uint64_t seed = 0; seed < 2; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    tests::TemporaryFolder folder;
    store_ = GetParam().make(folder.path());
    Random random(seed);
    const auto random_key = [&] {
      std::string key;
      for (auto left = random.below(3); left > 0; --left) key += "\0a\xff"s[random.below(3)];
      return key;
    };
    std::map<std::string, std::string> model;
    std::map<std::string, std::uint64_t> epochs;
    for (int step = 0; step < 60; ++step) {
      std::vector<WriteBatch> batches(random.below(4));
      std::vector<bool> expected;
      for (auto& each : batches) {
        for (auto left = random.below(4); left > 0; --left) {
          each.puts.push_back(random.chance(0.7F) ? put(random_key(), std::to_string(random.next())) : removal(random_key()));
        }
        if (random.chance(0.5F)) each.fence = fence(random.below(step + 3), random_key());
        auto* epoch = each.fence ? &epochs[each.fence->key] : nullptr;
        expected.push_back(epoch == nullptr || each.fence->epoch >= *epoch);
        if (!expected.back()) continue;
        if (epoch != nullptr) *epoch = each.fence->epoch;
        for (const Put& one : each.puts) {
          if (one.value) {
            model[one.key] = *one.value;
          } else {
            model.erase(one.key);
          }
        }
      }
      const auto results = store_->write(batches);
      ASSERT_EQ(results.size(), expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(results[i].has_value(), expected[i]);

      const std::string begin = random_key();
      const std::string end = random_key();
      std::vector<KeyValue> range;
      for (const auto& entry : model) {
        if (entry.first >= begin && (end.empty() || entry.first < end)) range.emplace_back(entry);
      }
      ASSERT_EQ(store_->scan(Column::conversations, begin, end, 100).value(), range);
      std::reverse(range.begin(), range.end());
      range.resize(std::min<std::size_t>(range.size(), 3));
      ASSERT_EQ(store_->scan(Column::conversations, begin, end, 3, true).value(), range);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Twins, AnyStore,
                         ::testing::Values(Twin{"Memory", [](const auto&) { return std::make_unique<MemoryStore>(); }},
                                           Twin{"Rocks", [](const auto& folder) { return RocksStore::open(folder).value(); }}),
                         [](const auto& twin) { return twin.param.name; });

TEST(Store, ColumnsHaveNames) {
  EXPECT_EQ(to_string(Column::meta), "meta");
  EXPECT_EQ(to_string(Column::corpus), "corpus");
  EXPECT_EQ(to_string(static_cast<Column>(99)), "unknown");
}

TEST(Store, KnowsTheEndOfAPrefix) {
  EXPECT_EQ(end_of_prefix("ab"), "ac");
  EXPECT_EQ(end_of_prefix("a\xff"), "b");
  EXPECT_EQ(end_of_prefix("\x7f"), "\x80");
  EXPECT_EQ(end_of_prefix("\xff\xff"), "");
  EXPECT_EQ(end_of_prefix(""), "");
}

TEST(Store, EpochsAreEightBytes) {
  EXPECT_EQ(encode_epoch(258), "\0\0\0\0\0\0\1\2"s);
  EXPECT_EQ(decode_epoch(encode_epoch(~0ULL)).value(), ~0ULL);
  EXPECT_FALSE(decode_epoch(""));
  EXPECT_FALSE(decode_epoch("123456789"));
}

}  // namespace
}  // namespace troupe::storage
