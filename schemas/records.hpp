// Records as bytes: what is durable of a conversation, and what of it crosses nodes. records.capnp is the format; nothing of
// Cap'n Proto is seen from outside. Keys and columns are storage's.
//
// Bytes are taken for hostile: their size is bounded before they are parsed, lists before they are allocated, and what is read
// cannot exceed what is there however its pointers are bent. Floats keep their bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "policy/found_passage.hpp"
#include "policy/pins.hpp"
#include "policy/shadow_record.hpp"
#include "policy/turn.hpp"

namespace troupe::schemas {

/// The format that is written, and the newest that is read.
inline constexpr std::uint16_t records_version = 1;

/// Bounds of what is written and read. Text is bounded by its record alone.
struct RecordLimits {
  static constexpr std::size_t record_bytes_max = std::size_t{16} << 20;
  static constexpr std::size_t turns_bytes_max = std::size_t{64} << 20;  ///< of a list of turns
  static constexpr std::size_t turns_max = 256;
  static constexpr std::size_t attempts_max = 64;  ///< of a turn
  static constexpr std::size_t stages_max = 64;    ///< of a turn's story
  static constexpr std::size_t prompt_ids_max = std::size_t{1} << 20;
  static constexpr std::size_t rungs_max = 8;  ///< of a plan's escalation
  static constexpr std::size_t passages_max = 256;
  static constexpr std::size_t messages_max = 8192;  ///< of a plan for a remote model
  static constexpr std::size_t emissions_max = 8192;
  static constexpr std::size_t recalled_max = 64;  ///< of a plan
  static constexpr std::size_t left_out_max = 256;
  static constexpr std::size_t memory_entries_max = 65536;  ///< of each list of a summary
  static constexpr std::size_t emission_ids_max = policy::Ask::tokens_limit;
};

/// What is kept of a conversation beside its turns and summaries.
struct ConversationRecord {
  policy::ConversationId id;
  std::int64_t created_ms = 0;        ///< since 1970, by the clock of its first home
  std::uint32_t turns = 0;            ///< accepted so far: the number of the newest
  std::uint32_t summary_version = 0;  ///< of the newest complete summary; 0: none
  friend bool operator==(const ConversationRecord&, const ConversationRecord&) = default;
};

/// What a turn's end adds to what was accepted and attempted.
struct EndedTurn {
  policy::TurnOutcome outcome;
  std::int64_t ended_ms = 0;
  std::string kind;  ///< these six as they were in the end; see policy::Turn
  std::string search;
  std::optional<double> retrieval_confidence = {};
  std::optional<double> kind_confidence = {};
  std::string kind_said = {};
  std::vector<policy::StageEntry> stages = {};
  friend bool operator==(const EndedTurn&, const EndedTurn&) = default;
};

/// `epoch` is that of the lease under which the record is written. Whoever makes a value keeps it within RecordLimits
/// (check_ask and the planner do); a record that nobody could read again is a bug, and stops the process instead of reaching a
/// disk.
std::string encode(const ConversationRecord& conversation, std::uint64_t epoch);
/// Of the turn: its id, ask, accepted_ms, and what it was taken for and searched, as far as that is known.
std::string encode_accepted(const policy::Turn& turn, std::uint64_t epoch);
std::string encode(const policy::AttemptPlan& plan, std::uint64_t epoch);
std::string encode(const policy::AttemptResult& result, std::uint64_t epoch);
/// What a remote model's attempt sent next.
std::string encode_pieces(const std::vector<policy::Emission>& pieces, std::uint64_t epoch);
std::string encode(const EndedTurn& ended, std::uint64_t epoch);
std::string encode(const policy::Summary& summary, std::uint64_t epoch);
std::string encode(const policy::Pins& pins, std::uint64_t epoch);
/// What a turn's search found.
std::string encode_found(const std::vector<policy::FoundPassage>& passages, std::uint64_t epoch);
std::string encode(const policy::Turn& turn, std::uint64_t epoch);
/// At most turns_max. What is larger than turns_bytes_max will be refused by its reader.
std::string encode(std::span<const policy::Turn> turns, std::uint64_t epoch);

/// `corrupt` if the bytes are no such record or contradict themselves, `too_large` if they exceed a limit, `unsupported` if a
/// newer troupe wrote them; the message names the field. Names must not be empty, turns and summaries are numbered from 1, and
/// every id of an emission has its probability.
Result<ConversationRecord> decode_conversation(std::string_view bytes);
Result<policy::Turn> decode_accepted(std::string_view bytes);
Result<policy::AttemptPlan> decode_plan(std::string_view bytes);
Result<policy::AttemptResult> decode_result(std::string_view bytes);
Result<std::vector<policy::Emission>> decode_pieces(std::string_view bytes);
Result<EndedTurn> decode_ended(std::string_view bytes);
Result<policy::Summary> decode_summary(std::string_view bytes);
Result<policy::Pins> decode_pins(std::string_view bytes);
Result<std::vector<policy::FoundPassage>> decode_found(std::string_view bytes);
Result<policy::Turn> decode_turn(std::string_view bytes);
Result<std::vector<policy::Turn>> decode_turns(std::string_view bytes);

/// What became of a turn that was drawn for a shadow. No home writes it, so its epoch is 0.
std::string encode(const policy::ShadowRecord& shadow);
Result<policy::ShadowRecord> decode_shadow(std::string_view bytes);

/// Under which epoch a record of any kind was written.
Result<std::uint64_t> decode_epoch(std::string_view bytes);

}  // namespace troupe::schemas
