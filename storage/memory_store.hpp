// The twin of a store for tests and the simulation: ordered maps that know what would be on the disk and what would not yet
// be. A test makes it fill up, forget, tear and slow down; without that it is a store like any other.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/store.hpp"

namespace troupe::storage {

class MemoryStore final : public Store {
 public:
  MemoryStore() = default;
  MemoryStore(const MemoryStore&) = delete;
  MemoryStore& operator=(const MemoryStore&) = delete;

  Result<std::optional<std::string>> get(Column column, std::string_view key) const override;
  Result<std::vector<KeyValue>> scan(Column column, std::string_view begin, std::string_view end, std::size_t limit,
                                     bool backwards = false) const override;
  std::vector<Result<void>> write(const std::vector<WriteBatch>& batches) override;

  /// The disk has room for this many more bytes of keys and values; a write that needs more fails whole (`io`) and uses
  /// none of them. Empty: there is room again.
  void fail_writes(std::optional<std::uint64_t> bytes_left);
  /// A writer that forgets fsync: while it is on, writes succeed and are read, and are durable only with the next write
  /// after it was turned off. A crash loses them.
  void skip_sync(bool skip);
  /// Called before each write with its bytes, on the writer's thread and outside of the lock: it may wait, or advance a
  /// clock.
  void before_write(std::function<void(std::uint64_t bytes)> hook);

  /// The machine stops and starts again: what is not durable is gone, except that with a `tear` a prefix of it, whose
  /// length the seed decides, has reached the disk. Batches are never cut. Faults stay as they are set.
  void crash(std::optional<std::uint64_t> tear = std::nullopt);
  /// Batches that a crash would lose.
  std::size_t unsynced() const;

 private:
  using Contents = std::array<std::map<std::string, std::string, std::less<>>, columns>;

  mutable std::mutex mutex_;
  Contents current_;
  Contents durable_;                        // without what is in unsynced_
  std::vector<std::vector<Put>> unsynced_;  // by batch, in order
  std::optional<std::uint64_t> bytes_left_;
  bool skip_sync_ = false;
  std::function<void(std::uint64_t)> before_write_;
};

}  // namespace troupe::storage
