// A store on a disk: RocksDB, with a column family for each Column and an fsync for each write. This is RocksDB's door.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "storage/store.hpp"

namespace troupe::storage {

/// Any thread may call; writes take turns. After a write that failed (a full disk), the next one tries to bring the database
/// back, so that nothing but room is needed for it to go on; what is there can be read meanwhile. Should it have been closed
/// and not be opened again, reads try that too.
class RocksStore final : public Store {
 public:
  /// Makes the folder if it is not there, for its owner alone. `unavailable` if another process (or store) has it open,
  /// `invalid_argument` if it is not a folder or has somebody else's files, `corrupt` if what is in it is damaged,
  /// `unsupported` if a newer version made it, `io` otherwise.
  static Result<std::unique_ptr<RocksStore>> open(const std::filesystem::path& folder);
  ~RocksStore() override;
  RocksStore(const RocksStore&) = delete;
  RocksStore& operator=(const RocksStore&) = delete;

  Result<std::optional<std::string>> get(Column column, std::string_view key) const override;
  Result<std::vector<KeyValue>> scan(Column column, std::string_view begin, std::string_view end, std::size_t limit,
                                     bool backwards = false) const override;
  std::vector<Result<void>> write(const std::vector<WriteBatch>& batches) override;

 private:
  class Database;
  explicit RocksStore(std::unique_ptr<Database> database);

  /// Opens the database again if a failed write has left it closed.
  Result<void> bring_back() const;

  std::unique_ptr<Database> database_;
  mutable std::mutex writing_;     // one writer at a time, so that fences see what they decide on
  mutable std::shared_mutex use_;  // shared by all use; alone while the database is opened again
};

}  // namespace troupe::storage
