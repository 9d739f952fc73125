#include "engine/kv_cache.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "base/check.hpp"

namespace troupe::engine {

namespace {

/// Empty if the product of the block's dimensions and the number of blocks does not fit.
std::optional<std::size_t> pool_bytes(const kernels::KvLayout& layout, std::int32_t blocks) {
  std::size_t bytes = std::size_t{2} * kv_block_positions;
  for (const std::int32_t factor : {layout.element_bytes, layout.layers, layout.kv_heads, layout.head_dim, blocks}) {
    if (bytes > std::numeric_limits<std::ptrdiff_t>::max() / static_cast<std::size_t>(factor)) return std::nullopt;
    bytes *= static_cast<std::size_t>(factor);
  }
  return bytes;
}

}  // namespace

Result<KvCache> KvCache::create(kernels::Device& device, const kernels::KvLayout& layout, std::int32_t blocks,
                                model::Fingerprint fingerprint, std::string numeric_class) {
  const std::string wanted = std::to_string(blocks) + " KV blocks of " + std::to_string(layout.layers) + " layers, " +
                             std::to_string(layout.kv_heads) + " heads and " + std::to_string(layout.head_dim) +
                             " dimensions of " + std::to_string(layout.element_bytes) + " bytes";
  if (std::min({blocks, layout.layers, layout.kv_heads, layout.head_dim, layout.element_bytes}) < 1) {
    return Error{ErrorCode::invalid_argument, wanted + " were asked for; each of these is at least 1"};
  }
  const auto bytes = pool_bytes(layout, blocks);
  if (!bytes) return Error{ErrorCode::too_large, wanted + " have more bytes than can be addressed; ask for fewer blocks"};
  auto memory = device.allocate(*bytes);
  if (!memory) {
    return std::move(memory).error().within("allocating " + wanted + " (" + std::to_string(*bytes) +
                                            " bytes); ask for fewer blocks");
  }
  KvCache cache(device, layout, *std::move(memory), blocks, fingerprint, std::move(numeric_class));
  if (!cache.host_readable()) {
    TROUPE_TRY(cache.staging_, device.allocate_host(layout.block_bytes()));
  }
  return cache;
}

KvCache::KvCache(kernels::Device& device, const kernels::KvLayout& layout, kernels::Memory memory, std::int32_t blocks,
                 const model::Fingerprint& fingerprint, std::string numeric_class)
    : device_(&device),
      layout_(layout),
      memory_(std::move(memory)),
      pool_(blocks),
      fingerprint_(fingerprint),
      numeric_class_(std::move(numeric_class)),
      checksums_(static_cast<std::size_t>(blocks)) {}

std::byte* KvCache::block(BlockIndex index) const {
  TROUPE_CHECK(index >= 0 && index < pool_.blocks(), "a block's index lies in its pool");
  return data() + static_cast<std::size_t>(index) * layout_.block_bytes();
}

BlockScope KvCache::scope(std::string_view tenant_salt) const {
  return {.fingerprint = fingerprint_,
          .numeric_class = numeric_class_,
          .first_layer = 0,
          .layers = layout_.layers,
          .adapter = {},
          .tenant_salt = tenant_salt};
}

std::vector<BlockIndex> KvCache::match_prefix(std::span<const TokenId> tokens, std::string_view tenant_salt) const {
  std::vector<BlockIndex> found;
  BlockId id = root_identity(scope(tenant_salt));
  for (; tokens.size() >= kv_block_positions; tokens = tokens.subspan(kv_block_positions)) {
    id = block_identity(id, tokens.first<kv_block_positions>());
    const auto block = pool_.find(id);
    if (!block) break;
    found.push_back(*block);
  }
  return found;
}

BlockIndex KvCache::take_reserved() {
  if (const auto victim = pool_.next_victim()) {
    const BlockId id = *pool_.name_of(*victim);
    if (evicted_ != nullptr) {
      const auto payload = readable(*victim);
      const auto& noted = noted_checksum(*victim);
      evicted_->keep(id, noted ? *noted : block_checksum(id, payload), payload);
    }
    note(id, false);
  }
  return pool_.take_reserved();
}

bool KvCache::name(BlockIndex block, const BlockId& id) {
  const bool named_before = pool_.name_of(block).has_value();
  if (!pool_.name(block, id)) return false;
  if (named_before) return true;
  noted_checksum(block).reset();
  if (host_readable()) checksum(block, id);
  note(id, true);
  return true;
}

void KvCache::clear() {
  pool_.clear_cache();
  tell_all_again();
}

std::vector<PinnedBlock> KvCache::pin(std::span<const BlockId> chain) {
  std::vector<PinnedBlock> pinned;
  for (const BlockId& id : chain) {
    const auto found = pool_.find(id);
    if (!found || !pool_.hold(*found)) break;
    pinned.push_back({id, *found, checksum(*found, id)});
  }
  return pinned;
}

void KvCache::unpin(std::span<const BlockIndex> blocks) {
  // The tail first: what is evicted first should be what the fewest others can share.
  std::for_each(blocks.rbegin(), blocks.rend(), [this](BlockIndex index) { pool_.release(index); });
}

BlockImport KvCache::begin_import(std::span<const BlockId> chain) {
  // Every block of the chain is held until all are here, so that a later one never evicts an earlier one.
  BlockImport import;
  for (const BlockId& id : chain) {
    const auto found = pool_.find(id);
    if (found && import.incoming.empty()) {
      if (!pool_.hold(*found)) break;
      import.present.push_back(*found);
    } else {
      // One that is here behind a gap is written again under no name, and dropped in the end: it is rare.
      if (!pool_.reserve(1)) break;
      import.incoming.push_back({id, take_reserved()});
    }
  }
  return import;
}

void KvCache::write(BlockIndex index, std::span<const std::byte> contents) {
  TROUPE_CHECK(contents.size() == layout_.block_bytes(), "what is written is a whole block");
  device_->side_stream().copy(block(index), contents.data(), contents.size());
}

BlocksImported KvCache::finish_import(const BlockImport& import, std::span<const std::uint64_t> checksums) {
  TROUPE_CHECK(checksums.size() <= import.incoming.size(), "only incoming blocks have come");
  device_->side_stream().synchronize();  // what `write` was given may be on its way
  BlocksImported imported;
  bool whole = true;
  for (std::size_t i = 0; i < checksums.size(); ++i) {
    const auto& [id, index] = import.incoming[i];
    if (block_checksum(id, readable(index)) == checksums[i]) {
      if (pool_.name(index, id)) {
        noted_checksum(index) = checksums[i];
        note(id, true);
      }
    } else {
      ++imported.wrong;
      whole = false;
    }
    if (whole) ++imported.usable;
  }
  imported.usable += import.present.size();
  abandon_import(import);
  return imported;
}

void KvCache::abandon_import(const BlockImport& import) {
  std::for_each(import.incoming.rbegin(), import.incoming.rend(),
                [this](const BlockImport::Incoming& incoming) { pool_.release(incoming.index); });
  unpin(import.present);
}

std::span<const std::byte> KvCache::readable(BlockIndex index) {
  const std::size_t bytes = layout_.block_bytes();
  if (host_readable()) return {block(index), bytes};
  // Named blocks are complete, and nobody writes them.
  device_->side_stream().copy(staging_.data(), block(index), bytes);
  device_->side_stream().synchronize();
  return {staging_.as<std::byte>(), bytes};
}

std::uint64_t KvCache::checksum(BlockIndex index, const BlockId& id) {
  auto& noted = noted_checksum(index);
  if (!noted) noted = block_checksum(id, readable(index));
  return *noted;
}

void KvCache::note(const BlockId& id, bool come) {
  if (changes_lost_) return;
  changes_[id] = come;
  if (changes_.size() > changes_max) tell_all_again();
}

void KvCache::tell_all_again() {
  changes_.clear();
  changes_lost_ = true;
}

BlockChanges KvCache::take_changes() {
  BlockChanges changes;
  changes.all = std::exchange(changes_lost_, false);
  if (changes.all) {
    changes.come = pool_.names();
  } else {
    for (const auto& [id, come] : changes_) (come ? changes.come : changes.gone).push_back(id);
  }
  changes_.clear();
  return changes;
}

}  // namespace troupe::engine
