// The levels below an engine's pool: KV blocks that the pool has evicted, in host memory within a budget, and on a disk within
// another. A block comes back only through KvCache::finish_import, which verifies it; so whatever happens to it here, a wrong
// one is not served.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/block_exchange.hpp"
#include "storage/block_disk.hpp"

namespace troupe::storage {

struct BlockStoreLimits {
  std::size_t host_bytes = std::size_t{256} << 20;         ///< of payloads; 0: none are kept in memory
  std::size_t disk_bytes = 0;                              ///< of payloads on the disk; 0: there is no disk
  std::size_t spilling_bytes_max = std::size_t{32} << 20;  ///< on their way to the disk; what exceeds it is dropped
  std::size_t reads_max = 256;                             ///< waiting; one more finds nothing
};

struct BlockStoreCounters {
  std::uint64_t kept = 0;     ///< blocks that were taken in
  std::uint64_t served = 0;   ///< blocks that were given back
  std::uint64_t wrong = 0;    ///< of these, dropped because they did not verify
  std::uint64_t dropped = 0;  ///< for want of room
  std::uint64_t failed = 0;   ///< writes and reads of the disk
  std::size_t host_bytes = 0;
  std::size_t disk_bytes = 0;
};

/// Used from any thread. Disk work is done on one thread of its own, or by whoever is injected.
class BlockStore final : public engine::EvictedBlocks {
 public:
  using Run = std::function<void(std::function<void()>)>;

  /// `disk` may be null. With `run`, work is handed to it, in order, instead of to a thread.
  BlockStore(const BlockStoreLimits& limits, std::unique_ptr<BlockDisk> disk, Run run = {});
  /// What is on its way to the disk is finished.
  ~BlockStore() override;
  BlockStore(const BlockStore&) = delete;
  BlockStore& operator=(const BlockStore&) = delete;

  /// Copies the block into host memory; what that pushes out goes on to the disk.
  void keep(const policy::BlockId& id, std::uint64_t checksum, std::span<const std::byte> payload) override;
  /// How many of the first blocks of `chain` are here.
  std::size_t count(std::span<const policy::BlockId> chain) const;

  /// Checksums of the blocks that were read, as many of the first as were found.
  using Read = std::function<void(std::vector<std::uint64_t> checksums)>;
  /// Fills the targets (one for each block) and calls `done`, from another thread. The targets belong to the store until then.
  void read(std::vector<policy::BlockId> chain, std::vector<std::span<std::byte>> targets, Read done);
  /// Forgets blocks that turned out to be wrong.
  void drop_wrong(std::span<const policy::BlockId> blocks);

  BlockStoreCounters counters() const;

 private:
  struct Kept {
    std::uint64_t checksum = 0;
    std::shared_ptr<const std::vector<std::byte>> payload;
    std::list<policy::BlockId>::iterator recent;
  };
  struct OnDisk {
    std::size_t bytes = 0;
    std::list<policy::BlockId>::iterator place;
  };

  using Works = std::vector<std::function<void()>>;

  void load_index();
  /// Moves what host memory has no room for towards the disk. Under the mutex; what is left to do is added to `works`.
  void shrink_host(Works& works);
  void spill(const policy::BlockId& id, Kept kept, Works& works);
  void write(const policy::BlockId& id, std::uint64_t checksum, const std::vector<std::byte>& payload);
  std::optional<std::uint64_t> read_one(const policy::BlockId& id, std::span<std::byte> target);
  void forget_on_disk(const policy::BlockId& id);
  void run(std::function<void()> work);
  void work();

  BlockStoreLimits limits_;
  std::unique_ptr<BlockDisk> disk_;  ///< used by work alone
  Run run_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<policy::BlockId, Kept> host_;
  std::list<policy::BlockId> host_recent_;  ///< least recently used first
  std::unordered_map<policy::BlockId, OnDisk> on_disk_;
  std::list<policy::BlockId> disk_order_;  ///< as they were put
  /// On their way to the disk: still found here.
  std::unordered_map<policy::BlockId, Kept> spilling_;
  std::size_t spilling_bytes_ = 0;
  std::size_t reads_ = 0;
  BlockStoreCounters counters_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace troupe::storage
