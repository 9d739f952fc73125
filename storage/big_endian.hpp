// Numbers in keys: big-endian, so that the order of the bytes is the order of the numbers.
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::storage {

template <std::unsigned_integral Number>
void append_big_endian(std::string& bytes, Number number) {
  for (std::size_t i = sizeof(Number); i-- > 0;) bytes += static_cast<char>(static_cast<unsigned char>(number >> (8 * i)));
}

/// Empty unless `bytes` is exactly as long as a Number.
template <std::unsigned_integral Number>
std::optional<Number> read_big_endian(std::string_view bytes) {
  if (bytes.size() != sizeof(Number)) return std::nullopt;
  Number number = 0;
  for (const char byte : bytes) number = static_cast<Number>(number << 8U | static_cast<unsigned char>(byte));
  return number;
}

}  // namespace troupe::storage
