// Where a conversation's records are, and access to them as values. Who may write, and when, is the conversation's business
// (a batch of these with fence_of, committed through a Journal); what the records are is schemas/records.hpp's.
//
// A key is: tenant (u64), conversation (16 bytes), kind (one byte), turn or version (u32), attempt (u32), all big-endian, so
// that what is read together stands together and in order. A tenant's index of open turns stands under the conversation of
// zeroes, which no conversation is called.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "policy/pins.hpp"
#include "policy/turn.hpp"
#include "schemas/records.hpp"
#include "storage/store.hpp"

namespace troupe::storage {

/// The first part of every key, until there are tenants.
inline constexpr std::uint64_t default_tenant = 0;

// What to write. `epoch` is that of the writer's lease, here and in the fence.

/// Refuses what comes from a home that has been replaced.
Fence fence_of(policy::ConversationId conversation, std::uint64_t epoch);
Put put_conversation(const schemas::ConversationRecord& record, std::uint64_t epoch);
/// The turn without attempts, its entry among the open turns, and its idempotency key if it has one.
std::vector<Put> put_accepted(const policy::Turn& turn, std::uint64_t epoch);
Put put_plan(policy::TurnId turn, const policy::AttemptPlan& plan, std::uint64_t epoch);
Put put_result(policy::TurnId turn, std::int32_t attempt, const policy::AttemptResult& result, std::uint64_t epoch);
/// What a remote model's attempt sent next: at least one piece, which follows on those that are there.
Put put_pieces(policy::TurnId turn, std::int32_t attempt, const std::vector<policy::Emission>& pieces, std::uint64_t epoch);
/// What the turn's search found, for all attempts of the turn: what its sources say must not depend on what becomes of the
/// corpus.
Put put_found(policy::TurnId turn, const std::vector<policy::FoundPassage>& passages, std::uint64_t epoch);
/// The turn's outcome (it must have one), with its kind and search; it is no longer open, and what it found is forgotten.
std::vector<Put> put_outcome(const policy::Turn& turn, std::uint64_t epoch);
Put put_summary(policy::ConversationId conversation, const policy::Summary& summary, std::uint64_t epoch);

/// Its version must be greater than 0.
Put put_pins(policy::ConversationId conversation, const policy::Pins& pins, std::uint64_t epoch);

// What is there. A record that cannot be read, or is not the one that its key says, is an Error that names it.

Result<std::optional<schemas::ConversationRecord>> read_conversation(const Store& store, policy::ConversationId conversation);
/// Assembled from its records, with its attempts in order.
Result<std::optional<policy::Turn>> read_turn(const Store& store, policy::TurnId turn);
/// What its search found, the best first; nothing if nothing is kept of that, because it has ended or an older troupe began it.
Result<std::vector<policy::FoundPassage>> read_found(const Store& store, policy::TurnId turn);
/// What is durable of the pieces that an attempt has sent, in order.
Result<std::vector<policy::Emission>> read_pieces(const Store& store, policy::TurnId turn, std::int32_t attempt);
/// Turns from number `from` on, ascending, at most `limit`.
Result<std::vector<policy::Turn>> read_turns(const Store& store, policy::ConversationId conversation, std::uint32_t from,
                                             std::size_t limit);
/// Summaries from version `from` on, ascending, at most `limit`.
Result<std::vector<policy::Summary>> read_summaries(const Store& store, policy::ConversationId conversation,
                                                    std::uint32_t from = 1, std::size_t limit = 1024);
/// Those that were made when one of these turns was the newest that they cover: from turn `from` to `to`.
Result<std::vector<policy::Summary>> read_summaries_of(const Store& store, policy::ConversationId conversation,
                                                       std::uint32_t from, std::uint32_t to);
Result<std::optional<policy::Summary>> read_latest_summary(const Store& store, policy::ConversationId conversation);
/// The newest version; version 0 if nothing was ever pinned.
Result<policy::Pins> read_pins(const Store& store, policy::ConversationId conversation);
/// That version; `not_found` if there is none.
Result<policy::Pins> read_pins(const Store& store, policy::ConversationId conversation, std::uint32_t version);
/// The turn that was accepted with this key. An empty key finds none.
Result<std::optional<std::uint32_t>> find_turn(const Store& store, policy::ConversationId conversation,
                                               std::string_view idempotency_key);
/// Turns of all conversations that are accepted and have not ended, ascending, after `after` if that is given; at most `limit`.
Result<std::vector<policy::TurnId>> open_turns(const Store& store, std::size_t limit,
                                               const std::optional<policy::TurnId>& after = std::nullopt);
/// The epoch of the newest home that has written; 0 if none has.
Result<std::uint64_t> read_epoch(const Store& store, policy::ConversationId conversation);

}  // namespace troupe::storage
