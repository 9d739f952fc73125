#include "storage/memory_store.hpp"

#include <utility>

#include "base/random.hpp"
#include "storage/fence.hpp"

namespace troupe::storage {

namespace {

std::uint64_t bytes_of(const std::vector<Put>& puts) {
  std::uint64_t bytes = 0;
  for (const Put& put : puts) bytes += put.key.size() + (put.value ? put.value->size() : 0);
  return bytes;
}

template <class Contents>
void put_all(Contents& contents, const std::vector<Put>& puts) {
  for (const Put& put : puts) {
    auto& column = contents[static_cast<std::size_t>(put.column)];
    if (put.value) {
      column[put.key] = *put.value;
    } else {
      column.erase(put.key);
    }
  }
}

}  // namespace

Result<std::optional<std::string>> MemoryStore::get(Column column, std::string_view key) const {
  const std::scoped_lock lock(mutex_);
  const auto& keys = current_[static_cast<std::size_t>(column)];
  const auto found = keys.find(key);
  if (found == keys.end()) return std::nullopt;
  return found->second;
}

Result<std::vector<KeyValue>> MemoryStore::scan(Column column, std::string_view begin, std::string_view end, std::size_t limit,
                                                bool backwards) const {
  const std::scoped_lock lock(mutex_);
  const auto& keys = current_[static_cast<std::size_t>(column)];
  std::vector<KeyValue> found;
  if (!end.empty() && end <= begin) return found;
  const auto first = keys.lower_bound(begin);
  const auto last = end.empty() ? keys.end() : keys.lower_bound(end);
  if (backwards) {
    for (auto each = last; each != first && found.size() < limit;) found.emplace_back(*--each);
  } else {
    for (auto each = first; each != last && found.size() < limit; ++each) found.emplace_back(*each);
  }
  return found;
}

std::vector<Result<void>> MemoryStore::write(const std::vector<WriteBatch>& batches) {
  std::function<void(std::uint64_t)> hook;
  {
    const std::scoped_lock lock(mutex_);
    hook = before_write_;
  }
  if (hook) {
    std::uint64_t bytes = 0;
    for (const WriteBatch& batch : batches) bytes += bytes_of(batch.puts);
    hook(bytes);
  }

  const std::scoped_lock lock(mutex_);
  Fences fences([this](Column column, std::string_view key) -> Result<std::optional<std::string>> {
    const auto& keys = current_[static_cast<std::size_t>(column)];
    const auto found = keys.find(key);
    if (found == keys.end()) return std::nullopt;
    return found->second;
  });
  std::vector<Result<void>> results;
  std::vector<std::vector<Put>> accepted;
  std::uint64_t bytes = 0;
  for (const WriteBatch& batch : batches) {
    std::vector<Put> puts = batch.puts;
    Result<void> result;
    if (batch.fence) {
      auto raised = fences.admit(*batch.fence);
      if (!raised) result = Error(std::move(raised).error());
      if (raised && *raised) puts.push_back(**std::move(raised));
    }
    if (result) {
      bytes += bytes_of(puts);
      accepted.push_back(std::move(puts));
    }
    results.push_back(std::move(result));
  }

  if (bytes_left_ && bytes > *bytes_left_) {
    for (auto& result : results) {
      if (!result) continue;
      result = Error{ErrorCode::io, "writing " + std::to_string(bytes) + " bytes: the disk has room for " +
                                        std::to_string(*bytes_left_) + "; make room, and try again"};
    }
    return results;
  }
  if (bytes_left_) *bytes_left_ -= bytes;
  for (auto& puts : accepted) {
    put_all(current_, puts);
    unsynced_.push_back(std::move(puts));
  }
  if (!skip_sync_) {
    for (const auto& puts : unsynced_) put_all(durable_, puts);
    unsynced_.clear();
  }
  return results;
}

void MemoryStore::fail_writes(std::optional<std::uint64_t> bytes_left) {
  const std::scoped_lock lock(mutex_);
  bytes_left_ = bytes_left;
}

void MemoryStore::skip_sync(bool skip) {
  const std::scoped_lock lock(mutex_);
  skip_sync_ = skip;
}

void MemoryStore::before_write(std::function<void(std::uint64_t bytes)> hook) {
  const std::scoped_lock lock(mutex_);
  before_write_ = std::move(hook);
}

void MemoryStore::crash(std::optional<std::uint64_t> tear) {
  const std::scoped_lock lock(mutex_);
  if (tear) {
    const std::uint64_t survivors = Random(*tear).below(unsynced_.size() + 1);
    for (std::uint64_t i = 0; i < survivors; ++i) put_all(durable_, unsynced_[i]);
  }
  unsynced_.clear();
  current_ = durable_;
}

std::size_t MemoryStore::unsynced() const {
  const std::scoped_lock lock(mutex_);
  return unsynced_.size();
}

}  // namespace troupe::storage
