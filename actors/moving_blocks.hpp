// KV blocks of a replica while others read or write them: they stay where they are, and are let go of when nobody is interested
// any more, whatever became of whoever was.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "actors/replica.hpp"

namespace troupe::actors {

/// Blocks that are here and must not be evicted.
class PinnedBlocks {
 public:
  using Done = std::function<void(std::shared_ptr<PinnedBlocks>)>;
  /// Pins the first blocks of `chain` that are here. `done` is called where blocks may be used; not at all if the replica ends.
  static void pin(const std::shared_ptr<ReplicaBlocks>& blocks, std::vector<policy::BlockId> chain, Done done);

  PinnedBlocks(std::shared_ptr<ReplicaBlocks> blocks, std::vector<engine::PinnedBlock> pinned);
  ~PinnedBlocks();
  PinnedBlocks(const PinnedBlocks&) = delete;
  PinnedBlocks& operator=(const PinnedBlocks&) = delete;

  const std::vector<engine::PinnedBlock>& pinned() const { return pinned_; }

 private:
  std::shared_ptr<ReplicaBlocks> blocks_;
  std::vector<engine::PinnedBlock> pinned_;
};

/// Room in a pool for blocks that are about to come. Whoever writes into it holds this until it is done.
class IncomingBlocks {
 public:
  using Made = std::function<void(std::shared_ptr<IncomingBlocks>)>;
  using Finished = std::function<void(engine::BlocksImported)>;
  /// Makes room for what is not here of `chain`. `made` is called where blocks may be used; not at all if the replica ends.
  static void make(const std::shared_ptr<ReplicaBlocks>& blocks, std::vector<policy::BlockId> chain, Made made);

  IncomingBlocks(std::shared_ptr<ReplicaBlocks> blocks, engine::BlockImport import);
  ~IncomingBlocks();
  IncomingBlocks(const IncomingBlocks&) = delete;
  IncomingBlocks& operator=(const IncomingBlocks&) = delete;

  /// Of the chain, how many blocks were here already.
  std::size_t present() const { return import_.present.size(); }
  const std::vector<engine::BlockImport::Incoming>& incoming() const { return import_.incoming; }
  /// Where a fabric is to write an incoming block, within the replica's memory; the host can read that.
  std::size_t offset(std::size_t place) const;
  /// Where the host is to write the first of the incoming blocks: in their places, or, if it cannot reach those, in memory of
  /// this room, from which `finish` copies them. That holds staged_bytes_max at most; what exceeds it has no target.
  std::vector<std::span<std::byte>> targets();
  static constexpr std::size_t staged_bytes_max = std::size_t{256} << 20;

  /// Verifies and names what has come, as KvCache::finish_import. Once; `finished` is called where blocks may be used.
  void finish(std::vector<std::uint64_t> checksums, Finished finished);

 private:
  std::shared_ptr<ReplicaBlocks> blocks_;
  engine::BlockImport import_;
  std::shared_ptr<std::vector<std::byte>> staged_;  ///< the targets, block after block; null: they are in the pool
  bool finished_ = false;
};

}  // namespace troupe::actors
