#include "storage/rocks_store.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <fstream>
#include <span>
#include <utility>

#include "base/check.hpp"
#include "storage/fence.hpp"
#include "storage/rocks_log.hpp"

namespace troupe::storage {

namespace {

constexpr std::size_t write_buffer_bytes = std::size_t{8} << 20;        // of a column
constexpr std::size_t write_buffers_bytes_max = std::size_t{24} << 20;  // of all columns
constexpr std::size_t block_cache_bytes = std::size_t{16} << 20;
constexpr int open_files_max = 256;
constexpr std::size_t room_bytes_min = std::size_t{1} << 20;  // without so much on its disk, a database is not opened again

rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }

Error error_of(const rocksdb::Status& status, const std::string& doing) {
  if (status.IsCorruption()) {
    return {ErrorCode::corrupt, doing + ": " + status.ToString() + "; restore the data folder from a copy"};
  }
  return {ErrorCode::io, doing + ": " + status.ToString() + "; see that the disk has room and the folder can be written"};
}

Error open_error(const rocksdb::Status& status, const std::string& folder) {
  const std::string said = status.ToString();
  const bool other = said.find("While lock file") != std::string::npos;  // a process; then: a store of this one
  if (status.IsIOError() && (other || said.find("lock hold by current process") != std::string::npos)) {
    return {ErrorCode::unavailable, "the data folder " + folder + " is in use by another process (" + said +
                                        "); stop that one, or give this node a folder of its own"};
  }
  if (status.IsInvalidArgument()) {
    return {ErrorCode::unsupported, "the data folder " + folder + " has parts that this version does not know (" + said +
                                        "); run the version that made it"};
  }
  if (status.IsPathNotFound()) {  // the folder itself is there by now
    return {ErrorCode::corrupt, "the data folder " + folder + " lacks one of its files (" + said +
                                    "); restore it from a copy, or begin with an empty one"};
  }
  return error_of(status, "opening the data folder " + folder);
}

/// What a folder without a database holds that no database has left there, as far as a few names go; empty: nothing.
std::string foreign_files(const std::filesystem::path& folder) {
  constexpr std::size_t named_max = 3;
  std::vector<std::string> foreign;
  std::error_code unread;  // then the database says why it cannot be opened
  for (std::filesystem::directory_iterator entry(folder, unread); !unread && entry != std::filesystem::directory_iterator();
       entry.increment(unread)) {
    const std::string name = entry->path().filename().string();
    if (name == "CURRENT") return "";
    // What a first start leaves that was killed, and a disk of its own.
    const bool harmless = name == "LOCK" || name == "IDENTITY" || name.starts_with("MANIFEST-") || name.ends_with(".dbtmp") ||
                          name == "lost+found";
    if (!harmless) foreign.push_back(name);
  }
  std::ranges::sort(foreign);
  std::string names;
  for (const std::string& name : std::span(foreign).first(std::min(foreign.size(), named_max)))
    names += (names.empty() ? "" : ", ") + name;
  return foreign.size() > named_max ? names + ", ..." : names;
}

/// Whether a file of `room_bytes_min` can be written in the folder: quotas and limits count too, not only a full disk.
bool has_room(const std::filesystem::path& folder) {
  const auto file = folder / "room";
  bool written = false;
  {
    std::ofstream out(file, std::ios::binary | std::ios::trunc);
    const std::string piece(std::size_t{64} << 10, '\0');
    for (std::size_t bytes = 0; out && bytes < room_bytes_min; bytes += piece.size())
      out.write(piece.data(), static_cast<std::streamsize>(piece.size()));
    out.close();
    written = !out.fail();
  }
  std::error_code ignored;
  std::filesystem::remove(file, ignored);
  return written;
}

rocksdb::CompressionType compression() {
  const auto there = rocksdb::GetSupportedCompressions();
  const bool lz4 = std::find(there.begin(), there.end(), rocksdb::kLZ4Compression) != there.end();
  return lz4 ? rocksdb::kLZ4Compression : rocksdb::kNoCompression;
}

/// Small on purpose: a node's memory belongs to its models.
rocksdb::DBOptions database_options() {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.paranoid_checks = true;
  // The end of a log that a power cut tore was never acknowledged: it is dropped, and the node starts. Damage before that is
  // refused: whatever followed it was acknowledged. So is a log file that was complete and synced once, and is now missing or
  // short; and a store that is closed leaves nothing in its logs (`flush`).
  options.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  options.track_and_verify_wals_in_manifest = true;
  options.avoid_flush_during_recovery = true;  // a full disk can still be opened and read
  options.db_write_buffer_size = write_buffers_bytes_max;
  options.max_total_wal_size = 2 * write_buffers_bytes_max;
  options.max_background_jobs = 2;
  options.max_open_files = open_files_max;
  options.max_file_opening_threads = 1;
  options.info_log = no_rocks_log();
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

rocksdb::ColumnFamilyOptions column_options(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions options;
  options.write_buffer_size = write_buffer_bytes;
  options.max_write_buffer_number = 2;
  options.compression = compression();
  options.level_compaction_dynamic_level_bytes = true;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

/// The open database, and how it is brought back after a failed write.
class RocksStore::Database {
 public:
  explicit Database(std::string folder) : folder_(std::move(folder)) {}
  ~Database() { close(); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  rocksdb::Status open() {
    const auto cache = rocksdb::NewLRUCache(block_cache_bytes);
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    families.emplace_back(rocksdb::kDefaultColumnFamilyName, column_options(cache));  // RocksDB wants it; it stays empty
    for (std::size_t i = 0; i < columns; ++i) {
      families.emplace_back(std::string(to_string(static_cast<Column>(i))), column_options(cache));
    }
    rocksdb::DB* database = nullptr;
    auto status = rocksdb::DB::Open(database_options(), folder_, families, &handles_, &database);
    if (status.ok()) database_.reset(database);
    return status;
  }

  rocksdb::ColumnFamilyHandle* family(Column column) const {
    const auto place = static_cast<std::size_t>(column) + 1;
    TROUPE_CHECK(place < handles_.size(), "a column is one of those that were opened");
    return handles_[place];
  }

  Result<std::optional<std::string>> get(Column column, std::string_view key) const {
    TROUPE_TRY_DO(check_open());
    std::string value;
    const auto status = database_->Get(rocksdb::ReadOptions(), family(column), slice(key), &value);
    if (status.ok()) return value;
    if (status.IsNotFound()) return std::nullopt;
    return error_of(status, "reading a key of " + std::string(to_string(column)));
  }

  Result<std::vector<KeyValue>> scan(Column column, std::string_view begin, std::string_view end, std::size_t limit,
                                     bool backwards) const {
    TROUPE_TRY_DO(check_open());
    std::vector<KeyValue> found;
    if (!end.empty() && end <= begin) return found;
    const auto lower = slice(begin);
    const auto upper = slice(end);
    rocksdb::ReadOptions options;
    options.iterate_lower_bound = &lower;
    if (!end.empty()) options.iterate_upper_bound = &upper;
    const std::unique_ptr<rocksdb::Iterator> each(database_->NewIterator(options, family(column)));
    if (backwards) {
      each->SeekToLast();
    } else {
      each->SeekToFirst();
    }
    while (found.size() < limit && each->Valid()) {
      found.emplace_back(each->key().ToString(), each->value().ToString());
      if (backwards) {
        each->Prev();
      } else {
        each->Next();
      }
    }
    if (!each->status().ok()) return error_of(each->status(), "reading keys of " + std::string(to_string(column)));
    return found;
  }

  Result<void> write(rocksdb::WriteBatch& batch) {
    TROUPE_TRY_DO(check_open());
    rocksdb::WriteOptions options;
    options.sync = true;
    const auto status = database_->Write(options, &batch);
    failed_ = !status.ok();
    if (failed_) return error_of(status, "writing to the data folder " + folder_);
    return {};
  }

  /// Out of the logs, which nothing would tell us the end of, into files with checksums; as far as there is room.
  void flush() {
    if (!database_ || failed_) return;
    const rocksdb::Status ignored = database_->Flush(rocksdb::FlushOptions(), handles_);
  }

  bool failed() const { return failed_; }
  bool is_open() const { return database_ != nullptr; }

  /// After an error RocksDB refuses writes until it is resumed; some errors it cannot be resumed from, but opening it again
  /// replays its log. What the failed write left there may come back by that: it was answered with an error, which promises
  /// nothing. Nobody else uses the database meanwhile. Until there is room it stays as it is, so that it can be read.
  Result<void> recover() {
    if (!has_room(folder_)) {
      return Error{ErrorCode::io,
                   "the data folder " + folder_ + " has no room for " + std::to_string(room_bytes_min >> 20) +
                       " MiB more, so nothing is written there; make room on its disk, and writing goes on by itself"};
    }
    if (database_ && database_->Resume().ok()) {
      failed_ = false;
      return {};
    }
    close();
    if (const auto status = open(); !status.ok()) return open_error(status, folder_);
    failed_ = false;
    return {};
  }

 private:
  Result<void> check_open() const {
    if (database_) return {};
    return Error{ErrorCode::io,
                 "the data folder " + folder_ + " could not be opened again after a failed write; make room on its disk"};
  }

  void close() {
    for (auto* handle : handles_) database_->DestroyColumnFamilyHandle(handle);
    handles_.clear();
    database_.reset();
  }

  std::string folder_;
  std::unique_ptr<rocksdb::DB> database_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;  // the default one, then in the order of Column
  bool failed_ = false;
};

RocksStore::RocksStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}
RocksStore::~RocksStore() { database_->flush(); }

Result<std::unique_ptr<RocksStore>> RocksStore::open(const std::filesystem::path& folder) {
  std::error_code error;
  if (std::filesystem::exists(folder, error) && !std::filesystem::is_directory(folder, error)) {
    return Error{ErrorCode::invalid_argument,
                 folder.string() + " is not a folder; name one that is, or one that is not there yet"};
  }
  const bool made = std::filesystem::create_directories(folder, error);
  // What people have said is nobody else's: a folder that is made here is its owner's alone.
  if (made) std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  if (error) {
    return Error{ErrorCode::io, "making the data folder " + folder.string() + ": " + error.message() +
                                    "; name a folder that may be written (--data)"};
  }
  if (const std::string files = foreign_files(folder); !files.empty()) {
    return Error{ErrorCode::invalid_argument,
                 folder.string() + " holds no node's data, but other files (" + files +
                     "); name a folder that is empty, or not there yet, or restore what is missing in this one"};
  }
  auto database = std::make_unique<Database>(folder.string());
  if (const auto status = database->open(); !status.ok()) return open_error(status, folder.string());
  return std::unique_ptr<RocksStore>(new RocksStore(std::move(database)));
}

Result<void> RocksStore::bring_back() const {
  {
    const std::shared_lock lock(use_);
    if (database_->is_open()) return {};
  }
  const std::scoped_lock writing(writing_);
  const std::unique_lock alone(use_);
  return database_->is_open() ? Result<void>() : database_->recover();
}

Result<std::optional<std::string>> RocksStore::get(Column column, std::string_view key) const {
  TROUPE_TRY_DO(bring_back());
  const std::shared_lock lock(use_);
  return database_->get(column, key);
}

Result<std::vector<KeyValue>> RocksStore::scan(Column column, std::string_view begin, std::string_view end, std::size_t limit,
                                               bool backwards) const {
  TROUPE_TRY_DO(bring_back());
  const std::shared_lock lock(use_);
  return database_->scan(column, begin, end, limit, backwards);
}

std::vector<Result<void>> RocksStore::write(const std::vector<WriteBatch>& batches) {
  const std::scoped_lock writing(writing_);
  if (database_->failed()) {
    const std::unique_lock alone(use_);
    if (const auto recovered = database_->recover(); !recovered) return {batches.size(), Result<void>(recovered.error())};
  }

  const std::shared_lock lock(use_);
  Fences fences([this](Column column, std::string_view key) { return database_->get(column, key); });
  rocksdb::WriteBatch whole;
  std::vector<Result<void>> results;
  const auto add = [&](const Put& put) {
    auto* family = database_->family(put.column);
    const auto status = put.value ? whole.Put(family, slice(put.key), slice(*put.value)) : whole.Delete(family, slice(put.key));
    TROUPE_CHECK(status.ok(), "a batch in memory takes any key and value");
  };
  for (const WriteBatch& batch : batches) {
    std::optional<Put> raised;
    if (batch.fence) {
      auto admitted = fences.admit(*batch.fence);
      if (!admitted) {
        results.emplace_back(std::move(admitted).error());
        continue;
      }
      raised = *std::move(admitted);
    }
    std::for_each(batch.puts.begin(), batch.puts.end(), add);
    if (raised) add(*raised);
    results.emplace_back();
  }
  if (whole.Count() == 0) return results;

  if (const auto written = database_->write(whole); !written) {
    for (auto& result : results) {
      if (result) result = Result<void>(written.error());
    }
  }
  return results;
}

}  // namespace troupe::storage
