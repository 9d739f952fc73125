// The blocks seam: KV blocks as values that move from one engine to another, and what must be true of them before one is used.
//
// An identity commits to the tokens and to everything else that a block's contents are computed from, so whoever receives
// blocks recomputes the identities and learns that these tokens belong to this place. The checksum then finds payloads damaged
// on their way. Neither proves that a sender computed the payload honestly: that takes trust in it, or computing the block
// again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "engine/block_id.hpp"

namespace troupe::engine {

/// A bundle with more blocks is refused before anything of it is looked at: a million positions.
inline constexpr std::size_t bundle_blocks_max = std::size_t{1} << 16;

/// One block: its place in the chain, and its contents in host memory.
struct ExportedBlock {
  BlockId id;
  BlockId parent;
  std::array<TokenId, kv_block_positions> tokens{};
  std::uint64_t checksum = 0;  ///< payload_checksum of the payload
  std::vector<float> payload;  ///< [layer][k,v][kv_head][position][dim]
};

/// The blocks of one prefix, in chain order from the first position. The tenant's salt is not in it, only in the identities.
struct BlockBundle {
  model::Fingerprint fingerprint;
  std::string numeric_class;
  kernels::KvLayout layout;
  std::uint32_t layout_version = 0;
  std::vector<ExportedBlock> blocks;
};

/// XXH3, 64 bits, over the floats' bytes, little-endian.
std::uint64_t payload_checksum(std::span<const float> payload);

/// Whether a bundle is what it says it is, and belongs to this scope and layout. Errors name the block, counted from 0:
/// `too_large` (more than bundle_blocks_max blocks), `invalid_argument` (another model, numeric class or layout), `corrupt`
/// (the chain does not begin at root_identity(scope), or a link, an identity, a payload's length or its checksum is wrong).
/// A bundle without blocks is in order.
Result<void> verify(const BlockBundle& bundle, const BlockScope& scope, const kernels::KvLayout& layout);

}  // namespace troupe::engine
