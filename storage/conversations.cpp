#include "storage/conversations.hpp"

#include <limits>
#include <string>
#include <utility>

#include "base/check.hpp"
#include "storage/big_endian.hpp"
#include "storage/conversation_keys.hpp"
#include "storage/fence.hpp"

namespace troupe::storage {

namespace {

constexpr auto column = Column::conversations;
constexpr auto last_number = std::numeric_limits<std::uint32_t>::max();

std::string key_of(policy::ConversationId conversation, Kind kind, std::uint32_t number = 0, std::uint32_t attempt = 0) {
  std::string key = prefix_of(conversation, kind);
  append_big_endian(key, number);
  append_big_endian(key, attempt);
  return key;
}

std::string open_key_of(policy::TurnId turn) {
  std::string key = index_prefix_of(Kind::open_turn, turn.conversation);
  append_big_endian(key, turn.number);
  return key;
}

/// Turn (or version) and attempt, from the end of a key of `prefix`.
Result<std::pair<std::uint32_t, std::uint32_t>> numbers_of(std::string_view key, std::size_t prefix_bytes) {
  const auto both = read_big_endian<std::uint64_t>(key.substr(prefix_bytes));
  if (both) return std::pair(static_cast<std::uint32_t>(*both >> 32), static_cast<std::uint32_t>(*both));
  return Error{ErrorCode::corrupt, "a key of " + std::to_string(key.size()) + " bytes, expected " +
                                       std::to_string(prefix_bytes + 8) + "; the record is damaged"};
}

std::string name_of(policy::ConversationId conversation) { return "conversation " + to_string(conversation); }
std::string name_of(policy::TurnId turn) { return name_of(turn.conversation) + ", turn " + std::to_string(turn.number); }

Error misplaced(const std::string& what) {
  return {ErrorCode::corrupt, what + "; the record is damaged or stands under another's key"};
}

/// What `decode` makes of `bytes`; its error with the record's name in front.
template <class Decode>
auto decoded(const Decode& decode, std::string_view bytes, const std::string& name) -> decltype(decode(bytes)) {
  auto value = decode(bytes);
  if (!value) return std::move(value).error().within(name);
  return value;
}

/// The attempts of a turn: their plans in order, each with its result if it has one.
Result<void> read_attempts(const Store& store, policy::Turn& turn) {
  const auto all = [&](Kind kind) {
    const std::string end = key_of(turn.id.conversation, kind, turn.id.number, last_number);
    return store.scan(column, key_of(turn.id.conversation, kind, turn.id.number), end, schemas::RecordLimits::attempts_max);
  };
  const std::size_t prefix_bytes = prefix_of(turn.id.conversation, Kind::plan).size();
  TROUPE_TRY(const auto plans, all(Kind::plan));
  for (const auto& [key, bytes] : plans) {
    const std::string name = "plan of attempt " + std::to_string(turn.attempts.size());
    TROUPE_TRY(const auto numbers, numbers_of(key, prefix_bytes));
    TROUPE_TRY(auto plan, decoded(schemas::decode_plan, bytes, name));
    if (numbers.second != turn.attempts.size() || plan.attempt != static_cast<std::int32_t>(numbers.second)) {
      return misplaced(name + ": found attempt " + std::to_string(plan.attempt) + " under the key of " +
                       std::to_string(numbers.second));
    }
    turn.attempts.push_back({.plan = std::move(plan), .result = std::nullopt});
  }
  TROUPE_TRY(const auto results, all(Kind::result));
  for (const auto& [key, bytes] : results) {
    TROUPE_TRY(const auto numbers, numbers_of(key, prefix_bytes));
    const std::string name = "result of attempt " + std::to_string(numbers.second);
    if (numbers.second >= turn.attempts.size()) return misplaced(name + ": there is no plan of that attempt");
    TROUPE_TRY(turn.attempts[numbers.second].result, decoded(schemas::decode_result, bytes, name));
  }
  return {};
}

/// The turn whose accepted record is `bytes`, with all else that is kept of it.
Result<policy::Turn> assemble(const Store& store, policy::TurnId id, std::string_view bytes) {
  TROUPE_TRY(auto turn, schemas::decode_accepted(bytes));
  if (turn.id != id) return misplaced("found " + name_of(turn.id));
  TROUPE_TRY_DO(read_attempts(store, turn));
  TROUPE_TRY(const auto ending, store.get(column, key_of(id.conversation, Kind::ended, id.number)));
  if (!ending) return turn;
  TROUPE_TRY(auto ended, decoded(schemas::decode_ended, *ending, "its end"));
  turn.outcome = std::move(ended.outcome);
  turn.ended_ms = ended.ended_ms;
  turn.kind = std::move(ended.kind);
  turn.search = std::move(ended.search);
  turn.retrieval_confidence = ended.retrieval_confidence;
  turn.kind_confidence = ended.kind_confidence;
  turn.kind_said = std::move(ended.kind_said);
  turn.stages = std::move(ended.stages);
  return turn;
}

Result<policy::Turn> assemble_named(const Store& store, policy::TurnId id, std::string_view bytes) {
  auto turn = assemble(store, id, bytes);
  if (!turn) return std::move(turn).error().within(name_of(id));
  return turn;
}

Result<policy::Summary> summary_of(policy::ConversationId conversation, const KeyValue& entry) {
  const std::string name = name_of(conversation) + ", a summary";
  TROUPE_TRY(const auto numbers, numbers_of(entry.first, prefix_of(conversation, Kind::summary).size()));
  TROUPE_TRY(auto summary, decoded(schemas::decode_summary, entry.second, name));
  if (summary.version == numbers.first) return summary;
  return misplaced(name + ": found version " + std::to_string(summary.version) + " under the key of " +
                   std::to_string(numbers.first));
}

}  // namespace

Fence fence_of(policy::ConversationId conversation, std::uint64_t epoch) {
  return {.column = column, .key = key_of(conversation, Kind::epoch), .epoch = epoch};
}

Put put_conversation(const schemas::ConversationRecord& record, std::uint64_t epoch) {
  return {.column = column, .key = key_of(record.id, Kind::conversation), .value = schemas::encode(record, epoch)};
}

std::vector<Put> put_accepted(const policy::Turn& turn, std::uint64_t epoch) {
  const auto [conversation, number] = turn.id;
  std::vector<Put> puts;
  puts.push_back(
      {.column = column, .key = key_of(conversation, Kind::accepted, number), .value = schemas::encode_accepted(turn, epoch)});
  puts.push_back({.column = column, .key = open_key_of(turn.id), .value = std::string()});
  if (!turn.ask.idempotency_key.empty()) {
    std::string value;
    append_big_endian(value, number);
    puts.push_back({.column = column,
                    .key = prefix_of(conversation, Kind::idempotency_key) + turn.ask.idempotency_key,
                    .value = std::move(value)});
  }
  return puts;
}

Put put_plan(policy::TurnId turn, const policy::AttemptPlan& plan, std::uint64_t epoch) {
  const auto attempt = static_cast<std::uint32_t>(plan.attempt);
  return {.column = column,
          .key = key_of(turn.conversation, Kind::plan, turn.number, attempt),
          .value = schemas::encode(plan, epoch)};
}

Put put_result(policy::TurnId turn, std::int32_t attempt, const policy::AttemptResult& result, std::uint64_t epoch) {
  TROUPE_CHECK(attempt >= 0, "attempts are numbered from 0");
  return {.column = column,
          .key = key_of(turn.conversation, Kind::result, turn.number, static_cast<std::uint32_t>(attempt)),
          .value = schemas::encode(result, epoch)};
}

Put put_pieces(policy::TurnId turn, std::int32_t attempt, const std::vector<policy::Emission>& pieces, std::uint64_t epoch) {
  TROUPE_CHECK(attempt >= 0 && !pieces.empty(), "attempts are numbered from 0, and what is kept of one is something");
  std::string key = key_of(turn.conversation, Kind::pieces, turn.number, static_cast<std::uint32_t>(attempt));
  append_big_endian(key, static_cast<std::uint32_t>(pieces.front().first_index));
  return {.column = column, .key = std::move(key), .value = schemas::encode_pieces(pieces, epoch)};
}

Put put_found(policy::TurnId turn, const std::vector<policy::FoundPassage>& passages, std::uint64_t epoch) {
  return {.column = column,
          .key = key_of(turn.conversation, Kind::found, turn.number),
          .value = schemas::encode_found(passages, epoch)};
}

std::vector<Put> put_outcome(const policy::Turn& turn, std::uint64_t epoch) {
  TROUPE_CHECK(turn.outcome.has_value(), "a turn that ends has an outcome");
  const schemas::EndedTurn ended{.outcome = *turn.outcome,
                                 .ended_ms = turn.ended_ms,
                                 .kind = turn.kind,
                                 .search = turn.search,
                                 .retrieval_confidence = turn.retrieval_confidence,
                                 .kind_confidence = turn.kind_confidence,
                                 .kind_said = turn.kind_said,
                                 .stages = turn.stages};
  std::vector<Put> puts{{.column = column,
                         .key = key_of(turn.id.conversation, Kind::ended, turn.id.number),
                         .value = schemas::encode(ended, epoch)},
                        {.column = column, .key = open_key_of(turn.id), .value = std::nullopt}};
  if (!turn.search.empty()) {
    puts.push_back({.column = column, .key = key_of(turn.id.conversation, Kind::found, turn.id.number), .value = std::nullopt});
  }
  return puts;
}

Put put_summary(policy::ConversationId conversation, const policy::Summary& summary, std::uint64_t epoch) {
  return {
      .column = column, .key = key_of(conversation, Kind::summary, summary.version), .value = schemas::encode(summary, epoch)};
}

Put put_pins(policy::ConversationId conversation, const policy::Pins& pins, std::uint64_t epoch) {
  TROUPE_CHECK(pins.version > 0, "versions of pins are numbered from 1");
  return {.column = column, .key = key_of(conversation, Kind::pins, pins.version), .value = schemas::encode(pins, epoch)};
}

Result<std::optional<schemas::ConversationRecord>> read_conversation(const Store& store, policy::ConversationId conversation) {
  TROUPE_TRY(const auto bytes, store.get(column, key_of(conversation, Kind::conversation)));
  if (!bytes) return std::nullopt;
  TROUPE_TRY(auto record, decoded(schemas::decode_conversation, *bytes, name_of(conversation)));
  if (record.id != conversation) return misplaced(name_of(conversation) + ": found " + name_of(record.id));
  return record;
}

Result<std::optional<policy::Turn>> read_turn(const Store& store, policy::TurnId turn) {
  TROUPE_TRY(const auto bytes, store.get(column, key_of(turn.conversation, Kind::accepted, turn.number)));
  if (!bytes) return std::nullopt;
  TROUPE_TRY(auto assembled, assemble_named(store, turn, *bytes));
  return assembled;
}

Result<std::vector<policy::FoundPassage>> read_found(const Store& store, policy::TurnId turn) {
  TROUPE_TRY(const auto bytes, store.get(column, key_of(turn.conversation, Kind::found, turn.number)));
  if (!bytes) return std::vector<policy::FoundPassage>();
  return decoded(schemas::decode_found, *bytes, name_of(turn) + ", what its search found");
}

Result<std::vector<policy::Emission>> read_pieces(const Store& store, policy::TurnId turn, std::int32_t attempt) {
  const std::string prefix = key_of(turn.conversation, Kind::pieces, turn.number, static_cast<std::uint32_t>(attempt));
  const std::string name = name_of(turn) + ", pieces of attempt " + std::to_string(attempt);
  TROUPE_TRY(const auto entries, store.scan(column, prefix, end_of_prefix(prefix), schemas::RecordLimits::emissions_max));
  std::vector<policy::Emission> pieces;
  std::int32_t next_index = 0;
  for (const auto& [key, bytes] : entries) {
    TROUPE_TRY(auto more, decoded(schemas::decode_pieces, bytes, name));
    for (policy::Emission& piece : more) {
      if (piece.first_index != next_index) {
        return misplaced(name + ": found index " + std::to_string(piece.first_index) + " where " + std::to_string(next_index) +
                         " follows");
      }
      next_index += static_cast<std::int32_t>(piece.ids.size());
      pieces.push_back(std::move(piece));
    }
  }
  return pieces;
}

Result<std::vector<policy::Turn>> read_turns(const Store& store, policy::ConversationId conversation, std::uint32_t from,
                                             std::size_t limit) {
  const std::string prefix = prefix_of(conversation, Kind::accepted);
  TROUPE_TRY(const auto entries, store.scan(column, key_of(conversation, Kind::accepted, from), end_of_prefix(prefix), limit));
  std::vector<policy::Turn> turns;
  turns.reserve(entries.size());
  for (const auto& [key, bytes] : entries) {
    auto numbers = numbers_of(key, prefix.size());
    if (!numbers) return std::move(numbers).error().within(name_of(conversation));
    TROUPE_TRY(auto turn, assemble_named(store, {.conversation = conversation, .number = numbers->first}, bytes));
    turns.push_back(std::move(turn));
  }
  return turns;
}

Result<std::vector<policy::Summary>> read_summaries(const Store& store, policy::ConversationId conversation, std::uint32_t from,
                                                    std::size_t limit) {
  const std::string end = end_of_prefix(prefix_of(conversation, Kind::summary));
  TROUPE_TRY(const auto entries, store.scan(column, key_of(conversation, Kind::summary, from), end, limit));
  std::vector<policy::Summary> summaries;
  summaries.reserve(entries.size());
  for (const auto& entry : entries) {
    TROUPE_TRY(auto summary, summary_of(conversation, entry));
    summaries.push_back(std::move(summary));
  }
  return summaries;
}

Result<std::vector<policy::Summary>> read_summaries_of(const Store& store, policy::ConversationId conversation,
                                                       std::uint32_t from, std::uint32_t to) {
  constexpr std::size_t at_once = 256;
  std::vector<policy::Summary> found;
  for (std::uint32_t version = 1;;) {
    TROUPE_TRY(auto summaries, read_summaries(store, conversation, version, at_once));
    const bool more = summaries.size() == at_once;
    for (policy::Summary& summary : summaries) {
      version = summary.version + 1;
      if (summary.last_turn > to) return found;
      if (summary.last_turn >= from) found.push_back(std::move(summary));
    }
    if (!more) return found;
  }
}

Result<std::optional<policy::Summary>> read_latest_summary(const Store& store, policy::ConversationId conversation) {
  const std::string prefix = prefix_of(conversation, Kind::summary);
  TROUPE_TRY(const auto entries, store.scan(column, prefix, end_of_prefix(prefix), 1, true));
  if (entries.empty()) return std::nullopt;
  TROUPE_TRY(auto summary, summary_of(conversation, entries.front()));
  return summary;
}

Result<policy::Pins> read_pins(const Store& store, policy::ConversationId conversation) {
  const std::string prefix = prefix_of(conversation, Kind::pins);
  TROUPE_TRY(const auto entries, store.scan(column, prefix, end_of_prefix(prefix), 1, true));
  if (entries.empty()) return policy::Pins{};
  const std::string name = name_of(conversation) + ", its pins";
  TROUPE_TRY(const auto numbers, numbers_of(entries.front().first, prefix.size()));
  TROUPE_TRY(auto pins, decoded(schemas::decode_pins, entries.front().second, name));
  if (pins.version == numbers.first) return pins;
  return misplaced(name + ": found version " + std::to_string(pins.version) + " under the key of " +
                   std::to_string(numbers.first));
}

Result<policy::Pins> read_pins(const Store& store, policy::ConversationId conversation, std::uint32_t version) {
  if (version == 0) return policy::Pins{};
  const std::string name = name_of(conversation) + ", version " + std::to_string(version) + " of its pins";
  TROUPE_TRY(const auto bytes, store.get(column, key_of(conversation, Kind::pins, version)));
  if (!bytes) return Error{ErrorCode::not_found, name + ": there is no such record"};
  TROUPE_TRY(auto pins, decoded(schemas::decode_pins, *bytes, name));
  if (pins.version == version) return pins;
  return misplaced(name + ": found version " + std::to_string(pins.version));
}

Result<std::optional<std::uint32_t>> find_turn(const Store& store, policy::ConversationId conversation,
                                               std::string_view idempotency_key) {
  if (idempotency_key.empty()) return std::nullopt;
  const std::string key = prefix_of(conversation, Kind::idempotency_key) + std::string(idempotency_key);
  TROUPE_TRY(const auto bytes, store.get(column, key));
  if (!bytes) return std::nullopt;
  const auto number = read_big_endian<std::uint32_t>(*bytes);
  if (number && *number > 0) return *number;
  return misplaced(name_of(conversation) + ": an idempotency key that leads to no turn");
}

Result<std::vector<policy::TurnId>> open_turns(const Store& store, std::size_t limit,
                                               const std::optional<policy::TurnId>& after) {
  const std::string prefix = prefix_of({}, Kind::open_turn);
  const std::string begin = after ? open_key_of(*after) + '\0' : prefix;
  TROUPE_TRY(const auto entries, store.scan(column, begin, end_of_prefix(prefix), limit));
  std::vector<policy::TurnId> turns;
  turns.reserve(entries.size());
  for (const auto& entry : entries) {
    const auto rest = std::string_view(entry.first).substr(prefix.size());
    policy::TurnId turn;
    const auto name_bytes = turn.conversation.bytes.size();
    const auto number = rest.size() < name_bytes ? std::nullopt : read_big_endian<std::uint32_t>(rest.substr(name_bytes));
    if (!number) return misplaced("an open turn's key of " + std::to_string(entry.first.size()) + " bytes");
    for (std::size_t i = 0; i < name_bytes; ++i) turn.conversation.bytes[i] = static_cast<std::uint8_t>(rest[i]);
    turn.number = *number;
    turns.push_back(turn);
  }
  return turns;
}

Result<std::uint64_t> read_epoch(const Store& store, policy::ConversationId conversation) {
  TROUPE_TRY(const auto bytes, store.get(column, key_of(conversation, Kind::epoch)));
  if (!bytes) return 0;
  return decoded(decode_epoch, *bytes, name_of(conversation) + ", its epoch");
}

}  // namespace troupe::storage
