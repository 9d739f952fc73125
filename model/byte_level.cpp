#include "model/byte_level.hpp"

#include <array>

#include "model/utf8.hpp"

namespace troupe::model {

namespace {

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

constexpr char32_t first_substitute = 0x100;

constexpr std::array<char32_t, 256> characters = [] {
  std::array<char32_t, 256> table{};
  char32_t next = first_substitute;
  for (unsigned byte = 0; byte < table.size(); ++byte) table[byte] = stands_for_itself(byte) ? byte : next++;
  return table;
}();

constexpr std::size_t alphabet_end = first_substitute + 68;  // 256 bytes less the 188 that stand for themselves

// -1: no byte is written with this character.
constexpr std::array<std::int16_t, alphabet_end> bytes_of_characters = [] {
  std::array<std::int16_t, alphabet_end> table{};
  table.fill(-1);
  for (std::size_t byte = 0; byte < characters.size(); ++byte) table[characters[byte]] = static_cast<std::int16_t>(byte);
  return table;
}();

}  // namespace

std::optional<std::string> bytes_from_byte_level(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  while (!text.empty()) {
    const char32_t character = first_code_point(text);
    if (character >= alphabet_end || bytes_of_characters[character] < 0) return std::nullopt;
    bytes += static_cast<char>(bytes_of_characters[character]);
    text.remove_prefix(first_utf8_unit(text).length);
  }
  return bytes;
}

std::string byte_level_from_bytes(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) append_utf8(characters[static_cast<unsigned char>(byte)], text);
  return text;
}

}  // namespace troupe::model
