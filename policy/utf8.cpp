#include "policy/utf8.hpp"

namespace troupe::policy {

namespace {

unsigned byte_at(std::string_view text, std::size_t place) { return static_cast<unsigned char>(text[place]); }
bool continues(std::string_view text, std::size_t place) {
  return place < text.size() && (byte_at(text, place) & 0xc0U) == 0x80U;
}

}  // namespace

std::size_t character_bytes(std::string_view text, std::size_t place) {
  const unsigned first = byte_at(text, place);
  const std::size_t bytes = first < 0x80U   ? 1
                            : first < 0xc2U ? 0
                            : first < 0xe0U ? 2
                            : first < 0xf0U ? 3
                            : first < 0xf5U ? 4
                                            : 0;
  for (std::size_t i = 1; i < bytes; ++i) {
    if (!continues(text, place + i)) return 0;
  }
  if (bytes < 3) return bytes;
  const unsigned second = byte_at(text, place + 1);
  // Longer than need be, half of a pair, or beyond the last character.
  const bool wrong = (first == 0xe0U && second < 0xa0U) || (first == 0xedU && second > 0x9fU) ||
                     (first == 0xf0U && second < 0x90U) || (first == 0xf4U && second > 0x8fU);
  return wrong ? 0 : bytes;
}

std::optional<std::size_t> find_invalid_utf8(std::string_view text) {
  for (std::size_t place = 0; place < text.size();) {
    const std::size_t bytes = character_bytes(text, place);
    if (bytes == 0) return place;
    place += bytes;
  }
  return std::nullopt;
}

}  // namespace troupe::policy
