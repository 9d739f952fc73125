// Where RocksDB's own messages go: nowhere. What it has to say about a failure is in the status that it returns.
#pragma once

#include <rocksdb/env.h>

#include <memory>

namespace troupe::storage {

/// RocksDB would write its messages to a file of the data folder, and Debian's build ends the process (an assertion) at the
/// second message after one that a full disk refused: also while it opens a folder, and so while it recovers from a failed
/// write.
inline std::shared_ptr<rocksdb::Logger> no_rocks_log() {
  class NoLog final : public rocksdb::Logger {
   public:
    using rocksdb::Logger::Logv;
    void Logv(const char* /*format*/, va_list /*arguments*/) override {}
  };
  return std::make_shared<NoLog>();
}

}  // namespace troupe::storage
