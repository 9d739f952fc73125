#include "storage/conversations.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/fence.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/random_turns.hpp"

namespace troupe::storage {
namespace {

constexpr std::uint64_t epoch = 3;
constexpr auto last_number = std::numeric_limits<std::uint32_t>::max();
constexpr policy::ConversationId ours{.bytes = {1}};
constexpr policy::ConversationId theirs{.bytes = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

policy::Turn turn_of(std::uint32_t number, policy::ConversationId conversation = ours) {
  policy::Turn turn;
  turn.id = {.conversation = conversation, .number = number};
  turn.ask.question = "question " + std::to_string(number);
  turn.ask.idempotency_key = "key " + std::to_string(number);
  return turn;
}
policy::AttemptPlan plan_of(std::int32_t attempt) {
  policy::AttemptPlan plan;
  plan.attempt = attempt;
  plan.prompt = {1, 2, 3};
  return plan;
}
policy::Summary summary_of(std::uint32_t version) {
  policy::Summary summary;
  summary.version = version;
  summary.text = "summary " + std::to_string(version);
  return summary;
}

template <class Value>
void expect_refused(const Result<Value>& result, const std::vector<std::string>& words) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::corrupt) << result.error().message;
  for (const auto& word : words) EXPECT_NE(result.error().message.find(word), std::string::npos) << result.error().message;
}

class Conversations : public ::testing::Test {
 protected:
  void write(std::vector<Put> puts) {
    ASSERT_TRUE(store_.write({{.puts = std::move(puts), .fence = fence_of(ours, epoch)}}).front());
  }
  void write(Put put) { write(std::vector{std::move(put)}); }
  void accept(const policy::Turn& turn) { write(put_accepted(turn, epoch)); }

  MemoryStore store_;
};

TEST_F(Conversations, ThatNobodyWroteAreEmpty) {
  EXPECT_EQ(read_conversation(store_, ours).value(), std::nullopt);
  EXPECT_FALSE(read_turn(store_, {.conversation = ours, .number = 1}).value());
  EXPECT_TRUE(read_turns(store_, ours, 1, 10).value().empty());
  EXPECT_TRUE(read_summaries(store_, ours).value().empty());
  EXPECT_EQ(read_latest_summary(store_, ours).value(), std::nullopt);
  EXPECT_EQ(find_turn(store_, ours, "key 1").value(), std::nullopt);
  EXPECT_TRUE(open_turns(store_, 10).value().empty());
  EXPECT_EQ(read_epoch(store_, ours).value(), 0U);
}

TEST_F(Conversations, ComeBackWithTheNewestOfTheirPins) {
  EXPECT_EQ(read_pins(store_, ours).value(), policy::Pins{});
  write(put_pins(ours, {1, {"case K6"}}, epoch));
  write(put_pins(ours, {2, {"case K6", "site Split"}}, epoch));
  EXPECT_EQ(read_pins(store_, ours).value(), (policy::Pins{2, {"case K6", "site Split"}}));
  EXPECT_EQ(read_pins(store_, theirs).value(), policy::Pins{});
  EXPECT_EQ(read_pins(store_, ours, 1).value(), (policy::Pins{1, {"case K6"}})) << "each version is kept";
  EXPECT_EQ(read_pins(store_, ours, 0).value(), policy::Pins{});
  EXPECT_EQ(read_pins(store_, ours, 3).error().code, ErrorCode::not_found);
  Put misplaced = put_pins(ours, {2, {}}, epoch);
  misplaced.value = put_pins(ours, {9, {}}, epoch).value;
  write(misplaced);
  expect_refused(read_pins(store_, ours), {"pins", "version 9", "under the key of 2"});
  expect_refused(read_pins(store_, ours, 2), {"version 2 of its pins", "found version 9"});
}

TEST_F(Conversations, KeepWhatASearchFoundUntilTheTurnEnds) {
  policy::Turn turn;
  turn.id = {ours, 1};
  turn.search = "files";
  const std::vector<policy::FoundPassage> found{{{"rules#1", "Rules §1"}, "Files are kept."}, {{"rules#2", "Rules §2"}, ""}};
  EXPECT_TRUE(read_found(store_, turn.id)->empty());
  write(put_found(turn.id, found, epoch));
  EXPECT_EQ(read_found(store_, turn.id).value(), found);
  EXPECT_TRUE(read_found(store_, {ours, 2})->empty());
  turn.outcome.emplace();
  for (const Put& put : put_outcome(turn, epoch)) write(put);
  EXPECT_TRUE(read_found(store_, turn.id)->empty());
}

TEST_F(Conversations, HaveTheSummariesOfSomeOfTheirTurns) {
  for (std::uint32_t version = 1; version <= 600; ++version) {
    policy::Summary summary = summary_of(version);
    summary.last_turn = 4 * version;
    write(put_summary(ours, summary, epoch));
  }
  const auto some = read_summaries_of(store_, ours, 2397, 2404).value();
  ASSERT_EQ(some.size(), 1U);
  EXPECT_EQ(some[0].version, 600U);
  EXPECT_EQ(read_summaries_of(store_, ours, 4, 8).value().size(), 2U);
  EXPECT_TRUE(read_summaries_of(store_, ours, 1, 3).value().empty());
}

TEST_F(Conversations, ComeBackWithTheirTurns) {
  const schemas::ConversationRecord record{.id = ours, .created_ms = 5, .turns = 1, .summary_version = 0};
  write(put_conversation(record, epoch));
  EXPECT_EQ(read_conversation(store_, ours).value(), record);
  EXPECT_EQ(read_conversation(store_, theirs).value(), std::nullopt);
  EXPECT_EQ(read_epoch(store_, ours).value(), epoch);

  auto turn = turn_of(1);
  accept(turn);
  auto read = read_turn(store_, turn.id).value().value();
  EXPECT_EQ(read.id, turn.id);
  EXPECT_EQ(read.ask.question, "question 1");
  EXPECT_TRUE(read.attempts.empty());
  EXPECT_FALSE(read.outcome);

  write(put_plan(turn.id, plan_of(0), epoch));
  policy::AttemptResult result;
  result.superseded_why = "unsure";
  write(put_result(turn.id, 0, result, epoch));
  write(put_plan(turn.id, plan_of(1), epoch));
  read = read_turn(store_, turn.id).value().value();
  ASSERT_EQ(read.attempts.size(), 2U);
  EXPECT_EQ(read.attempts[0].plan, plan_of(0));
  EXPECT_EQ(read.attempts[0].result, result);
  EXPECT_EQ(read.attempts[1].plan, plan_of(1));
  EXPECT_FALSE(read.attempts[1].result);

  turn.outcome.emplace().answer = "so";
  turn.ended_ms = 9;
  turn.kind = "lookup";
  turn.search = "words";
  write(put_outcome(turn, epoch));
  read = read_turn(store_, turn.id).value().value();
  EXPECT_EQ(read.outcome, turn.outcome);
  EXPECT_EQ(read.ended_ms, 9);
  EXPECT_EQ(read.kind, "lookup") << "it was not known when the turn was accepted";
  EXPECT_EQ(read.search, "words");
  EXPECT_EQ(read.attempts.size(), 2U);
}

TEST_F(Conversations, GiveTurnsInOrderAndInPages) {
  for (const std::uint32_t number : {300U, 2U, 1U, 256U, 255U}) accept(turn_of(number));
  accept(turn_of(4, theirs));
  const auto numbers = [&](std::uint32_t from, std::size_t limit) {
    const auto turns = read_turns(store_, ours, from, limit).value();
    std::vector<std::uint32_t> all;
    for (const auto& turn : turns) all.push_back(turn.id.number);
    return all;
  };
  using Numbers = std::vector<std::uint32_t>;
  EXPECT_EQ(numbers(0, 100), (Numbers{1, 2, 255, 256, 300})) << "by number, not by digit";
  EXPECT_EQ(numbers(2, 2), (Numbers{2, 255}));
  EXPECT_EQ(numbers(256, 100), (Numbers{256, 300}));
  EXPECT_EQ(numbers(301, 100), Numbers{});
  EXPECT_EQ(numbers(1, 0), Numbers{});
}

TEST_F(Conversations, KnowTurnsByTheKeyOfTheirAsk) {
  accept(turn_of(1));
  auto anonymous = turn_of(2);
  anonymous.ask.idempotency_key.clear();
  accept(anonymous);
  auto longest = turn_of(last_number);
  longest.ask.idempotency_key.assign(policy::Ask::key_bytes_max, '\xff');
  accept(longest);
  EXPECT_EQ(find_turn(store_, ours, "key 1").value(), 1U);
  EXPECT_EQ(find_turn(store_, ours, longest.ask.idempotency_key).value(), last_number);
  EXPECT_EQ(find_turn(store_, ours, "key ").value(), std::nullopt) << "a beginning is not enough";
  EXPECT_EQ(find_turn(store_, ours, "key 11").value(), std::nullopt);
  EXPECT_EQ(find_turn(store_, ours, "").value(), std::nullopt) << "no key is no key";
  EXPECT_EQ(find_turn(store_, theirs, "key 1").value(), std::nullopt) << "a key is one conversation's";
}

TEST_F(Conversations, KnowWhichTurnsHaveNotEnded) {
  auto first = turn_of(1);
  for (const auto& turn : {first, turn_of(2), turn_of(1, theirs), turn_of(7, theirs)}) accept(turn);
  EXPECT_EQ(open_turns(store_, 10).value(),
            (std::vector<policy::TurnId>{first.id, turn_of(2).id, turn_of(1, theirs).id, turn_of(7, theirs).id}));
  first.outcome.emplace();
  write(put_outcome(first, epoch));
  EXPECT_EQ(open_turns(store_, 2).value(), (std::vector<policy::TurnId>{turn_of(2).id, turn_of(1, theirs).id}));
  EXPECT_EQ(open_turns(store_, 2, turn_of(1, theirs).id).value(), std::vector<policy::TurnId>{turn_of(7, theirs).id});
}

TEST_F(Conversations, GiveSummariesInOrderAndTheLatest) {
  for (const std::uint32_t version : {1U, 2U, 256U, 3U}) write(put_summary(ours, summary_of(version), epoch));
  write(put_summary(theirs, summary_of(999), epoch));
  EXPECT_EQ(read_summaries(store_, ours).value(),
            (std::vector<policy::Summary>{summary_of(1), summary_of(2), summary_of(3), summary_of(256)}));
  EXPECT_EQ(read_summaries(store_, ours, 2, 1).value(), std::vector<policy::Summary>{summary_of(2)});
  EXPECT_EQ(read_latest_summary(store_, ours).value(), summary_of(256));
}

TEST_F(Conversations, RefuseAHomeThatHasBeenReplaced) {
  accept(turn_of(1));
  const auto write_under = [&](std::uint64_t other) {
    return store_.write({{.puts = put_accepted(turn_of(2), other), .fence = fence_of(ours, other)}}).front().has_value();
  };
  EXPECT_FALSE(write_under(epoch - 1));
  EXPECT_EQ(read_turns(store_, ours, 1, 10).value().size(), 1U);
  EXPECT_TRUE(write_under(epoch + 1));
  EXPECT_EQ(read_epoch(store_, ours).value(), epoch + 1);
  EXPECT_EQ(read_epoch(store_, theirs).value(), 0U);
}

TEST_F(Conversations, NameTheRecordThatIsDamaged) {
  const auto id = turn_of(6).id;
  const auto spoiled = [](Put put) {
    put.value = "damaged!";
    return put;
  };
  write(spoiled(put_conversation({.id = ours, .created_ms = 0, .turns = 0, .summary_version = 0}, epoch)));
  expect_refused(read_conversation(store_, ours), {to_string(ours)});

  accept(turn_of(6));
  write(put_plan(id, plan_of(0), epoch));
  write(put_plan(id, plan_of(1), epoch));
  ASSERT_TRUE(read_turn(store_, id));
  write(spoiled(put_result(id, 1, {}, epoch)));
  expect_refused(read_turn(store_, id), {to_string(ours), "turn 6", "result of attempt 1"});
  expect_refused(read_turns(store_, ours, 1, 9), {to_string(ours), "turn 6", "result of attempt 1"});
  write(spoiled(put_plan(id, plan_of(1), epoch)));
  expect_refused(read_turn(store_, id), {"turn 6", "plan of attempt 1"});
  write(spoiled(put_accepted(turn_of(6), epoch).front()));
  expect_refused(read_turn(store_, id), {to_string(ours), "turn 6"});

  accept(turn_of(7));
  auto ended = turn_of(7);
  ended.outcome.emplace();
  write(spoiled(put_outcome(ended, epoch).front()));
  expect_refused(read_turn(store_, ended.id), {"turn 7", "its end"});
  write(spoiled(put_summary(ours, summary_of(1), epoch)));
  expect_refused(read_summaries(store_, ours), {to_string(ours), "summary"});
  expect_refused(read_latest_summary(store_, ours), {to_string(ours), "summary"});
  for (Put& put : put_accepted(turn_of(8), epoch)) {
    if (put.value && put.value->size() == 4) write(spoiled(put));
  }
  expect_refused(find_turn(store_, ours, "key 8"), {to_string(ours), "idempotency key"});
  const Fence fence = fence_of(theirs, 1);
  write(Put{.column = fence.column, .key = fence.key, .value = "short"});
  expect_refused(read_epoch(store_, theirs), {to_string(theirs), "epoch"});
}

TEST_F(Conversations, RefuseRecordsUnderTheKeyOfAnother) {
  const auto moved = [&](Put put, const Put& place) {
    put.key = place.key;
    write(std::move(put));
  };
  const auto record = [](policy::ConversationId id) {
    return put_conversation({.id = id, .created_ms = 0, .turns = 0, .summary_version = 0}, epoch);
  };
  moved(record(theirs), record(ours));
  expect_refused(read_conversation(store_, ours), {to_string(ours), to_string(theirs)});
  moved(put_accepted(turn_of(2), epoch).front(), put_accepted(turn_of(1), epoch).front());
  expect_refused(read_turn(store_, turn_of(1).id), {"turn 1", "turn 2"});
  moved(put_summary(ours, summary_of(2), epoch), put_summary(ours, summary_of(1), epoch));
  expect_refused(read_latest_summary(store_, ours), {"version 2", "of 1"});

  accept(turn_of(3));
  write(put_result(turn_of(3).id, 0, {}, epoch));
  expect_refused(read_turn(store_, turn_of(3).id), {"turn 3", "result of attempt 0", "no plan"});
  accept(turn_of(4));
  write(put_plan(turn_of(4).id, plan_of(1), epoch));
  expect_refused(read_turn(store_, turn_of(4).id), {"turn 4", "attempt 1"});
}

TEST_F(Conversations, KeepThePiecesOfARemoteAnswerInOrder) {
  const auto piece = [](std::int32_t index, const std::string& text) {
    return policy::Emission{index, {policy::remote_piece}, {0}, text};
  };
  EXPECT_TRUE(read_pieces(store_, turn_of(1).id, 0)->empty());
  write(put_pieces(turn_of(1).id, 0, {piece(0, "Se"), piece(1, "ven")}, epoch));
  write(put_pieces(turn_of(1).id, 0, {piece(2, " years")}, epoch));
  write(put_pieces(turn_of(1).id, 1, {piece(0, "another attempt")}, epoch));
  write(put_pieces(turn_of(2).id, 0, {piece(0, "another turn")}, epoch));
  EXPECT_EQ(*read_pieces(store_, turn_of(1).id, 0),
            (std::vector<policy::Emission>{piece(0, "Se"), piece(1, "ven"), piece(2, " years")}));
  write(put_pieces(turn_of(1).id, 0, {piece(4, "!")}, epoch));
  expect_refused(read_pieces(store_, turn_of(1).id, 0), {"pieces of attempt 0", "index 4", "3 follows"});
}

/// What a conversation writes over its life, in random order and beside others, against a model of plain values.
TEST(ConversationsModel, ReadBackAsTheyWereWritten) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    MemoryStore store;
    std::vector<policy::ConversationId> names{ours, theirs, tests::random_name<policy::ConversationId>(random)};
    std::map<policy::TurnId, policy::Turn> turns;
    std::map<std::pair<policy::ConversationId, std::uint32_t>, policy::Summary> summaries;
    std::map<std::pair<policy::ConversationId, std::string>, std::uint32_t> keys;
    std::set<policy::TurnId> open;
    for (int step = 0; step < 60; ++step) {
      const policy::TurnId id{.conversation = names[random.below(names.size())],
                              .number = 1 + static_cast<std::uint32_t>(random.below(4))};
      std::vector<Put> puts;
      const auto found = turns.find(id);
      if (found == turns.end()) {
        const auto turn = turns[id] = tests::random_accepted(random, id);
        open.insert(id);
        if (!turn.ask.idempotency_key.empty()) keys[{id.conversation, turn.ask.idempotency_key}] = id.number;
        puts = put_accepted(turn, epoch);
      } else if (policy::Turn& turn = found->second; random.chance(0.2F)) {
        const auto version = 1 + static_cast<std::uint32_t>(random.below(3));
        const auto& summary = summaries[{id.conversation, version}] = tests::random_summary(random, version);
        puts = {put_summary(id.conversation, summary, epoch)};
      } else if (turn.outcome) {
        continue;
      } else if (random.chance(0.3F)) {
        turn.outcome = tests::random_outcome(random);
        turn.ended_ms = step;
        turn.kind = tests::random_text(random);
        open.erase(id);
        puts = put_outcome(turn, epoch);
      } else if (!turn.attempts.empty() && !turn.attempts.back().result) {
        turn.attempts.back().result = tests::random_result(random);
        puts = {put_result(id, turn.attempts.back().plan.attempt, *turn.attempts.back().result, epoch)};
      } else {
        turn.attempts.push_back(
            {.plan = tests::random_plan(random, static_cast<std::int32_t>(turn.attempts.size())), .result = std::nullopt});
        puts = {put_plan(id, turn.attempts.back().plan, epoch)};
      }
      ASSERT_TRUE(store.write({{.puts = puts, .fence = fence_of(id.conversation, epoch)}}).front());
    }

    EXPECT_EQ(open_turns(store, 100).value(), std::vector<policy::TurnId>(open.begin(), open.end()));
    for (const auto& [key, number] : keys) EXPECT_EQ(find_turn(store, key.first, key.second).value(), number);
    for (const auto& name : names) {
      const auto read = read_turns(store, name, 0, 100).value();
      auto expected = turns.lower_bound({.conversation = name, .number = 0});
      for (const auto& turn : read) {
        ASSERT_NE(expected, turns.end());
        ASSERT_EQ(schemas::encode(turn, epoch), schemas::encode((expected++)->second, epoch)) << "equal values, equal bytes";
      }
      EXPECT_EQ(expected, turns.lower_bound({.conversation = name, .number = last_number})) << "none is missing";
      std::vector<policy::Summary> versions;
      for (const auto& [key, summary] : summaries) {
        if (key.first == name) versions.push_back(summary);
      }
      EXPECT_EQ(read_summaries(store, name).value(), versions);
      const auto latest = read_latest_summary(store, name).value();
      EXPECT_EQ(latest.has_value(), !versions.empty());
      if (latest) {
        EXPECT_EQ(*latest, versions.back());
      }
    }
  }
}

}  // namespace
}  // namespace troupe::storage
