// The parts of records, between plain values and Cap'n Proto: for the codecs of this folder, and for nobody else.
//
// `write(value, builder)` fills what `read(reader, value)` reads. A value that is written is within RecordLimits; one that is
// read is checked against them, and is worth nothing after an error. Reading may throw kj::Exception: whoever opens a message
// catches it.
#pragma once

#include <array>
#include <cstdint>

#include "base/name.hpp"
#include "base/result.hpp"
#include "policy/turn.hpp"
#include "schemas/records.capnp.h"
#include "schemas/records.hpp"

namespace troupe::schemas {

records::Tier to_wire(policy::Tier tier);
Result<void> read(records::Tier wire, policy::Tier& tier);
records::Priority to_wire(policy::Priority priority);
Result<void> read(records::Priority wire, policy::Priority& priority);

namespace detail {
void write_name(const std::array<std::uint8_t, 16>& bytes, records::Name128::Builder out);
Result<void> read_name(records::Name128::Reader in, std::array<std::uint8_t, 16>& bytes);
}  // namespace detail

template <class Tag>
void write(const Name128<Tag>& name, records::Name128::Builder out) {
  detail::write_name(name.bytes, out);
}
/// A name of nothing is `corrupt`.
template <class Tag>
Result<void> read(records::Name128::Reader in, Name128<Tag>& name) {
  return detail::read_name(in, name.bytes);
}

void write(const policy::Passage& passage, records::Passage::Builder out);
Result<void> read(records::Passage::Reader in, policy::Passage& passage);
void write(const policy::Sampling& sampling, records::Sampling::Builder out);
Result<void> read(records::Sampling::Reader in, policy::Sampling& sampling);
void write(const policy::ModelClass& model, records::ModelClass::Builder out);
Result<void> read(records::ModelClass::Reader in, policy::ModelClass& model);
void write(const policy::Ask& ask, records::Ask::Builder out);
Result<void> read(records::Ask::Reader in, policy::Ask& ask);
void write(const policy::Rung& rung, records::Rung::Builder out);
Result<void> read(records::Rung::Reader in, policy::Rung& rung);
void write(const policy::Message& message, records::Message::Builder out);
Result<void> read(records::Message::Reader in, policy::Message& message);
void write(const policy::TokenPrice& price, records::TokenPrice::Builder out);
Result<void> read(records::TokenPrice::Reader in, policy::TokenPrice& price);
void write(const policy::AttemptPlan& plan, records::AttemptPlan::Builder out);
Result<void> read(records::AttemptPlan::Reader in, policy::AttemptPlan& plan);
void write(const policy::Emission& emission, records::Emission::Builder out);
Result<void> read(records::Emission::Reader in, policy::Emission& emission);
void write(const std::vector<policy::FoundPassage>& passages, records::Found::Builder out);
Result<void> read(records::Found::Reader in, std::vector<policy::FoundPassage>& passages);
void write(const std::vector<policy::Emission>& pieces, records::Pieces::Builder out);
Result<void> read(records::Pieces::Reader in, std::vector<policy::Emission>& pieces);
void write(const policy::AttemptResult& result, records::AttemptResult::Builder out);
Result<void> read(records::AttemptResult::Reader in, policy::AttemptResult& result);
void write(const policy::TurnOutcome& outcome, records::Outcome::Builder out);
Result<void> read(records::Outcome::Reader in, policy::TurnOutcome& outcome);
/// `out` has room for all of them.
void write(const std::vector<policy::StageEntry>& entries, capnp::List<records::StageEntry>::Builder out);
Result<void> read(capnp::List<records::StageEntry>::Reader in, std::vector<policy::StageEntry>& entries);
void write(const policy::Summary& summary, records::Summary::Builder out);
Result<void> read(records::Summary::Reader in, policy::Summary& summary);

void write(const policy::ShadowRecord& shadow, records::Shadow::Builder out);
Result<void> read(records::Shadow::Reader in, policy::ShadowRecord& shadow);
void write(const policy::MemoryEntry& entry, records::MemoryEntry::Builder out);
Result<void> read(records::MemoryEntry::Reader in, policy::MemoryEntry& entry);
void write(const policy::LeftOut& left_out, records::LeftOut::Builder out);
Result<void> read(records::LeftOut::Reader in, policy::LeftOut& left_out);
/// What the plan says of the context: pins, what was recalled, what was left out.
void write_context(const policy::AttemptPlan& plan, records::AttemptPlan::Builder out);
Result<void> read_context(records::AttemptPlan::Reader in, policy::AttemptPlan& plan);
void write(const policy::Pins& pins, records::Pins::Builder out);
Result<void> read(records::Pins::Reader in, policy::Pins& pins);

void write(const ConversationRecord& conversation, records::Conversation::Builder out);
Result<void> read(records::Conversation::Reader in, ConversationRecord& conversation);
void write(const EndedTurn& ended, records::Ended::Builder out);
Result<void> read(records::Ended::Reader in, EndedTurn& ended);
/// Its id, ask, time, kind and search; the rest of the turn is left alone.
void write(const policy::Turn& turn, records::Accepted::Builder out);
Result<void> read(records::Accepted::Reader in, policy::Turn& turn);
/// All of it. What is read into must be empty.
void write(const policy::Turn& turn, records::Turn::Builder out);
Result<void> read(records::Turn::Reader in, policy::Turn& turn);

}  // namespace troupe::schemas
