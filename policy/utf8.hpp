// Whether bytes are text. A prompt can be made of UTF-8 only (model/utf8.hpp has the same rule), so what will stand in prompts
// is looked at before it is kept.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace troupe::policy {

/// Bytes of the character at a place of the text; 0 if none of UTF-8 stands there.
std::size_t character_bytes(std::string_view text, std::size_t place);

/// The place of the first byte that is no UTF-8, if there is one.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

}  // namespace troupe::policy
