#include "model/utf8.hpp"

#include <cstdint>
#include <cstring>

namespace troupe::model {

namespace {

// How long the character is that a lead byte opens, and what its second byte may be: overlong forms, surrogates and numbers
// above U+10FFFF are told from there. Length 0: not a lead byte.
struct Lead {
  unsigned length, second_low, second_high;
};

Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte < 0xF0) return {3, byte == 0xE0 ? 0xA0U : 0x80U, byte == 0xED ? 0x9FU : 0xBFU};
  if (byte < 0xF5) return {4, byte == 0xF0 ? 0x90U : 0x80U, byte == 0xF4 ? 0x8FU : 0xBFU};
  return {0, 0, 0};
}

std::size_t ascii_prefix(std::string_view bytes) {
  std::size_t length = 0;
  for (std::uint64_t word = 0; length + sizeof word <= bytes.size(); length += sizeof word) {
    std::memcpy(&word, bytes.data() + length, sizeof word);
    if ((word & 0x8080808080808080U) != 0) break;
  }
  while (length < bytes.size() && static_cast<unsigned char>(bytes[length]) < 0x80) ++length;
  return length;
}

}  // namespace

Utf8Unit first_utf8_unit(std::string_view bytes) {
  using enum Utf8Unit::Kind;
  const Lead lead = lead_of(static_cast<unsigned char>(bytes.front()));
  if (lead.length == 0) return {invalid, 1};
  for (std::size_t i = 1; i < lead.length; ++i) {
    if (i == bytes.size()) return {incomplete, i};
    const auto byte = static_cast<unsigned char>(bytes[i]);
    const bool follows = i == 1 ? byte >= lead.second_low && byte <= lead.second_high : (byte & 0xC0) == 0x80;
    if (!follows) return {invalid, i};
  }
  return {character, lead.length};
}

std::optional<std::size_t> find_invalid_utf8(std::string_view bytes) {
  std::size_t offset = ascii_prefix(bytes);
  while (offset < bytes.size()) {
    const Utf8Unit unit = first_utf8_unit(bytes.substr(offset));
    if (unit.kind != Utf8Unit::Kind::character) return offset;
    offset += unit.length;
    offset += ascii_prefix(bytes.substr(offset));
  }
  return std::nullopt;
}

void take_utf8(std::string& bytes, std::string& text) {
  std::size_t offset = 0;
  while (offset < bytes.size()) {
    const std::string_view rest = std::string_view(bytes).substr(offset);
    const Utf8Unit unit = first_utf8_unit(rest);
    if (unit.kind == Utf8Unit::Kind::incomplete) break;
    text += unit.kind == Utf8Unit::Kind::character ? rest.substr(0, unit.length) : replacement_character;
    offset += unit.length;
  }
  bytes.erase(0, offset);
}

char32_t first_code_point(std::string_view bytes) {
  const auto first = static_cast<unsigned char>(bytes.front());
  const unsigned length = lead_of(first).length;
  if (length == 1) return first;
  char32_t value = first & (0xFFU >> (length + 1));
  for (unsigned i = 1; i < length; ++i) value = value << 6 | (static_cast<unsigned char>(bytes[i]) & 0x3FU);
  return value;
}

std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xC0) == 0x80) --bytes_max;
  return text.substr(0, bytes_max);
}

void append_utf8(char32_t code, std::string& text) {
  const auto continuation = [code](unsigned shift) { return static_cast<char>(0x80U | (code >> shift & 0x3FU)); };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += {static_cast<char>(0xC0U | code >> 6), continuation(0)};
  } else if (code < 0x10000) {
    text += {static_cast<char>(0xE0U | code >> 12), continuation(6), continuation(0)};
  } else {
    text += {static_cast<char>(0xF0U | code >> 18), continuation(12), continuation(6), continuation(0)};
  }
}

}  // namespace troupe::model
