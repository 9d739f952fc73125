// Which KV block this is: a name that commits to everything its contents depend on, so that a block can be found, fetched
// and trusted by name alone. SHA-256 cut to 128 bits, chained like a hash list: a block's identity covers all tokens before it,
// and with them its position.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kernels/kv_layout.hpp"
#include "model/fingerprint.hpp"
#include "model/token.hpp"
#include "policy/block.hpp"

namespace troupe::engine {

using kernels::kv_block_positions;
using model::TokenId;

using policy::BlockId;

/// What all blocks of one model, tenant and layer range share. Borrows its texts.
struct BlockScope {
  model::Fingerprint fingerprint;
  std::string_view numeric_class;
  std::int32_t first_layer = 0;
  std::int32_t layers = 0;
  std::string_view adapter;      ///< empty: the model as it is
  std::string_view tenant_salt;  ///< secret; tenants with different salts never share a block
};

/// The parent of a sequence's first block: a hash of the scope, the block's length and kv_layout_version.
/// Every field has a fixed length or carries its length, so that different scopes never hash the same bytes.
BlockId root_identity(const BlockScope& scope);
/// The identity of the block that holds `tokens` after everything that `parent` stands for.
BlockId block_identity(const BlockId& parent, std::span<const TokenId, kv_block_positions> tokens);
/// The identities of all whole blocks of `tokens`, in order, from their root on.
std::vector<BlockId> chain_of(const BlockId& root, std::span<const TokenId> tokens);
std::vector<BlockId> chain_of(const BlockScope& scope, std::span<const TokenId> tokens);

}  // namespace troupe::engine
