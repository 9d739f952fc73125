// Who holds which KV block: the books of one pool of equal blocks, without the memory itself. A block is free, held (by one
// or more sequences) or cached (held by nobody, but named, and so of use to whoever needs the same prefix). Cached blocks are
// evicted least recently used first, and only when a free one is needed.
//
// A sequence is admitted by holding the blocks that its prefix finds here, then reserving the rest of its worst case; if either
// is refused it releases what it holds and waits. From then on `take_reserved` cannot fail. It releases its last block first,
// so that a prefix outlives what builds on it. Used by one thread at a time.
#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <unordered_map>
#include <vector>

#include "engine/block_id.hpp"

namespace troupe::engine {

/// A block's place in its pool.
using BlockIndex = std::int32_t;

/// Misuse (an index that is not in the pool, releasing what nobody holds, taking what was not promised) is a bug and stops
/// the process.
class BlockPool {
 public:
  explicit BlockPool(std::int32_t blocks);
  BlockPool(BlockPool&&) = default;
  BlockPool& operator=(BlockPool&&) = default;
  BlockPool(const BlockPool&) = delete;  // a copy would promise the same memory twice
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool() = default;

  std::int32_t blocks() const { return static_cast<std::int32_t>(entries_.size()); }
  std::int32_t free() const { return static_cast<std::int32_t>(free_.size()); }
  std::int32_t cached() const { return static_cast<std::int32_t>(cached_.size()); }
  std::int32_t held() const { return blocks() - free() - cached(); }
  /// Blocks that were promised to admitted sequences and not yet taken.
  std::int32_t reserved() const { return reserved_; }
  /// What a new reservation may count on: free and cached blocks that nobody was promised. Never negative.
  std::int32_t available() const { return free() + cached() - reserved_; }
  /// Cached blocks that were forgotten, since the pool was made.
  std::uint64_t evictions() const { return evictions_; }

  /// Promises `count` blocks; false, and nothing changes, if that many are not available.
  bool reserve(std::int32_t count);
  /// Gives back promises that will not be used.
  void unreserve(std::int32_t count);
  /// The cached block that the next take_reserved() evicts; none if it need not.
  std::optional<BlockIndex> next_victim() const;
  /// Turns one promise into a block with one holder; evicts a cached block if none is free.
  BlockIndex take_reserved();

  /// The block of this name, if it is in the pool (held or cached).
  std::optional<BlockIndex> find(const BlockId& id) const;
  /// Adds a holder to a held or cached block. A cached block becomes held, so `available()` falls by one; false, and nothing
  /// changes, if that would break a promise.
  bool hold(BlockIndex block);
  /// Removes a holder. The last one leaves the block cached, as the most recently used, if it has a name, else free.
  void release(BlockIndex block);
  /// Names a held block, once all its layers are written. False if another block already has the name: this one stays nameless.
  /// A block keeps its name until it is evicted; giving it the same one again changes nothing.
  bool name(BlockIndex block, const BlockId& id);
  std::optional<BlockId> name_of(BlockIndex block) const;
  /// How many hold this block; none if it is free or cached.
  std::int32_t holders(BlockIndex block) const;
  /// All names there are, in no order.
  std::vector<BlockId> names() const;
  /// Evicts all cached blocks.
  void clear_cache();

 private:
  struct Entry {
    std::int32_t holders = 0;
    std::optional<BlockId> id;               ///< of a held or cached block
    std::list<BlockIndex>::iterator cached;  ///< valid while cached
  };

  Entry& entry(BlockIndex block);
  const Entry& entry(BlockIndex block) const;
  void evict_one();

  std::vector<Entry> entries_;
  std::vector<BlockIndex> free_;
  std::list<BlockIndex> cached_;  ///< least recently used first
  std::unordered_map<BlockId, BlockIndex> names_;
  std::int32_t reserved_ = 0;
  std::uint64_t evictions_ = 0;
};

}  // namespace troupe::engine
