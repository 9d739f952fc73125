#include "engine/block_exchange.hpp"

#include <xxhash.h>

#include <bit>

#include "model/digest.hpp"

namespace troupe::engine {

namespace {

static_assert(std::endian::native == std::endian::little, "checksums are over little-endian floats; swap them here");

std::string describe(const kernels::KvLayout& layout) {
  return std::to_string(layout.layers) + " layers of " + std::to_string(layout.kv_heads) + " heads of " +
         std::to_string(layout.head_dim) + " floats";
}

Result<void> verify_origin(const BlockBundle& bundle, const BlockScope& scope, const kernels::KvLayout& layout) {
  if (bundle.fingerprint != scope.fingerprint) {
    return Error{ErrorCode::invalid_argument, "the blocks were computed by the model with fingerprint " +
                                                  model::to_hex(bundle.fingerprint.bytes) + ", this one is " +
                                                  model::to_hex(scope.fingerprint.bytes)};
  }
  if (bundle.numeric_class != scope.numeric_class) {
    return Error{ErrorCode::invalid_argument, "the blocks are of numeric class \"" + bundle.numeric_class +
                                                  "\", this engine is of \"" + std::string(scope.numeric_class) + "\""};
  }
  if (bundle.layout_version != kernels::kv_layout_version) {
    return Error{ErrorCode::invalid_argument, "the blocks have layout version " + std::to_string(bundle.layout_version) +
                                                  ", this engine has " + std::to_string(kernels::kv_layout_version)};
  }
  if (bundle.layout != layout) {
    return Error{ErrorCode::invalid_argument,
                 "the blocks have " + describe(bundle.layout) + ", this engine has " + describe(layout)};
  }
  return {};
}

Result<void> verify_block(const ExportedBlock& block, const BlockId& parent, std::size_t payload_elements) {
  if (block.parent != parent) {
    return Error{ErrorCode::corrupt, "its parent is " + to_hex(block.parent) + ", which is not the block before it"};
  }
  if (const BlockId id = block_identity(block.parent, block.tokens); id != block.id) {
    return Error{ErrorCode::corrupt,
                 "it says that it is " + to_hex(block.id) + ", its parent and tokens make it " + to_hex(id)};
  }
  if (block.payload.size() != payload_elements) {
    return Error{ErrorCode::corrupt, "its payload has " + std::to_string(block.payload.size()) + " floats, the layout has " +
                                         std::to_string(payload_elements)};
  }
  if (payload_checksum(block.payload) != block.checksum) {
    return Error{ErrorCode::corrupt, "its payload does not match its checksum; fetch it again"};
  }
  return {};
}

}  // namespace

std::uint64_t payload_checksum(std::span<const float> payload) { return XXH3_64bits(payload.data(), payload.size_bytes()); }

Result<void> verify(const BlockBundle& bundle, const BlockScope& scope, const kernels::KvLayout& layout) {
  const std::size_t count = bundle.blocks.size();
  if (count > bundle_blocks_max) {
    return Error{ErrorCode::too_large, "the bundle has " + std::to_string(count) + " blocks, at most " +
                                           std::to_string(bundle_blocks_max) + " are taken at once; send less"};
  }
  TROUPE_TRY_DO(verify_origin(bundle, scope, layout));
  BlockId parent = root_identity(scope);
  // The root we expect never appears in a message: it is derived from the tenant's secret, and who knows it can forge chains.
  if (count > 0 && bundle.blocks.front().parent != parent) {
    return Error{ErrorCode::corrupt,
                 "block 0 of " + std::to_string(count) + ": the chain does not begin at the root of this model and tenant"};
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (auto block = verify_block(bundle.blocks[i], parent, layout.block_elements()); !block) {
      return std::move(block).error().within("block " + std::to_string(i) + " of " + std::to_string(count));
    }
    parent = bundle.blocks[i].id;
  }
  return {};
}

}  // namespace troupe::engine
