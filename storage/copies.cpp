#include "storage/copies.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "storage/conversation_keys.hpp"
#include "storage/fence.hpp"

namespace troupe::storage {

namespace {

constexpr auto column = Column::conversations;
constexpr std::size_t scan_records = 64;
constexpr std::size_t number_bytes = sizeof(std::uint32_t);

std::string place_of(Kind kind) { return {static_cast<char>(kind)}; }
Kind kind_of(std::string_view place) { return static_cast<Kind>(static_cast<std::uint8_t>(place.front())); }

/// A range of places that stand together in the store, under one prefix.
struct Range {
  std::string begin;
  std::string end;
  std::string prefix;
  std::size_t left_out = 0;  ///< bytes of a place that its key does not repeat behind the prefix
  std::string key_of(std::string_view place) const {
    return left_out > 0 && place == end ? end_of_prefix(prefix) : prefix + std::string(place.substr(left_out));
  }
};

/// Where places of the conversation stand in the store: most under its prefix, those of open turns under that of an index.
class Places {
 public:
  explicit Places(policy::ConversationId conversation) {
    const std::string own = prefix_of(conversation);
    const auto behind = [](Kind kind) { return end_of_prefix(place_of(kind)); };
    ranges_ = {{place_of(Kind::conversation), place_of(Kind::open_turn), own},
               {place_of(Kind::open_turn), behind(Kind::open_turn), index_prefix_of(Kind::open_turn, conversation), 1},
               {place_of(Kind::pieces), behind(Kind::found), own}};
  }

  static bool known(Kind kind) {
    return (kind >= Kind::conversation && kind <= Kind::open_turn) || (kind >= Kind::pieces && kind <= Kind::found);
  }

  std::string key_of(std::string_view place) const {
    for (const Range& range : ranges_) {
      if (place < range.end) return range.key_of(place);
    }
    TROUPE_CHECK(false, "places are checked before they become keys");
    return {};
  }

  /// Records from `begin` to `end` (empty: to the last), as places, at most `limit`.
  Result<std::vector<KeyValue>> scan(const Store& store, std::string_view begin, std::string_view end,
                                     std::size_t limit) const {
    std::vector<KeyValue> found;
    for (const Range& range : ranges_) {
      const std::string_view from = std::max<std::string_view>(begin, range.begin);
      const std::string_view to = end.empty() ? range.end : std::min<std::string_view>(end, range.end);
      if (from >= to || found.size() >= limit) continue;
      TROUPE_TRY(auto more, store.scan(column, range.key_of(from), range.key_of(to), limit - found.size()));
      for (auto& [key, value] : more) {
        found.emplace_back(range.begin.substr(0, range.left_out) + key.substr(range.prefix.size()), std::move(value));
      }
    }
    return found;
  }

 private:
  std::vector<Range> ranges_;  ///< ascending
};

std::string mark_key_of(policy::ConversationId conversation) { return index_prefix_of(Kind::copy, conversation); }

Put put_mark(policy::ConversationId conversation, std::uint64_t epoch) {
  return {.column = column, .key = mark_key_of(conversation), .value = encode_epoch(epoch)};
}

std::string name_of(policy::ConversationId conversation) { return "a copy of conversation " + to_string(conversation); }

Result<void> check_piece(const Piece& piece) {
  const std::string* before = nullptr;
  for (const auto& [place, value] : piece.records) {
    const bool known = !place.empty() && Places::known(kind_of(place));
    const bool whole = known && (kind_of(place) != Kind::open_turn || place.size() == 1 + number_bytes);
    if (!whole)
      return Error{ErrorCode::corrupt, "a record at a place of " + std::to_string(place.size()) + " bytes where none can be"};
    if (place < piece.begin || (!piece.end.empty() && place >= piece.end) || (before != nullptr && place <= *before)) {
      return Error{ErrorCode::corrupt, "a record that is not in the piece's range, or not in order"};
    }
    before = &place;
  }
  return {};
}

policy::ConversationId id_in(std::string_view bytes) {
  policy::ConversationId id;
  for (std::size_t i = 0; i < id.bytes.size(); ++i) id.bytes[i] = static_cast<std::uint8_t>(bytes[i]);
  return id;
}

}  // namespace

Result<Piece> read_piece(const Store& store, policy::ConversationId conversation, std::string_view begin,
                         const PieceLimits& limits) {
  const Places places(conversation);
  Piece piece{.begin = std::string(begin), .end = {}, .records = {}};
  std::size_t bytes = 0;
  std::string from(begin);
  for (;;) {
    TROUPE_TRY(auto found, places.scan(store, from, {}, scan_records));
    for (auto& record : found) {
      bytes += record.first.size() + record.second.size();
      if (!piece.records.empty() && (bytes > limits.bytes_max || piece.records.size() >= limits.records_max)) {
        piece.end = record.first;
        return piece;
      }
      piece.records.push_back(std::move(record));
    }
    if (found.size() < scan_records) return piece;
    from = piece.records.back().first + '\0';
  }
}

Result<std::optional<std::uint64_t>> read_mark(const Store& store, policy::ConversationId conversation) {
  TROUPE_TRY(const auto bytes, store.get(column, mark_key_of(conversation)));
  if (!bytes) return std::nullopt;
  auto epoch = decode_epoch(*bytes);
  if (!epoch) return std::move(epoch).error().within(name_of(conversation));
  return *epoch;
}

WriteBatch mark_copy(policy::ConversationId conversation, std::uint64_t epoch) {
  return {.puts = {put_mark(conversation, epoch)}, .fence = fence_of(conversation, epoch)};
}

Put unmark_copy(policy::ConversationId conversation) {
  return {.column = column, .key = mark_key_of(conversation), .value = std::nullopt};
}

Result<WriteBatch> put_piece(const Store& store, policy::ConversationId conversation, std::uint64_t epoch, const Piece& piece) {
  if (auto valid = check_piece(piece); !valid) return std::move(valid).error().within(name_of(conversation));
  TROUPE_TRY(const auto mark, read_mark(store, conversation));
  if (mark != epoch) {
    return Error{ErrorCode::unavailable, name_of(conversation) + " under epoch " + std::to_string(epoch) +
                                             " is not expected here" +
                                             (mark ? "; one under epoch " + std::to_string(*mark) + " is" : "")};
  }
  const Places places(conversation);
  WriteBatch batch{.puts = {put_mark(conversation, epoch)}, .fence = fence_of(conversation, epoch)};
  // What is there and not in the piece is no longer true. Both lists ascend.
  auto next = piece.records.begin();
  std::string from = piece.begin;
  for (;;) {
    TROUPE_TRY(const auto found, places.scan(store, from, piece.end, scan_records));
    for (const auto& [place, value] : found) {
      while (next != piece.records.end() && next->first < place) ++next;
      if (next != piece.records.end() && next->first == place) continue;
      batch.puts.push_back({.column = column, .key = places.key_of(place), .value = std::nullopt});
    }
    if (found.size() < scan_records) break;
    from = found.back().first + '\0';
  }
  for (const auto& [place, value] : piece.records) {
    batch.puts.push_back({.column = column, .key = places.key_of(place), .value = value});
  }
  return batch;
}

Result<Removal> remove_copy(const Store& store, policy::ConversationId conversation, std::uint64_t epoch,
                            std::size_t records_max) {
  const Places places(conversation);
  Removal removal;
  TROUPE_TRY(const auto found, places.scan(store, {}, {}, records_max));
  for (const auto& [place, value] : found) {
    removal.batch.puts.push_back({.column = column, .key = places.key_of(place), .value = std::nullopt});
  }
  removal.batch.fence = fence_of(conversation, epoch);
  removal.last = found.size() < records_max;
  if (removal.last) removal.batch.puts.push_back(unmark_copy(conversation));
  return removal;
}

Result<std::vector<Marked>> marked_copies(const Store& store, policy::ConversationId after, std::size_t limit) {
  const std::string prefix = prefix_of(policy::ConversationId{}, Kind::copy);
  TROUPE_TRY(const auto entries, store.scan(column, mark_key_of(after) + '\0', end_of_prefix(prefix), limit));
  std::vector<Marked> marked;
  for (const auto& [key, value] : entries) {
    if (key.size() != prefix.size() + after.bytes.size()) {
      return Error{ErrorCode::corrupt, "a copy's mark of " + std::to_string(key.size()) + " bytes; the record is damaged"};
    }
    const auto id = id_in(std::string_view(key).substr(prefix.size()));
    auto epoch = decode_epoch(value);
    if (!epoch) return std::move(epoch).error().within(name_of(id));
    marked.push_back({id, *epoch});
  }
  return marked;
}

Result<StoredPage> stored_conversations(const Store& store, policy::ConversationId after, std::size_t limit) {
  StoredPage page;
  std::string tenant;
  append_big_endian(tenant, default_tenant);
  const std::string end = end_of_prefix(tenant);
  std::string from = end_of_prefix(prefix_of(after));
  for (std::size_t looked = 0; looked < limit; ++looked) {
    // The fence, and the first record.
    TROUPE_TRY(const auto found, store.scan(column, from, end, 2));
    if (found.empty()) return page;
    const std::string& key = found.front().first;
    if (key.size() <= tenant.size() + after.bytes.size()) {
      return Error{ErrorCode::corrupt,
                   "a conversation's key of " + std::to_string(key.size()) + " bytes; the record is damaged"};
    }
    const auto id = id_in(std::string_view(key).substr(tenant.size()));
    const std::string prefix = prefix_of(id);
    page.next = id;
    from = end_of_prefix(prefix);
    const bool only_fence = key.substr(prefix.size(), 1) == std::string(1, static_cast<char>(Kind::epoch)) &&
                            (found.size() < 2 || !found.back().first.starts_with(prefix));
    if (only_fence) continue;
    TROUPE_TRY(const auto mark, read_mark(store, id));
    page.conversations.push_back({id, mark.has_value()});
  }
  return page;
}

}  // namespace troupe::storage
