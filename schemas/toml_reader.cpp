#include "schemas/toml_reader.hpp"

#include <array>

namespace troupe::schemas {

std::string seen(const toml::node& node) {
  constexpr std::size_t shown_max = 60;
  if (const auto text = node.value_exact<std::string_view>()) {
    if (text->size() <= shown_max) return "\"" + std::string(*text) + "\"";
    return "a string of " + std::to_string(text->size()) + " bytes";
  }
  if (const auto number = node.value_exact<std::int64_t>()) return std::to_string(*number);
  if (const auto number = node.value_exact<double>()) return std::to_string(*number);
  if (const auto flag = node.value_exact<bool>()) return *flag ? "true" : "false";
  std::array<std::string_view, 3> names = {"a table", "an array", "a date or time"};
  return std::string(node.is_table() ? names[0] : node.is_array() ? names[1] : names[2]);
}

std::string toml_quoted(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string made = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') made += '\\';
    if (byte < 0x20 || byte == 0x7f) {
      made += "\\u00";
      made += digits[byte >> 4U];
      made += digits[byte & 0xfU];
    } else {
      made += c;
    }
  }
  return made + "\"";
}

}  // namespace troupe::schemas
