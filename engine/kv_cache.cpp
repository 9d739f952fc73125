#include "engine/kv_cache.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "base/check.hpp"

namespace troupe::engine {

namespace {

using Tokens = std::span<const TokenId>;

std::size_t whole_blocks(Tokens tokens) { return tokens.size() / kv_block_positions; }

std::span<const TokenId, kv_block_positions> tokens_of(Tokens tokens, std::size_t block) {
  return tokens.subspan(block * kv_block_positions).first<kv_block_positions>();
}

/// Empty if the product of the block's dimensions and the number of blocks does not fit.
std::optional<std::size_t> pool_bytes(const kernels::KvLayout& layout, std::int32_t blocks) {
  std::size_t bytes = 2 * kv_block_positions * sizeof(float);
  for (const std::int32_t factor : {layout.layers, layout.kv_heads, layout.head_dim, blocks}) {
    if (bytes > std::numeric_limits<std::ptrdiff_t>::max() / static_cast<std::size_t>(factor)) return std::nullopt;
    bytes *= static_cast<std::size_t>(factor);
  }
  return bytes;
}

}  // namespace

Result<KvCache> KvCache::create(kernels::Device& device, const kernels::KvLayout& layout, std::int32_t blocks,
                                model::Fingerprint fingerprint, std::string numeric_class) {
  const std::string wanted = std::to_string(blocks) + " KV blocks of " + std::to_string(layout.layers) + " layers, " +
                             std::to_string(layout.kv_heads) + " heads and " + std::to_string(layout.head_dim) + " dimensions";
  if (std::min({blocks, layout.layers, layout.kv_heads, layout.head_dim}) < 1) {
    return Error{ErrorCode::invalid_argument, wanted + " were asked for; each of these is at least 1"};
  }
  const auto bytes = pool_bytes(layout, blocks);
  if (!bytes) return Error{ErrorCode::too_large, wanted + " have more bytes than can be addressed; ask for fewer blocks"};
  auto memory = device.allocate(*bytes);
  if (!memory) {
    return std::move(memory).error().within("allocating " + wanted + " (" + std::to_string(*bytes) +
                                            " bytes); ask for fewer blocks");
  }
  return KvCache(device, layout, *std::move(memory), blocks, fingerprint, std::move(numeric_class));
}

KvCache::KvCache(kernels::Device& device, const kernels::KvLayout& layout, kernels::Memory memory, std::int32_t blocks,
                 const model::Fingerprint& fingerprint, std::string numeric_class)
    : device_(&device),
      layout_(layout),
      memory_(std::move(memory)),
      pool_(blocks),
      fingerprint_(fingerprint),
      numeric_class_(std::move(numeric_class)) {}

float* KvCache::block(BlockIndex index) const {
  TROUPE_CHECK(index >= 0 && index < pool_.blocks(), "a block's index lies in its pool");
  return data() + static_cast<std::size_t>(index) * layout_.block_elements();
}

BlockScope KvCache::scope(std::string_view tenant_salt) const {
  return {.fingerprint = fingerprint_,
          .numeric_class = numeric_class_,
          .first_layer = 0,
          .layers = layout_.layers,
          .adapter = {},
          .tenant_salt = tenant_salt};
}

std::vector<BlockIndex> KvCache::match_prefix(Tokens tokens, std::string_view tenant_salt) const {
  std::vector<BlockIndex> found;
  BlockId id = root_identity(scope(tenant_salt));
  while (found.size() < whole_blocks(tokens)) {
    id = block_identity(id, tokens_of(tokens, found.size()));
    const auto block = pool_.find(id);
    if (!block) break;
    found.push_back(*block);
  }
  return found;
}

BlockBundle KvCache::export_prefix(Tokens tokens, std::string_view tenant_salt) const {
  BlockBundle bundle{.fingerprint = fingerprint_,
                     .numeric_class = numeric_class_,
                     .layout = layout_,
                     .layout_version = kernels::kv_layout_version,
                     .blocks = {}};
  const auto found = match_prefix(tokens.first(std::min(tokens.size(), bundle_blocks_max * kv_block_positions)), tenant_salt);
  bundle.blocks.resize(found.size());
  BlockId parent = root_identity(scope(tenant_salt));
  kernels::Stream& stream = device_->stream();
  for (std::size_t i = 0; i < found.size(); ++i) {
    ExportedBlock& exported = bundle.blocks[i];
    exported.id = *pool_.name_of(found[i]);
    exported.parent = std::exchange(parent, exported.id);
    std::ranges::copy(tokens_of(tokens, i), exported.tokens.begin());
    exported.payload.resize(layout_.block_elements());
    stream.copy(exported.payload.data(), block(found[i]), layout_.block_bytes());
  }
  stream.synchronize();
  for (ExportedBlock& exported : bundle.blocks) exported.checksum = payload_checksum(exported.payload);
  return bundle;
}

Result<std::int32_t> KvCache::import_prefix(const BlockBundle& bundle, std::string_view tenant_salt) {
  TROUPE_TRY_DO(verify(bundle, scope(tenant_salt), layout_));

  // Every block of the chain is held until all are here, so that a later one never evicts an earlier one.
  std::vector<BlockIndex> held;
  std::vector<std::pair<BlockIndex, const ExportedBlock*>> written;
  std::int32_t present = 0;
  kernels::Stream& stream = device_->stream();
  for (const ExportedBlock& imported : bundle.blocks) {
    if (const auto found = pool_.find(imported.id)) {
      // If it cannot be held, nothing is available: no further block is taken, and so none evicted.
      if (pool_.hold(*found)) held.push_back(*found);
    } else {
      if (!pool_.reserve(1)) break;
      const BlockIndex taken = pool_.take_reserved();
      stream.copy(block(taken), imported.payload.data(), layout_.block_bytes());
      held.push_back(taken);
      written.emplace_back(taken, &imported);
    }
    ++present;
  }
  stream.synchronize();
  for (const auto& [taken, imported] : written) {
    TROUPE_CHECK(pool_.name(taken, imported->id), "blocks of one chain have different names, and this one was not here");
  }
  std::ranges::for_each(held.rbegin(), held.rend(), [this](BlockIndex block) { pool_.release(block); });
  return present;
}

}  // namespace troupe::engine
