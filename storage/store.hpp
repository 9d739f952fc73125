// Where durable things are: ordered keys in a few columns, written in batches that are whole or not there. RocksDB
// (rocks_store.hpp) on a disk; a twin in memory (memory_store.hpp) that can tear, fill up and slow down.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace troupe::storage {

/// A column family. The numbers are positions, not stored; the names are (store.cpp).
enum class Column : std::uint8_t { meta, conversations, leases, corpus, shadows };
inline constexpr std::size_t columns = 5;
std::string_view to_string(Column column);

struct Put {
  Column column = Column::meta;
  std::string key;
  std::optional<std::string> value;  ///< none: the key is removed
};

/// Whoever writes for an owner says which epoch it holds. A batch whose epoch is older than the one stored at `key` is refused
/// whole; a newer one is stored with it. So an owner that has been replaced cannot write, however late it notices.
struct Fence {
  Column column = Column::conversations;
  std::string key;
  std::uint64_t epoch = 0;
};

struct WriteBatch {
  std::vector<Put> puts;
  std::optional<Fence> fence;
};

using KeyValue = std::pair<std::string, std::string>;

/// Used by several threads at once; one process owns a store.
class Store {
 public:
  virtual ~Store() = default;
  virtual Result<std::optional<std::string>> get(Column column, std::string_view key) const = 0;
  /// Keys in [begin, end), ascending (descending if `backwards`), at most `limit`. An empty `end` is behind all keys.
  virtual Result<std::vector<KeyValue>> scan(Column column, std::string_view begin, std::string_view end, std::size_t limit,
                                             bool backwards = false) const = 0;
  /// On the disk when it returns: all of the batches, in order, as one. One result for each batch: a batch whose fence refuses
  /// it (`unavailable`) does not touch the others. An `io` error concerns all.
  virtual std::vector<Result<void>> write(const std::vector<WriteBatch>& batches) = 0;
};

/// The first key that is greater than all that begin with `prefix`; empty if there is none (only 0xff bytes).
std::string end_of_prefix(std::string_view prefix);

}  // namespace troupe::storage
