// KV blocks of a replica while others read or write them: they stay where they are, and are let go of when nobody is interested
// any more, whatever became of whoever was.
#pragma once

#include <functional>
#include <memory>
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
  /// Where an incoming block is to be written, within the replica's memory.
  std::size_t offset(std::size_t place) const;

  /// Verifies and names what has come, as KvCache::finish_import. Once; `finished` is called where blocks may be used.
  void finish(std::vector<std::uint64_t> checksums, Finished finished);

 private:
  std::shared_ptr<ReplicaBlocks> blocks_;
  engine::BlockImport import_;
  bool finished_ = false;
};

}  // namespace troupe::actors
