#include "storage/rocks_block_disk.hpp"

#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <deque>
#include <ranges>
#include <string>
#include <vector>

#include "storage/big_endian.hpp"
#include "storage/rocks_log.hpp"

namespace troupe::storage {

using policy::BlockId;

namespace {

constexpr std::size_t write_buffer_bytes_max = std::size_t{16} << 20;
constexpr std::size_t table_cache_bytes = std::size_t{4} << 20;
constexpr std::size_t inlined_bytes_max = 64;             ///< what is shorter is not worth a place in a blob file
constexpr std::size_t bytes_min = std::size_t{32} << 20;  ///< below it, files are too small to be worth one
constexpr std::size_t generations_max = 4;

Error error_of(const rocksdb::Status& status, const std::string& doing) {
  return {status.IsCorruption() ? ErrorCode::corrupt : ErrorCode::io, doing + ": " + status.ToString()};
}

rocksdb::DBOptions options_of_all() {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.info_log = no_rocks_log();
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  return options;
}

rocksdb::ColumnFamilyOptions options_of_each(std::size_t bytes) {
  rocksdb::ColumnFamilyOptions options;
  options.write_buffer_size = std::clamp(bytes / 16, std::size_t{1} << 20, write_buffer_bytes_max);
  options.max_write_buffer_number = 2;
  options.enable_blob_files = true;
  options.min_blob_size = inlined_bytes_max;
  options.compression = rocksdb::kNoCompression;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(table_cache_bytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

/// A block has two entries, written together: its payload, which lies in a blob file, and a short one that says how long that
/// is, so that what is here can be listed without reading payloads.
enum class Entry : char { length = 'l', payload = 'p' };

std::string key_of(Entry entry, const BlockId& id) {
  std::string key(1, static_cast<char>(entry));
  key.append(reinterpret_cast<const char*>(id.bytes.data()), id.bytes.size());
  return key;
}

rocksdb::WriteOptions unsynced() {
  rocksdb::WriteOptions options;
  options.disableWAL = true;
  return options;
}

}  // namespace

/// A cache that forgets its oldest blocks would have to rewrite what stays, block by block, to get their room back (RocksDB's
/// FIFO compaction, which would not, leaves blob files alone). So blocks lie in generations, column families that are filled
/// one after another and dropped whole, which deletes their files.
class RocksBlockDisk::Database {
 public:
  explicit Database(std::size_t bytes) : bytes_max(bytes) {}

  ~Database() {
    if (!db) return;
    for (auto* generation : generations) {
      // Without a log, what is in memory would be lost.
      db->Flush(rocksdb::FlushOptions(), generation).PermitUncheckedError();
      db->DestroyColumnFamilyHandle(generation).PermitUncheckedError();
    }
  }

  rocksdb::Status open() {
    std::vector<std::string> names;
    // Where there is no database yet, none are listed.
    rocksdb::DB::ListColumnFamilies(options_of_all(), folder, &names).PermitUncheckedError();
    if (names.empty()) names = {rocksdb::kDefaultColumnFamilyName};
    const auto number = [](const std::string& name) {  // 0 for the default one
      std::uint64_t value = 0;
      std::from_chars(name.data(), name.data() + name.size(), value);
      return value;
    };
    std::ranges::sort(names, {}, number);
    next_number = number(names.back()) + 1;
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const auto& name : names) families.emplace_back(name, options_of_each(bytes_max));
    rocksdb::DB* opened = nullptr;
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    const auto status = rocksdb::DB::Open(options_of_all(), folder, families, &handles, &opened);
    if (!status.ok()) return status;
    db.reset(opened);
    generations.assign(handles.begin() + 1, handles.end());
    db->DestroyColumnFamilyHandle(handles.front()).PermitUncheckedError();  // of the default one, which stays empty
    if (generations.empty()) return begin_generation();
    std::uint64_t filled = 0;
    db->GetIntProperty(generations.back(), rocksdb::DB::Properties::kTotalBlobFileSize, &filled);
    current_bytes = filled;
    return rocksdb::Status::OK();
  }

  rocksdb::Status begin_generation() {
    if (!generations.empty()) db->Flush(rocksdb::FlushOptions(), generations.back()).PermitUncheckedError();
    while (generations.size() >= generations_max) {
      const auto dropped = db->DropColumnFamily(generations.front());
      if (!dropped.ok()) return dropped;
      db->DestroyColumnFamilyHandle(generations.front()).PermitUncheckedError();
      generations.pop_front();
    }
    rocksdb::ColumnFamilyHandle* generation = nullptr;
    const auto status = db->CreateColumnFamily(options_of_each(bytes_max), std::to_string(next_number), &generation);
    if (!status.ok()) return status;
    ++next_number;
    generations.push_back(generation);
    current_bytes = 0;
    return status;
  }

  std::unique_ptr<rocksdb::DB> db;
  std::string folder;
  std::size_t bytes_max;
  std::deque<rocksdb::ColumnFamilyHandle*> generations;  ///< the oldest first; the last one is written to
  std::uint64_t next_number = 1;
  std::size_t current_bytes = 0;  ///< written to the last one
};

RocksBlockDisk::RocksBlockDisk(std::unique_ptr<Database> database) : database_(std::move(database)) {}
RocksBlockDisk::~RocksBlockDisk() = default;

Result<std::unique_ptr<RocksBlockDisk>> RocksBlockDisk::open(const std::filesystem::path& folder, std::size_t bytes) {
  if (bytes < bytes_min) {
    return Error{ErrorCode::out_of_range, "a disk level for KV blocks has at least " + std::to_string(bytes_min) +
                                              " bytes, and " + std::to_string(bytes) + " were asked for"};
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return Error{ErrorCode::io, "making the folder " + folder.string() + ": " + error.message()};
  auto database = std::make_unique<Database>(bytes);
  database->folder = folder.string();
  auto status = database->open();
  if (status.IsCorruption()) {
    // It holds nothing that cannot be computed again.
    rocksdb::DestroyDB(database->folder, rocksdb::Options()).PermitUncheckedError();
    status = database->open();
  }
  if (!status.ok()) return error_of(status, "opening the KV blocks in " + database->folder);
  return std::unique_ptr<RocksBlockDisk>(new RocksBlockDisk(std::move(database)));
}

Result<void> RocksBlockDisk::put(const BlockId& id, std::uint64_t checksum, std::span<const std::byte> payload) {
  auto status = rocksdb::Status::OK();
  if (database_->current_bytes + payload.size() > database_->bytes_max / generations_max) {
    status = database_->begin_generation();
  }
  std::string value;
  value.reserve(std::max(sizeof checksum + payload.size(), inlined_bytes_max));
  append_big_endian(value, checksum);
  value.append(reinterpret_cast<const char*>(payload.data()), payload.size());
  std::string length;
  append_big_endian(length, std::uint64_t{payload.size()});
  rocksdb::WriteBatch batch;
  auto* generation = database_->generations.back();
  if (status.ok()) status = batch.Put(generation, key_of(Entry::length, id), length);
  if (status.ok()) status = batch.Put(generation, key_of(Entry::payload, id), value);
  if (status.ok()) status = database_->db->Write(unsynced(), &batch);
  if (!status.ok()) return error_of(status, "writing a KV block to " + database_->folder);
  database_->current_bytes += value.size();
  return {};
}

Result<std::optional<std::uint64_t>> RocksBlockDisk::get(const BlockId& id, std::span<std::byte> payload) {
  rocksdb::PinnableSlice value;
  auto status = rocksdb::Status::NotFound();
  for (auto* generation : database_->generations | std::views::reverse) {
    value.Reset();
    status = database_->db->Get(rocksdb::ReadOptions(), generation, key_of(Entry::payload, id), &value);
    if (!status.IsNotFound()) break;
  }
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return error_of(status, "reading a KV block of " + database_->folder);
  constexpr std::size_t header = sizeof(std::uint64_t);
  if (value.size() != header + payload.size()) {
    return Error{ErrorCode::corrupt, "a KV block of " + database_->folder + " has " + std::to_string(value.size()) +
                                         " bytes, expected " + std::to_string(header + payload.size())};
  }
  std::memcpy(payload.data(), value.data() + header, payload.size());
  return read_big_endian<std::uint64_t>({value.data(), header});
}

Result<void> RocksBlockDisk::remove(const BlockId& id) {
  rocksdb::WriteBatch batch;
  auto status = rocksdb::Status::OK();
  for (auto* generation : database_->generations) {
    if (status.ok()) status = batch.Delete(generation, key_of(Entry::length, id));
    if (status.ok()) status = batch.Delete(generation, key_of(Entry::payload, id));
  }
  if (status.ok()) status = database_->db->Write(unsynced(), &batch);
  if (!status.ok()) return error_of(status, "removing a KV block of " + database_->folder);
  return {};
}

Result<void> RocksBlockDisk::each(const std::function<void(const BlockId& id, std::size_t bytes)>& visit) {
  const std::string begin(1, static_cast<char>(Entry::length));
  for (auto* generation : database_->generations) {
    const std::unique_ptr<rocksdb::Iterator> each(database_->db->NewIterator(rocksdb::ReadOptions(), generation));
    for (each->Seek(begin); each->Valid() && each->key().starts_with(begin); each->Next()) {
      BlockId id;
      const auto bytes = read_big_endian<std::uint64_t>(each->value().ToStringView());
      if (each->key().size() != begin.size() + id.bytes.size() || !bytes) continue;
      std::memcpy(id.bytes.data(), each->key().data() + begin.size(), id.bytes.size());
      visit(id, *bytes);
    }
    if (!each->status().ok()) return error_of(each->status(), "listing the KV blocks of " + database_->folder);
  }
  return {};
}

}  // namespace troupe::storage
