// One engine's KV blocks: the memory, allocated once, its books (block_pool.hpp), and the names under which whole prefixes are
// found, pinned for others and taken from them. Used by one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
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

  /// Block after block, each layout().block_bytes() bytes; device memory, aligned for the numbers that are in it.
  std::byte* data() const { return memory_.as<std::byte>(); }
  /// Where one block begins; device memory.
  std::byte* block(BlockIndex index) const;
  /// Whether the host may follow these pointers: only then can a fabric for host memory lend blocks or bring them.
  bool host_readable() const { return kernels::host_readable(device_->kind()); }
  std::size_t bytes() const { return memory_.bytes(); }
  const kernels::KvLayout& layout() const { return layout_; }
  BlockPool& pool() { return pool_; }
  const BlockPool& pool() const { return pool_; }
  /// What the names of one tenant's blocks commit to. Borrows the salt, and a text of this cache.
  BlockScope scope(std::string_view tenant_salt) const;

  /// The blocks of the longest prefix of `tokens` that is here, in order from the first position; only whole blocks have a
  /// name. Adds no holders: what is cached can be evicted by the next block that is taken.
  std::vector<BlockIndex> match_prefix(std::span<const TokenId> tokens, std::string_view tenant_salt) const;

  /// Turns one promise into a block with one holder, as BlockPool::take_reserved. What has to be evicted for it is offered to
  /// whoever keeps evicted blocks.
  BlockIndex take_reserved();
  /// Names a held block whose layers are all written (the device's stream has been waited for). False if another block already
  /// has the name. Where the host can read it, its checksum is made here; elsewhere that would cost a copy of each block, which
  /// few of them ever need, and the device would stand still meanwhile: there it is made when a block first leaves the pool
  /// (is pinned, or evicted and kept), and what happens to it before that goes unnoticed.
  bool name(BlockIndex block, const BlockId& id);
  /// Who is offered evicted blocks; null: nobody.
  void keep_evicted(std::shared_ptr<EvictedBlocks> evicted) { evicted_ = std::move(evicted); }
  /// Forgets all cached blocks; nobody is offered them.
  void clear();

  /// The first blocks of `chain` that are here, each held until it is unpinned.
  std::vector<PinnedBlock> pin(std::span<const BlockId> chain);
  void unpin(std::span<const BlockIndex> blocks);

  /// Makes room for a chain's blocks: holds those of its beginning that are here, takes free or cached blocks that nobody was
  /// promised for the next ones, as far as there are some.
  BlockImport begin_import(std::span<const BlockId> chain);
  /// Puts contents from host memory (block_bytes() of them) into a held block, on the device's side stream. They stay where
  /// they are until that has been waited for, as finish_import does. Where the host can read the pool, whoever has an import
  /// may also write its blocks in place.
  void write(BlockIndex index, std::span<const std::byte> contents);
  /// A block's contents in host memory: the block itself, or a copy of it, which does not wait for what the device computes,
  /// and which the next call overwrites.
  std::span<const std::byte> readable(BlockIndex index);
  /// Verifies what was written for the incoming blocks against `checksums` (one for each of the first ones, as many as have
  /// come), names those that match, and lets go of all. A block that the engine has computed itself meanwhile stays as it is.
  BlocksImported finish_import(const BlockImport& import, std::span<const std::uint64_t> checksums);
  void abandon_import(const BlockImport& import);

  /// What has changed since the last call. To be taken now and then; what nobody takes is bounded.
  BlockChanges take_changes();
  /// Forgets what was told: the next call of take_changes tells all that is here.
  void tell_all_again();

 private:
  KvCache(kernels::Device& device, const kernels::KvLayout& layout, kernels::Memory memory, std::int32_t blocks,
          const model::Fingerprint& fingerprint, std::string numeric_class);

  /// Of a named block: as it was noted, or made from its contents, which is then noted.
  std::uint64_t checksum(BlockIndex index, const BlockId& id);
  std::optional<std::uint64_t>& noted_checksum(BlockIndex index) { return checksums_[static_cast<std::size_t>(index)]; }
  void note(const BlockId& id, bool come);

  static constexpr std::size_t changes_max = std::size_t{1} << 16;

  kernels::Device* device_;
  kernels::KvLayout layout_;
  kernels::Memory memory_;
  BlockPool pool_;
  model::Fingerprint fingerprint_;
  std::string numeric_class_;
  std::vector<std::optional<std::uint64_t>> checksums_;  ///< of named blocks, by index; none yet: nobody has needed it
  kernels::Memory staging_;                              ///< one block, host memory, for devices that the host cannot read
  std::shared_ptr<EvictedBlocks> evicted_;
  std::unordered_map<BlockId, bool> changes_;  ///< whether it came or went last
  bool changes_lost_ = false;
};

}  // namespace troupe::engine
