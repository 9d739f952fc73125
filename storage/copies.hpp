// A conversation's records on their way from one node's store to another's, as they are, in pieces; and which conversations of
// a store are not for certain at home here. A copy carries a mark with the epoch of the home that made it: it is marked before
// anything of it may be elsewhere, and for as long as nobody knows whether this store or another one is the home's.
//
// A record's place is its key without tenant and conversation; the entries of a conversation in the index of open turns have
// places as well. So a copy is a list of places with values, and a piece of it a range of places with all
// that is in it. Pieces of one epoch may come late, twice and in any order: each says again what is true.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "policy/ask.hpp"
#include "storage/store.hpp"

namespace troupe::storage {

struct PieceLimits {
  std::size_t bytes_max = std::size_t{1} << 20;  ///< of places and values; one record may be more, and then stands alone
  std::size_t records_max = 1024;
};

struct Piece {
  std::string begin;              ///< the first place of the range; empty: the copy's first piece
  std::string end;                ///< behind its last; empty: the copy's last piece
  std::vector<KeyValue> records;  ///< all of the range, ascending by place
  friend bool operator==(const Piece&, const Piece&) = default;
};

/// The records from place `begin` on, as much as a piece holds.
Result<Piece> read_piece(const Store& store, policy::ConversationId conversation, std::string_view begin,
                         const PieceLimits& limits = {});
/// The epoch that a conversation's records carry as a copy, if they are marked as one.
Result<std::optional<std::uint64_t>> read_mark(const Store& store, policy::ConversationId conversation);
/// Marks what is there, or will be, as a copy of this epoch; fenced.
WriteBatch mark_copy(policy::ConversationId conversation, std::uint64_t epoch);
/// For the batch with which a home begins an epoch: its records are no copy.
Put unmark_copy(policy::ConversationId conversation);
/// Whatever is in the piece's range becomes what the piece says, in one batch that is fenced and keeps the mark. The copy must
/// be marked with that epoch (`unavailable` if it is not; whoever sends it begins again). `corrupt` for places that no record
/// has, or that are not in the range or not in order.
Result<WriteBatch> put_piece(const Store& store, policy::ConversationId conversation, std::uint64_t epoch, const Piece& piece);

struct Removal {
  WriteBatch batch;  ///< under the mark's epoch, so that it cannot touch a newer copy
  bool last = false;
};
/// Removes a marked copy, so many records at a time; the last batch removes its mark. The fence stays, and goes on refusing
/// what earlier homes may still have on its way.
Result<Removal> remove_copy(const Store& store, policy::ConversationId conversation, std::uint64_t epoch,
                            std::size_t records_max = 512);

struct Marked {
  policy::ConversationId conversation;
  std::uint64_t epoch = 0;
};
/// Copies, ascending, after `after`; at most `limit`.
Result<std::vector<Marked>> marked_copies(const Store& store, policy::ConversationId after, std::size_t limit);

struct StoredConversation {
  policy::ConversationId id;
  bool copy = false;  ///< marked
};
struct StoredPage {
  std::vector<StoredConversation> conversations;
  std::optional<policy::ConversationId> next;  ///< what to go on after; none: there are no more
};
/// Conversations of which there is any record, ascending, after `after`. Looks at `limit` at most; those of which only the
/// fence is left are among these, and are not told.
Result<StoredPage> stored_conversations(const Store& store, policy::ConversationId after, std::size_t limit);

}  // namespace troupe::storage
