// Which KV block this is: a name that commits to everything its contents depend on, so that a block can be found, fetched
// and trusted by name alone. SHA-256 cut to 128 bits, chained like a hash list: a block's identity covers all tokens before it,
// and with them its position.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "kernels/kv_layout.hpp"
#include "model/fingerprint.hpp"
#include "model/token.hpp"

namespace troupe::engine {

using kernels::kv_block_positions;
using model::TokenId;

struct BlockId {
  std::array<std::uint8_t, 16> bytes{};
  friend auto operator<=>(const BlockId&, const BlockId&) = default;
};
/// 32 lower-case digits.
std::string to_hex(const BlockId& id);

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

}  // namespace troupe::engine

template <>
struct std::hash<troupe::engine::BlockId> {
  std::size_t operator()(const troupe::engine::BlockId& id) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, id.bytes.data(), sizeof value);  // the bytes are a hash already
    return value;
  }
};
