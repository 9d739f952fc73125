// The blocks seam: KV blocks as they leave an engine's pool and come into it, for whoever keeps or moves them: another node,
// host memory, a disk.
//
// Whoever takes blocks derives their names from tokens of its own, so what it asked for belongs to its place in a sequence, its
// model and its tenant. The checksum, which is made where a block was written and goes with it wherever it is kept, then tells
// whether what came is that block. It proves nothing about a sender that computes wrongly: that takes trust in it, or computing
// the block again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/block_id.hpp"
#include "engine/block_pool.hpp"

namespace troupe::engine {

/// XXH3, 64 bits, over a block's bytes, seeded with the name's first eight bytes: the right contents under another name are
/// refused too.
std::uint64_t block_checksum(const BlockId& id, std::span<const std::byte> payload);

/// A block that is here and stays until it is unpinned. Its contents are at KvCache::block(index).
struct PinnedBlock {
  BlockId id;
  BlockIndex index = 0;
  std::uint64_t checksum = 0;
  friend bool operator==(const PinnedBlock&, const PinnedBlock&) = default;
};

/// Room for blocks that come from elsewhere: a chain's first blocks are here and held, the next ones are to be written. Ends
/// with KvCache::finish_import or abandon_import, and only after nobody writes any more.
struct BlockImport {
  struct Incoming {
    BlockId id;
    BlockIndex index = 0;
  };
  std::vector<BlockIndex> present;
  std::vector<Incoming> incoming;  ///< what comes after them, as far as there is room
};

/// What became of an import.
struct BlocksImported {
  std::size_t usable = 0;  ///< of the chain's first blocks, how many are here now
  std::size_t wrong = 0;   ///< did not match their checksums; they are not kept
};

/// Takes what a pool evicts. Called where the engine is, between two uses of a block: must be quick.
class EvictedBlocks {
 public:
  virtual ~EvictedBlocks() = default;
  virtual void keep(const BlockId& id, std::uint64_t checksum, std::span<const std::byte> payload) = 0;
};

/// Blocks that have come or gone since somebody looked last.
struct BlockChanges {
  std::vector<BlockId> come;
  std::vector<BlockId> gone;  ///< and not come again since
  bool all = false;           ///< too much happened: `come` is everything that is here
};

}  // namespace troupe::engine
