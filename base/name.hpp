// Names that many machines must agree on without asking each other: 128 random bits, written as 32 hexadecimal digits.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace troupe {

/// `Tag` is an empty struct that keeps kinds apart. All zeroes names nothing.
template <class Tag>
struct Name128 {
  std::array<std::uint8_t, 16> bytes{};
  friend constexpr auto operator<=>(const Name128&, const Name128&) = default;
  bool empty() const { return *this == Name128{}; }
};

namespace detail {
std::string name_to_hex(const std::array<std::uint8_t, 16>& bytes);
std::optional<std::array<std::uint8_t, 16>> name_from_hex(std::string_view text);
}  // namespace detail

template <class Tag>
std::string to_string(const Name128<Tag>& name) {
  return detail::name_to_hex(name.bytes);
}
/// Empty unless `text` is exactly 32 hexadecimal digits, small or capital.
template <class Name>
std::optional<Name> parse_name(std::string_view text) {
  const auto bytes = detail::name_from_hex(text);
  if (!bytes) return std::nullopt;
  return Name{*bytes};
}

}  // namespace troupe

template <class Tag>
struct std::hash<troupe::Name128<Tag>> {
  /// The bits are random already.
  std::size_t operator()(const troupe::Name128<Tag>& name) const noexcept {
    std::size_t value = 0;
    std::memcpy(&value, name.bytes.data(), sizeof(value));
    return value;
  }
};
