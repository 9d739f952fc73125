// A disk for KV blocks that is a map, and spoils what it keeps if it is told to.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <vector>

#include "storage/block_disk.hpp"

namespace troupe::tests {

class MemoryBlockDisk final : public storage::BlockDisk {
 public:
  using Spoil = std::function<void(const policy::BlockId& id, std::vector<std::byte>& payload)>;

  /// Blocks that are put from now on are spoilt so.
  void spoil(Spoil spoil) { spoil_ = std::move(spoil); }
  void fail(bool fail) { fail_ = fail; }
  std::size_t blocks() const { return blocks_.size(); }

  Result<void> put(const policy::BlockId& id, std::uint64_t checksum, std::span<const std::byte> payload) override {
    if (fail_) return Error{ErrorCode::io, "the disk is full"};
    Block& block = blocks_[id] = {checksum, {payload.begin(), payload.end()}};
    if (spoil_) spoil_(id, block.payload);
    return {};
  }
  Result<std::optional<std::uint64_t>> get(const policy::BlockId& id, std::span<std::byte> payload) override {
    if (fail_) return Error{ErrorCode::io, "the disk does not answer"};
    const auto found = blocks_.find(id);
    if (found == blocks_.end()) return std::nullopt;
    if (found->second.payload.size() != payload.size()) return Error{ErrorCode::corrupt, "the block has another length"};
    std::copy(found->second.payload.begin(), found->second.payload.end(), payload.begin());
    return found->second.checksum;
  }
  Result<void> remove(const policy::BlockId& id) override {
    blocks_.erase(id);
    return {};
  }
  Result<void> each(const std::function<void(const policy::BlockId& id, std::size_t bytes)>& visit) override {
    for (const auto& [id, block] : blocks_) visit(id, block.payload.size());
    return {};
  }

 private:
  struct Block {
    std::uint64_t checksum = 0;
    std::vector<std::byte> payload;
  };
  std::map<policy::BlockId, Block> blocks_;
  Spoil spoil_;
  bool fail_ = false;
};

}  // namespace troupe::tests
