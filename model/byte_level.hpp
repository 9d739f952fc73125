// The byte-level alphabet of GPT-2's tokenizer (Radford et al., 2019): each of the 256 bytes written as one printable
// character, so that a vocabulary of byte strings can stand in a JSON file. Printable Latin-1 stands for itself, the others for
// U+0100 onwards ("Ġ" is a space, "Ċ" a line feed).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace troupe::model {

/// The bytes that valid UTF-8 `text` writes in the alphabet; nothing if it contains a character from outside of it.
std::optional<std::string> bytes_from_byte_level(std::string_view text);

/// The same bytes in the alphabet, as UTF-8.
std::string byte_level_from_bytes(std::string_view bytes);

}  // namespace troupe::model
