// KV blocks on a disk: RocksDB with its BlobDB, which keeps large values out of the tree. This is the second of RocksDB's two
// doors. Nothing here is synced: it is a cache.
#pragma once

#include <filesystem>
#include <memory>

#include "storage/block_disk.hpp"

namespace troupe::storage {

class RocksBlockDisk final : public BlockDisk {
 public:
  /// Makes the folder if need be. What it takes of the disk stays near `bytes`: what was written first goes first, a quarter at
  /// a time.
  /// Errors as RocksStore::open.
  static Result<std::unique_ptr<RocksBlockDisk>> open(const std::filesystem::path& folder, std::size_t bytes);
  ~RocksBlockDisk() override;

  Result<void> put(const policy::BlockId& id, std::uint64_t checksum, std::span<const std::byte> payload) override;
  Result<std::optional<std::uint64_t>> get(const policy::BlockId& id, std::span<std::byte> payload) override;
  Result<void> remove(const policy::BlockId& id) override;
  Result<void> each(const std::function<void(const policy::BlockId& id, std::size_t bytes)>& visit) override;

 private:
  class Database;
  explicit RocksBlockDisk(std::unique_ptr<Database> database);
  std::unique_ptr<Database> database_;
};

}  // namespace troupe::storage
