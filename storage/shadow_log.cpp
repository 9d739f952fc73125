#include "storage/shadow_log.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "schemas/records.hpp"
#include "storage/big_endian.hpp"
#include "storage/conversations.hpp"

namespace troupe::storage {

namespace {

constexpr auto column = Column::shadows;
/// Looked at for one page, wanted or not.
constexpr std::size_t stretch = 1024;

std::string prefix() {
  std::string key;
  append_big_endian(key, default_tenant);
  return key;
}

std::string key_of(std::uint64_t number) {
  std::string key = prefix();
  append_big_endian(key, number);
  return key;
}

Result<std::uint64_t> number_of(std::string_view key) {
  const auto number = key.size() < prefix().size() ? std::nullopt : read_big_endian<std::uint64_t>(key.substr(prefix().size()));
  if (number) return *number;
  return Error{ErrorCode::corrupt, "a key of " + std::to_string(key.size()) + " bytes in the log of shadows, expected " +
                                       std::to_string(prefix().size() + sizeof(std::uint64_t)) + "; the record is damaged"};
}

void leave_numbers(policy::ShadowRecord& record) {
  record.question.clear();
  record.client.text.clear();
  record.shadow.text.clear();
}

}  // namespace

Result<ShadowLogEnds> read_shadow_ends(const Store& store) {
  const std::string end = end_of_prefix(prefix());
  TROUPE_TRY(const auto oldest, store.scan(column, prefix(), end, 1));
  if (oldest.empty()) return ShadowLogEnds{};
  TROUPE_TRY(const auto newest, store.scan(column, prefix(), end, 1, true));
  ShadowLogEnds ends;
  TROUPE_TRY(ends.first, number_of(oldest.front().first));
  TROUPE_TRY(const auto last, number_of(newest.front().first));
  ends.next = last + 1;
  return ends;
}

std::vector<Put> put_shadow(const policy::ShadowRecord& record, ShadowLogEnds& ends, std::uint64_t records_max) {
  constexpr int removed_max = 2;
  std::vector<Put> puts;
  puts.push_back({.column = column, .key = key_of(ends.next), .value = schemas::encode(record)});
  ++ends.next;
  for (int removed = 0; removed < removed_max && ends.next - ends.first > records_max; ++removed) {
    puts.push_back({.column = column, .key = key_of(ends.first), .value = std::nullopt});
    ++ends.first;
  }
  return puts;
}

Result<policy::ShadowPage> read_shadows(const Store& store, const policy::ShadowQuery& query) {
  const std::size_t page_max = query.texts ? policy::ShadowPage::texts_max : policy::ShadowPage::numbers_max;
  const std::size_t wanted = std::min<std::size_t>(query.limit, page_max);
  TROUPE_TRY(const auto entries, store.scan(column, key_of(query.from), end_of_prefix(prefix()), stretch));
  policy::ShadowPage page;
  page.next = query.from;
  for (const auto& [key, bytes] : entries) {
    if (page.records.size() == wanted) {
      page.more = true;
      return page;
    }
    TROUPE_TRY(const std::uint64_t number, number_of(key));
    auto record = schemas::decode_shadow(bytes);
    if (!record) return std::move(record).error().within("shadow " + std::to_string(number));
    page.next = number + 1;
    if (record->at_ms < query.since_ms || (!query.experiment.empty() && record->experiment != query.experiment)) continue;
    if (!query.texts) leave_numbers(*record);
    page.records.push_back({number, *std::move(record)});
  }
  page.more = entries.size() == stretch;
  return page;
}

}  // namespace troupe::storage
