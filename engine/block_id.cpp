#include "engine/block_id.hpp"

#include <algorithm>

#include "model/digest.hpp"

namespace troupe::engine {

namespace {

// What is hashed begins with what it is, so that a root can never be passed off as a block.
constexpr std::string_view root_domain = "troupe kv root 1";
constexpr std::string_view block_domain = "troupe kv block 1";

BlockId cut(const model::Sha256Digest& digest) {
  BlockId id;
  std::copy_n(digest.begin(), id.bytes.size(), id.bytes.begin());
  return id;
}

}  // namespace

BlockId root_identity(const BlockScope& scope) {
  model::Sha256 hash;
  hash.add_text(root_domain);
  hash.update(std::as_bytes(std::span(scope.fingerprint.bytes)));
  hash.add_text(scope.numeric_class);
  hash.add_u32(static_cast<std::uint32_t>(scope.first_layer));
  hash.add_u32(static_cast<std::uint32_t>(scope.layers));
  hash.add_u32(kv_block_positions);
  hash.add_u32(kernels::kv_layout_version);
  hash.add_text(scope.adapter);
  hash.add_text(scope.tenant_salt);
  return cut(hash.finish());
}

BlockId block_identity(const BlockId& parent, std::span<const TokenId, kv_block_positions> tokens) {
  model::Sha256 hash;
  hash.add_text(block_domain);
  hash.update(std::as_bytes(std::span(parent.bytes)));
  for (const TokenId token : tokens) hash.add_u32(static_cast<std::uint32_t>(token));
  return cut(hash.finish());
}

std::vector<BlockId> chain_of(const BlockScope& scope, std::span<const TokenId> tokens) {
  return chain_of(root_identity(scope), tokens);
}

std::vector<BlockId> chain_of(const BlockId& root, std::span<const TokenId> tokens) {
  std::vector<BlockId> chain;
  chain.reserve(tokens.size() / kv_block_positions);
  BlockId id = root;
  for (; tokens.size() >= kv_block_positions; tokens = tokens.subspan(kv_block_positions)) {
    id = block_identity(id, tokens.first<kv_block_positions>());
    chain.push_back(id);
  }
  return chain;
}

}  // namespace troupe::engine
