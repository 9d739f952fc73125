// KV blocks from one engine's cache to another's, copied by hand where a cluster would use a fabric.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "engine/kv_cache.hpp"

namespace troupe::tests {

/// A prefix of tokens in a cache, as far as it is there, pinned while this lives.
class PinnedPrefix {
 public:
  PinnedPrefix(engine::KvCache& cache, std::span<const engine::TokenId> tokens, std::string_view salt);
  ~PinnedPrefix();
  PinnedPrefix(const PinnedPrefix&) = delete;
  PinnedPrefix& operator=(const PinnedPrefix&) = delete;

  const std::vector<engine::PinnedBlock>& blocks() const { return blocks_; }
  /// Valid until the next call.
  std::span<const std::byte> payload(std::size_t block) const;

 private:
  engine::KvCache& cache_;
  std::vector<engine::PinnedBlock> blocks_;
};

struct Transferred {
  std::size_t offered = 0;  ///< blocks that were written
  std::size_t wrong = 0;    ///< of these, refused
  std::size_t usable = 0;   ///< of the prefix, how many blocks are at the target now
};
/// Copies what the target does not have. `damaged`: one bit of the last block that is copied is flipped on the way.
Transferred transfer(const PinnedPrefix& source, engine::KvCache& target, bool damaged = false);

}  // namespace troupe::tests
