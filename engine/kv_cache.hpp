// One engine's KV blocks: the memory, allocated once, its books (block_pool.hpp), and the names under which whole prefixes are
// found, exported to other engines and imported from them. Used by one thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "engine/block_exchange.hpp"
#include "engine/block_pool.hpp"
#include "kernels/device.hpp"
#include "kernels/kv_layout.hpp"

namespace troupe::engine {

class KvCache {
 public:
  /// Allocates `blocks` blocks of `layout` on the device, which must outlive the cache. `invalid_argument` if there are none or
  /// a dimension is below 1, `too_large` if the bytes do not fit a size, `overloaded` if the device lacks the memory.
  static Result<KvCache> create(kernels::Device& device, const kernels::KvLayout& layout, std::int32_t blocks,
                                model::Fingerprint fingerprint, std::string numeric_class);

  /// Block after block, each layout().block_elements() floats; device memory.
  float* data() const { return memory_.as<float>(); }
  /// Where one block begins; device memory.
  float* block(BlockIndex index) const;
  std::size_t bytes() const { return memory_.bytes(); }
  const kernels::KvLayout& layout() const { return layout_; }
  BlockPool& pool() { return pool_; }
  const BlockPool& pool() const { return pool_; }
  /// What the names of one tenant's blocks commit to. Borrows the salt, and a text of this cache.
  BlockScope scope(std::string_view tenant_salt) const;

  /// The blocks of the longest prefix of `tokens` that is here, in order from the first position; only whole blocks have a
  /// name. Adds no holders: what is cached can be evicted by the next block that is taken.
  std::vector<BlockIndex> match_prefix(std::span<const TokenId> tokens, std::string_view tenant_salt) const;

  /// The same blocks with their contents, at most bundle_blocks_max of them. Waits for the device's stream, so that what was
  /// put on it before is in them.
  BlockBundle export_prefix(std::span<const TokenId> tokens, std::string_view tenant_salt) const;

  /// Verifies the whole bundle (errors as `verify` says, and nothing changes), then caches its blocks from the first one on:
  /// those that are here stay as they are, others take free or cached blocks that nobody was promised, for as long as there are
  /// some. Returns how many of the bundle's first blocks are now here.
  Result<std::int32_t> import_prefix(const BlockBundle& bundle, std::string_view tenant_salt);

 private:
  KvCache(kernels::Device& device, const kernels::KvLayout& layout, kernels::Memory memory, std::int32_t blocks,
          const model::Fingerprint& fingerprint, std::string numeric_class);

  kernels::Device* device_;
  kernels::KvLayout layout_;
  kernels::Memory memory_;
  BlockPool pool_;
  model::Fingerprint fingerprint_;
  std::string numeric_class_;
};

}  // namespace troupe::engine
