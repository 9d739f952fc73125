#include "schemas/records.hpp"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <cstring>
#include <limits>
#include <utility>

#include "base/check.hpp"
#include "schemas/records_codec.hpp"

namespace troupe::schemas {

namespace {

Error corrupt(const std::string& what) { return {ErrorCode::corrupt, "record: " + what + "; it is damaged"}; }

Result<void> check_kind(records::Record::Reader record, records::Record::Which kind, std::string_view name) {
  if (record.which() == kind) return {};
  return corrupt("of kind " + std::to_string(record.which()) + ", expected " + std::string(name) + ", which is kind " +
                 std::to_string(kind));
}

template <class Fill>
std::string sealed(std::uint64_t epoch, const Fill& fill_record, std::size_t bytes_max = RecordLimits::record_bytes_max) {
  capnp::MallocMessageBuilder message;
  auto record = message.initRoot<records::Record>();
  record.setVersion(records_version);
  record.setEpoch(epoch);
  fill_record(record);
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  TROUPE_CHECK(bytes.size() <= bytes_max, "a record is within RecordLimits before it is kept");
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

/// What `read_record` makes of a record that is of this version. The record is gone when it returns.
template <class Read>
auto opened(std::string_view bytes, std::size_t bytes_max, const Read& read_record)
    -> decltype(read_record(std::declval<records::Record::Reader>())) {
  if (bytes.size() > bytes_max) {
    return Error{ErrorCode::too_large,
                 "a record of " + std::to_string(bytes.size()) + " bytes, at most " + std::to_string(bytes_max) + " are read"};
  }
  if (bytes.empty() || bytes.size() % sizeof(capnp::word) != 0) {
    return corrupt(std::to_string(bytes.size()) + " bytes, expected whole words of 8");
  }
  // Strings are aligned for characters only, and Cap'n Proto reads words where they lie.
  auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  std::memcpy(static_cast<void*>(words.begin()), bytes.data(), bytes.size());
  capnp::ReaderOptions options;
  options.traversalLimitInWords = words.size() + 64;  // every word once: many pointers to one text do not multiply it
  options.nestingLimit = 16;                          // Record.turns.attempts.result.emissions.ids is half of it
  try {
    capnp::FlatArrayMessageReader message(words, options);
    if (message.getEnd() != words.end()) return corrupt("bytes after its end");
    const auto record = message.getRoot<records::Record>();
    if (record.getVersion() == 0) return corrupt("format version 0, formats are numbered from 1");
    if (record.getVersion() > records_version) {
      return Error{ErrorCode::unsupported, "a record of format version " + std::to_string(record.getVersion()) +
                                               ", this troupe reads up to " + std::to_string(records_version) +
                                               "; a newer one wrote it: run that one"};
    }
    return read_record(record);
  } catch (const kj::Exception& exception) {
    return corrupt(std::string(exception.getDescription().begin(), exception.getDescription().size()));
  }
}

template <class Value, class Get>
Result<Value> opened_as(std::string_view bytes, records::Record::Which kind, std::string_view name, const Get& get) {
  return opened(bytes, RecordLimits::record_bytes_max, [&](records::Record::Reader record) -> Result<Value> {
    TROUPE_TRY_DO(check_kind(record, kind, name));
    Value value;
    TROUPE_TRY_DO(read(get(record), value));
    return value;
  });
}

}  // namespace

std::string encode(const ConversationRecord& conversation, std::uint64_t epoch) {
  return sealed(epoch, [&](records::Record::Builder record) { write(conversation, record.initConversation()); });
}
std::string encode_accepted(const policy::Turn& turn, std::uint64_t epoch) {
  return sealed(epoch, [&](records::Record::Builder record) { write(turn, record.initAccepted()); });
}
std::string encode(const policy::AttemptPlan& plan, std::uint64_t epoch) {
  return sealed(epoch, [&](records::Record::Builder record) { write(plan, record.initPlan()); });
}
std::string encode(const policy::AttemptResult& result, std::uint64_t epoch) {
  return sealed(epoch, [&](records::Record::Builder record) { write(result, record.initResult()); });
}
std::string encode_pieces(const std::vector<policy::Emission>& pieces, std::uint64_t epoch) {
  return sealed(epoch, [&](records::Record::Builder record) { write(pieces, record.initPieces()); });
}
std::string encode(const EndedTurn& ended, std::uint64_t epoch) {
  return sealed(epoch, [&](records::Record::Builder record) { write(ended, record.initEnded()); });
}
std::string encode(const policy::Summary& summary, std::uint64_t epoch) {
  return sealed(epoch, [&](records::Record::Builder record) { write(summary, record.initSummary()); });
}
std::string encode(const policy::Pins& pins, std::uint64_t epoch) {
  return sealed(epoch, [&](records::Record::Builder record) { write(pins, record.initPins()); });
}
std::string encode_found(const std::vector<policy::FoundPassage>& passages, std::uint64_t epoch) {
  return sealed(epoch, [&](records::Record::Builder record) { write(passages, record.initFound()); });
}
std::string encode(const policy::Turn& turn, std::uint64_t epoch) {
  return sealed(epoch, [&](records::Record::Builder record) { write(turn, record.initTurn()); });
}
std::string encode(std::span<const policy::Turn> turns, std::uint64_t epoch) {
  const auto fill_turns = [&](records::Record::Builder record) {
    TROUPE_CHECK(turns.size() <= RecordLimits::turns_max, "lists are within RecordLimits before they are sent");
    auto list = record.initTurns(static_cast<unsigned>(turns.size()));
    for (unsigned i = 0; i < list.size(); ++i) write(turns[i], list[i]);
  };
  return sealed(epoch, fill_turns, std::numeric_limits<std::size_t>::max());
}

Result<ConversationRecord> decode_conversation(std::string_view bytes) {
  return opened_as<ConversationRecord>(bytes, records::Record::CONVERSATION, "a conversation",
                                       [](auto record) { return record.getConversation(); });
}
Result<policy::Turn> decode_accepted(std::string_view bytes) {
  return opened_as<policy::Turn>(bytes, records::Record::ACCEPTED, "an accepted turn",
                                 [](auto record) { return record.getAccepted(); });
}
Result<policy::AttemptPlan> decode_plan(std::string_view bytes) {
  return opened_as<policy::AttemptPlan>(bytes, records::Record::PLAN, "a plan", [](auto record) { return record.getPlan(); });
}
Result<policy::AttemptResult> decode_result(std::string_view bytes) {
  return opened_as<policy::AttemptResult>(bytes, records::Record::RESULT, "an attempt's result",
                                          [](auto record) { return record.getResult(); });
}
Result<std::vector<policy::Emission>> decode_pieces(std::string_view bytes) {
  return opened_as<std::vector<policy::Emission>>(bytes, records::Record::PIECES, "pieces of an answer",
                                                  [](auto record) { return record.getPieces(); });
}
Result<EndedTurn> decode_ended(std::string_view bytes) {
  return opened_as<EndedTurn>(bytes, records::Record::ENDED, "a turn's end", [](auto record) { return record.getEnded(); });
}
Result<policy::Summary> decode_summary(std::string_view bytes) {
  return opened_as<policy::Summary>(bytes, records::Record::SUMMARY, "a summary",
                                    [](auto record) { return record.getSummary(); });
}
Result<policy::Pins> decode_pins(std::string_view bytes) {
  return opened_as<policy::Pins>(bytes, records::Record::PINS, "pins", [](auto record) { return record.getPins(); });
}
Result<std::vector<policy::FoundPassage>> decode_found(std::string_view bytes) {
  return opened_as<std::vector<policy::FoundPassage>>(bytes, records::Record::FOUND, "what a search found",
                                                      [](auto record) { return record.getFound(); });
}
Result<policy::Turn> decode_turn(std::string_view bytes) {
  return opened_as<policy::Turn>(bytes, records::Record::TURN, "a turn", [](auto record) { return record.getTurn(); });
}

Result<std::vector<policy::Turn>> decode_turns(std::string_view bytes) {
  return opened(bytes, RecordLimits::turns_bytes_max, [](records::Record::Reader record) -> Result<std::vector<policy::Turn>> {
    TROUPE_TRY_DO(check_kind(record, records::Record::TURNS, "a list of turns"));
    const auto list = record.getTurns();
    if (list.size() > RecordLimits::turns_max) {
      return Error{ErrorCode::too_large, "turns: a list of " + std::to_string(list.size()) + ", at most " +
                                             std::to_string(RecordLimits::turns_max) + " are read"};
    }
    std::vector<policy::Turn> turns(list.size());
    for (unsigned i = 0; i < list.size(); ++i) TROUPE_TRY_DO(read(list[i], turns[i]));
    return turns;
  });
}

std::string encode(const policy::ShadowRecord& shadow) {
  return sealed(0, [&](records::Record::Builder record) { write(shadow, record.initShadow()); });
}
Result<policy::ShadowRecord> decode_shadow(std::string_view bytes) {
  return opened_as<policy::ShadowRecord>(bytes, records::Record::SHADOW, "a shadow",
                                         [](auto record) { return record.getShadow(); });
}

Result<std::uint64_t> decode_epoch(std::string_view bytes) {
  return opened(bytes, RecordLimits::turns_bytes_max,
                [](records::Record::Reader record) -> Result<std::uint64_t> { return record.getEpoch(); });
}

}  // namespace troupe::schemas
