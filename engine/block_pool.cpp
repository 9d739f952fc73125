#include "engine/block_pool.hpp"

#include <utility>

#include "base/check.hpp"

namespace troupe::engine {

BlockPool::BlockPool(std::int32_t blocks) {
  TROUPE_CHECK(blocks >= 0, "a pool has no negative number of blocks");
  entries_.resize(static_cast<std::size_t>(blocks));
  names_.reserve(entries_.size());
  free_.reserve(entries_.size());
  for (BlockIndex block = blocks; block > 0; --block) free_.push_back(block - 1);  // block 0 is taken first
}

const BlockPool::Entry& BlockPool::entry(BlockIndex block) const {
  TROUPE_CHECK(block >= 0 && block < blocks(), "a block's index lies in its pool");
  return entries_[static_cast<std::size_t>(block)];
}

BlockPool::Entry& BlockPool::entry(BlockIndex block) { return const_cast<Entry&>(std::as_const(*this).entry(block)); }

bool BlockPool::reserve(std::int32_t count) {
  TROUPE_CHECK(count >= 0, "no negative number of blocks is reserved");
  if (count > available()) return false;
  reserved_ += count;
  return true;
}

void BlockPool::unreserve(std::int32_t count) {
  TROUPE_CHECK(count >= 0 && count <= reserved_, "only what was promised is given back");
  reserved_ -= count;
}

std::optional<BlockIndex> BlockPool::next_victim() const {
  if (!free_.empty() || cached_.empty()) return std::nullopt;
  return cached_.front();
}

BlockIndex BlockPool::take_reserved() {
  TROUPE_CHECK(reserved_ > 0, "a block is taken only after it was reserved");
  if (free_.empty()) evict_one();
  const BlockIndex block = free_.back();
  free_.pop_back();
  entry(block).holders = 1;
  --reserved_;
  return block;
}

std::optional<BlockIndex> BlockPool::find(const BlockId& id) const {
  const auto found = names_.find(id);
  if (found == names_.end()) return std::nullopt;
  return found->second;
}

bool BlockPool::hold(BlockIndex block) {
  Entry& held = entry(block);
  if (held.holders == 0) {
    TROUPE_CHECK(held.id.has_value(), "nobody finds a free block, so nobody holds one that was not taken");
    if (available() == 0) return false;
    cached_.erase(held.cached);
  }
  ++held.holders;
  return true;
}

void BlockPool::release(BlockIndex block) {
  Entry& held = entry(block);
  TROUPE_CHECK(held.holders > 0, "only a held block is released");
  if (--held.holders > 0) return;
  if (held.id) {
    held.cached = cached_.insert(cached_.end(), block);
  } else {
    free_.push_back(block);
  }
}

bool BlockPool::name(BlockIndex block, const BlockId& id) {
  Entry& held = entry(block);
  TROUPE_CHECK(held.holders > 0, "only a held block is named");
  TROUPE_CHECK(!held.id || *held.id == id, "a block's contents, and so its name, stay while it is held");
  const auto [place, added] = names_.try_emplace(id, block);
  if (place->second != block) return false;
  held.id = id;
  return true;
}

std::optional<BlockId> BlockPool::name_of(BlockIndex block) const { return entry(block).id; }

std::int32_t BlockPool::holders(BlockIndex block) const { return entry(block).holders; }

std::vector<BlockId> BlockPool::names() const {
  std::vector<BlockId> all;
  all.reserve(names_.size());
  for (const auto& [id, block] : names_) all.push_back(id);
  return all;
}

void BlockPool::clear_cache() {
  while (!cached_.empty()) evict_one();
}

void BlockPool::evict_one() {
  TROUPE_CHECK(!cached_.empty(), "promises never exceed the free and the cached blocks");
  const BlockIndex block = cached_.front();
  cached_.pop_front();
  Entry& evicted = entry(block);
  names_.erase(*evicted.id);
  evicted.id.reset();
  free_.push_back(block);
  ++evictions_;
}

}  // namespace troupe::engine
