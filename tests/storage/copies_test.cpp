#include "storage/copies.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "storage/conversations.hpp"
#include "storage/fence.hpp"
#include "storage/memory_store.hpp"

namespace troupe::storage {
namespace {

constexpr std::uint64_t epoch = 3;
constexpr policy::ConversationId ours{.bytes = {1}};
constexpr policy::ConversationId theirs{.bytes = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
constexpr policy::ConversationId last{
    .bytes = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

void write(Store& store, WriteBatch batch) {
  const auto written = store.write({std::move(batch)}).front();
  ASSERT_TRUE(written) << written.error().message;
}

/// A conversation of so many turns, of which the last has not ended.
void converse(Store& store, policy::ConversationId id, std::uint32_t turns, std::uint64_t under = epoch) {
  WriteBatch batch{.puts = {put_conversation({.id = id, .created_ms = 5, .turns = turns, .summary_version = 1}, under)},
                   .fence = fence_of(id, under)};
  for (std::uint32_t number = 1; number <= turns; ++number) {
    policy::Turn turn;
    turn.id = {id, number};
    turn.ask.question = "question " + std::to_string(number) + std::string(number % 7 * 10, '?');
    turn.ask.idempotency_key = "\xff key " + std::to_string(number);
    policy::AttemptPlan plan;
    plan.prompt = {1, 2, 3};
    for (auto& put : put_accepted(turn, under)) batch.puts.push_back(std::move(put));
    batch.puts.push_back(put_plan(turn.id, plan, under));
    if (number == turns) {
      batch.puts.push_back(put_pieces(turn.id, 0, {{0, {policy::remote_piece}, {-0.5F}, "a piece"}}, under));
      break;
    }
    turn.attempts.push_back({plan, {}});
    turn.outcome.emplace();
    batch.puts.push_back(put_result(turn.id, 0, {}, under));
    for (auto& put : put_outcome(turn, under)) batch.puts.push_back(std::move(put));
  }
  policy::Summary summary;
  summary.version = 1;
  batch.puts.push_back(put_summary(id, summary, under));
  batch.puts.push_back(put_pins(id, {2, {"a pin"}}, under));
  batch.puts.push_back(put_found({id, 3}, {{{"rules#1", "Rules §1"}, "Files are kept."}}, under));
  write(store, std::move(batch));
}

/// All of a store but fences and marks.
std::map<std::string, std::string> contents(const Store& store) {
  std::map<std::string, std::string> all;
  const auto found = store.scan(Column::conversations, "", "", 100000);
  for (const auto& [key, value] : *found) {
    constexpr std::size_t kind_at = 24;
    if (key.at(kind_at) != 0 && key.at(kind_at) != 9) all[key] = value;
  }
  return all;
}

std::vector<Piece> pieces_of(const Store& store, policy::ConversationId id, const PieceLimits& limits) {
  std::vector<Piece> pieces;
  std::string begin;
  do {
    const auto piece = read_piece(store, id, begin, limits);
    EXPECT_TRUE(piece) << piece.error().message;
    if (!piece) break;
    pieces.push_back(*piece);
    begin = piece->end;
  } while (!begin.empty());
  return pieces;
}

Result<void> put(Store& store, policy::ConversationId id, std::uint64_t under, const Piece& piece) {
  TROUPE_TRY(auto batch, put_piece(store, id, under, piece));
  return store.write({std::move(batch)}).front();
}

int remove_all(Store& store, policy::ConversationId id, std::uint64_t under, std::size_t at_once = 512) {
  for (int batches = 1;; ++batches) {
    auto removal = remove_copy(store, id, under, at_once);
    EXPECT_TRUE(removal);
    const bool is_last = removal->last;
    if (!store.write({std::move(removal->batch)}).front()) return -batches;
    if (is_last) return batches;
  }
}

TEST(Copies, CarryAllOfAConversationAndNothingElse) {
  MemoryStore here;
  converse(here, ours, 20);
  const auto expected = contents(here);
  converse(here, theirs, 5);
  for (const PieceLimits limits :
       {PieceLimits{}, PieceLimits{1, 1}, PieceLimits{300, 1000}, PieceLimits{1 << 20, 64}, PieceLimits{1 << 20, 7}}) {
    MemoryStore there;
    write(there, mark_copy(ours, epoch));
    const auto pieces = pieces_of(here, ours, limits);
    EXPECT_EQ(pieces.front().begin, "");
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      ASSERT_TRUE(put(there, ours, epoch, pieces[i]));
      EXPECT_LE(pieces[i].records.size(), limits.records_max);
      EXPECT_EQ(pieces[i].begin, i == 0 ? "" : pieces[i - 1].end);
    }
    EXPECT_EQ(contents(there), expected) << pieces.size() << " pieces";
    EXPECT_EQ(open_turns(there, 10)->size(), 1U);
    EXPECT_EQ(*find_turn(there, ours, "\xff key 7"), 7U);
    EXPECT_EQ(*read_mark(there, ours), epoch);
  }
}

TEST(Copies, ReplaceWhateverWasThereBefore) {
  MemoryStore here;
  converse(here, ours, 6, 9);
  MemoryStore there;
  converse(there, theirs, 3);
  const auto others = contents(there);
  converse(there, ours, 9, 4);  // it was at home there once
  write(there, mark_copy(ours, 9));
  for (const Piece& piece : pieces_of(here, ours, {.bytes_max = 1 << 20, .records_max = 5}))
    ASSERT_TRUE(put(there, ours, 9, piece));
  auto expected = contents(here);
  expected.insert(others.begin(), others.end());
  EXPECT_EQ(contents(there), expected);
}

TEST(Copies, MayArriveLateTwiceAndInAnyOrder) {
  MemoryStore here;
  converse(here, ours, 12);
  auto pieces = pieces_of(here, ours, {.bytes_max = 1 << 20, .records_max = 4});
  ASSERT_GT(pieces.size(), 5U);
  for (std::size_t i = 0; i < 4; ++i) pieces.push_back(Piece(pieces[i]));
  Random random(1);
  for (int i = 0; i < 20; ++i) {
    for (std::size_t k = pieces.size() - 1; k > 0; --k) std::swap(pieces[k], pieces[random.below(k + 1)]);
    MemoryStore there;
    converse(there, ours, 15, 2);
    write(there, mark_copy(ours, epoch));
    for (const Piece& piece : pieces) ASSERT_TRUE(put(there, ours, epoch, piece));
    EXPECT_EQ(contents(there), contents(here));
  }
}

TEST(Copies, AreRefusedOnceANewerEpochHasBegun) {
  MemoryStore here;
  converse(here, ours, 2);
  const auto pieces = pieces_of(here, ours, {.bytes_max = 1 << 20, .records_max = 4});
  MemoryStore there;
  EXPECT_EQ(put(there, ours, epoch, pieces[0]).error().code, ErrorCode::unavailable) << "nobody has marked it";
  write(there, mark_copy(ours, epoch));
  auto late = put_piece(there, ours, epoch, pieces[1]);
  ASSERT_TRUE(late);
  for (const Piece& piece : pieces) ASSERT_TRUE(put(there, ours, epoch, piece));
  // It becomes home, and writes.
  write(there, {.puts = {unmark_copy(ours)}, .fence = fence_of(ours, epoch + 1)});
  converse(there, ours, 4, epoch + 1);
  const auto expected = contents(there);
  EXPECT_EQ(there.write({std::move(*late)}).front().error().code, ErrorCode::unavailable);
  EXPECT_EQ(there.write({mark_copy(ours, epoch)}).front().error().code, ErrorCode::unavailable);
  EXPECT_FALSE(put(there, ours, epoch, pieces[0]));
  EXPECT_EQ(contents(there), expected);
  EXPECT_FALSE(*read_mark(there, ours));
}

TEST(Copies, AreRemovedToTheLastRecordInSmallBatches) {
  MemoryStore store;
  converse(store, theirs, 3);
  const auto expected = contents(store);
  converse(store, ours, 10);
  write(store, mark_copy(ours, epoch));
  EXPECT_GT(remove_all(store, ours, epoch, 7), 5);
  EXPECT_EQ(contents(store), expected);
  EXPECT_FALSE(*read_mark(store, ours));
  EXPECT_EQ(*read_epoch(store, ours), epoch) << "what earlier homes still have on its way is refused";
  EXPECT_EQ(open_turns(store, 10)->size(), 1U);
  EXPECT_EQ(remove_all(store, ours, epoch), 1) << "once more does no harm";
}

TEST(Copies, OfANewerEpochSurviveARemovalOfTheOlder) {
  MemoryStore store;
  converse(store, ours, 3);
  write(store, mark_copy(ours, epoch));
  write(store, mark_copy(ours, epoch + 1));
  const auto expected = contents(store);
  EXPECT_EQ(remove_all(store, ours, epoch), -1);
  EXPECT_EQ(contents(store), expected);
  EXPECT_EQ(*read_mark(store, ours), epoch + 1);
}

TEST(Copies, AreListedByTheirMarks) {
  MemoryStore store;
  EXPECT_TRUE(marked_copies(store, {}, 10)->empty());
  write(store, mark_copy(last, 1));
  write(store, mark_copy(ours, 7));
  write(store, mark_copy(theirs, 8));
  const auto two = marked_copies(store, {}, 2);
  ASSERT_EQ(two->size(), 2U);
  EXPECT_EQ(two->front().conversation, ours);
  EXPECT_EQ(two->front().epoch, 7U);
  const auto rest = marked_copies(store, two->back().conversation, 2);
  ASSERT_EQ(rest->size(), 1U);
  EXPECT_EQ(rest->front().conversation, last);
}

TEST(Copies, WithPlacesThatCannotBeAreRefused) {
  MemoryStore store;
  write(store, mark_copy(ours, epoch));
  const std::string conversation("\x01", 1);
  const std::string fence(9, '\0');
  const std::vector<Piece> hostile{
      {"", "", {{"", "x"}}},      // no place
      {"", "", {{fence, "x"}}},   // the fence
      {"", "", {{"\x0d", "x"}}},  // nothing that is known
      {"",
       "",
       {{"\x09"
         "abc",
         "x"}}},  // a mark
      {"",
       "",
       {{"\x08"
         "abcdef",
         ""}}},                                              // an index entry of another length
      {"", "", {{conversation, "x"}, {conversation, "y"}}},  // twice
      {"", conversation, {{conversation, "x"}}},             // behind the end
      {std::string("\x02", 1), "", {{conversation, "x"}}},   // before the beginning
  };
  for (const Piece& piece : hostile) EXPECT_EQ(put_piece(store, ours, epoch, piece).error().code, ErrorCode::corrupt);
  EXPECT_TRUE(contents(store).empty());
}

TEST(StoredConversations, AreThoseOfWhichThereIsMoreThanAFence) {
  MemoryStore store;
  EXPECT_TRUE(stored_conversations(store, {}, 10)->conversations.empty());
  converse(store, ours, 3);
  converse(store, last, 1);
  write(store, {.puts = {}, .fence = fence_of(theirs, 4)});
  auto page = stored_conversations(store, {}, 10);
  ASSERT_EQ(page->conversations.size(), 2U);
  EXPECT_EQ(page->conversations[0].id, ours);
  EXPECT_FALSE(page->conversations[0].copy);
  EXPECT_EQ(page->conversations[1].id, last);
  write(store, mark_copy(ours, epoch));
  page = stored_conversations(store, {}, 1);
  ASSERT_EQ(page->conversations.size(), 1U);
  EXPECT_TRUE(page->conversations[0].copy);
  page = stored_conversations(store, *page->next, 1);
  EXPECT_TRUE(page->conversations.empty()) << "of theirs there is only the fence";
  page = stored_conversations(store, *page->next, 1);
  EXPECT_EQ(page->conversations.at(0).id, last);
  EXPECT_FALSE(stored_conversations(store, *page->next, 1)->next);
  remove_all(store, ours, epoch);
  EXPECT_EQ(stored_conversations(store, {}, 10)->conversations.size(), 1U);
}

}  // namespace
}  // namespace troupe::storage
