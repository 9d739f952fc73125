// Where KV blocks lie that host memory has no room for: what a disk can do for them. RocksDB's BlobDB (rocks_block_disk.hpp),
// and a twin in memory that spoils things (memory_block_disk.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>

#include "base/result.hpp"
#include "policy/block.hpp"

namespace troupe::storage {

/// A cache: what was put may be gone later, oldest first, and a crash loses what was put last. Used by one thread at a time.
class BlockDisk {
 public:
  virtual ~BlockDisk() = default;
  virtual Result<void> put(const policy::BlockId& id, std::uint64_t checksum, std::span<const std::byte> payload) = 0;
  /// Fills `payload` and returns the checksum that was put with it; none if the block is not here. `corrupt` if what is here
  /// has another length. Whether the bytes are right only the checksum tells.
  virtual Result<std::optional<std::uint64_t>> get(const policy::BlockId& id, std::span<std::byte> payload) = 0;
  virtual Result<void> remove(const policy::BlockId& id) = 0;
  /// All blocks that are here, with their bytes.
  virtual Result<void> each(const std::function<void(const policy::BlockId& id, std::size_t bytes)>& visit) = 0;
};

}  // namespace troupe::storage
