#include "storage/shadow_log.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "storage/big_endian.hpp"
#include "storage/memory_store.hpp"

namespace troupe::storage {
namespace {

policy::ShadowRecord record_of(std::uint32_t turn, const std::string& experiment = "a", std::int64_t at_ms = 0) {
  policy::ShadowRecord record;
  record.experiment = experiment;
  record.turn = {{.bytes = {1}}, turn};
  record.at_ms = at_ms;
  record.question = "q";
  record.client.text = "one";
  record.shadow.text = "other";
  return record;
}

void write(Store& store, std::vector<Put> puts) {
  const auto written = store.write({WriteBatch{.puts = std::move(puts), .fence = std::nullopt}}).front();
  ASSERT_TRUE(written) << written.error().message;
}

policy::ShadowPage read(const Store& store, const policy::ShadowQuery& query) {
  auto page = read_shadows(store, query);
  EXPECT_TRUE(page) << page.error().message;
  return page ? *std::move(page) : policy::ShadowPage();
}

TEST(ShadowLog, GoesOnWhereItEnded) {
  MemoryStore store;
  ShadowLogEnds ends = read_shadow_ends(store).value();
  EXPECT_EQ(ends, ShadowLogEnds{});
  for (std::uint32_t turn = 1; turn <= 3; ++turn) write(store, put_shadow(record_of(turn), ends));
  EXPECT_EQ(read_shadow_ends(store).value(), (ShadowLogEnds{1, 4}));
  EXPECT_EQ(ends, (ShadowLogEnds{1, 4}));
  const auto page = read(store, {.from = 2, .limit = 10, .experiment = "", .since_ms = 0, .texts = true});
  ASSERT_EQ(page.records.size(), 2U);
  EXPECT_EQ(page.records[0].number, 2U);
  EXPECT_EQ(page.records[0].record, record_of(2));
  EXPECT_FALSE(page.more);
}

TEST(ShadowLog, KeepsTheNewest) {
  MemoryStore store;
  ShadowLogEnds ends;
  for (std::uint32_t turn = 1; turn <= 10; ++turn) write(store, put_shadow(record_of(turn), ends, 4));
  EXPECT_EQ(read_shadow_ends(store).value(), (ShadowLogEnds{7, 11}));
  // One that was allowed more shrinks by one with each record that comes.
  write(store, put_shadow(record_of(11), ends, 2));
  EXPECT_EQ(read_shadow_ends(store).value(), (ShadowLogEnds{9, 12}));
  write(store, put_shadow(record_of(12), ends, 2));
  EXPECT_EQ(read_shadow_ends(store).value(), (ShadowLogEnds{11, 13}));
}

TEST(ShadowLog, IsReadInPages) {
  MemoryStore store;
  ShadowLogEnds ends;
  for (std::uint32_t turn = 1; turn <= 600; ++turn) {
    write(store, put_shadow(record_of(turn, turn % 2 == 0 ? "even" : "odd", turn), ends));
  }
  std::size_t pages = 0;
  std::vector<std::uint32_t> turns;
  policy::ShadowQuery query{.from = 0, .limit = 1000, .experiment = "odd", .since_ms = 101, .texts = false};
  for (;;) {
    const auto page = read(store, query);
    ++pages;
    for (const auto& each : page.records) {
      turns.push_back(each.record.turn.number);
      EXPECT_EQ(each.record.question + each.record.client.text + each.record.shadow.text, "") << "not asked for";
    }
    EXPECT_LE(page.records.size(), policy::ShadowPage::numbers_max);
    if (!page.more) break;
    ASSERT_GT(page.next, query.from);
    query.from = page.next;
  }
  ASSERT_EQ(turns.size(), 250U);
  EXPECT_EQ(turns.front(), 101U);
  EXPECT_EQ(turns.back(), 599U);
  const auto with_texts = read(store, {.from = 0, .limit = 1000, .experiment = "", .since_ms = 0, .texts = true});
  EXPECT_EQ(with_texts.records.size(), policy::ShadowPage::texts_max);
  EXPECT_TRUE(with_texts.more);
}

/// A page looks at so much of the log, however little of it is wanted.
TEST(ShadowLog, MayHaveAnEmptyPageThatIsNotTheLast) {
  MemoryStore store;
  ShadowLogEnds ends;
  for (std::uint32_t turn = 1; turn <= 1030; ++turn) {
    write(store, put_shadow(record_of(turn, turn == 1030 ? "rare" : "a"), ends));
  }
  policy::ShadowQuery query{.from = 0, .limit = 10, .experiment = "rare", .since_ms = 0, .texts = false};
  const auto first = read(store, query);
  EXPECT_TRUE(first.records.empty());
  ASSERT_TRUE(first.more);
  query.from = first.next;
  const auto second = read(store, query);
  ASSERT_EQ(second.records.size(), 1U);
  EXPECT_EQ(second.records[0].record.turn.number, 1030U);
  EXPECT_FALSE(second.more);
}

TEST(ShadowLog, NamesARecordThatCannotBeRead) {
  MemoryStore store;
  ShadowLogEnds ends;
  auto puts = put_shadow(record_of(1), ends);
  puts[0].value->resize(puts[0].value->size() / 2);
  write(store, std::move(puts));
  const auto refused = read_shadows(store, {.from = 0, .limit = 10, .experiment = "", .since_ms = 0, .texts = false});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
  EXPECT_EQ(refused.error().message.rfind("shadow 1: ", 0), 0U) << refused.error().message;
}

}  // namespace
}  // namespace troupe::storage
