// UTF-8 as bytes arrive: where text stops being valid, and what to show in place of bytes that are not (the Unicode Standard,
// section 3.9, "maximal subparts", which is also what Python's errors="replace" does).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::model {

inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";  // U+FFFD

/// What stands at the beginning of some bytes. `length` bytes are one character, or an invalid run that one replacement
/// character stands for, or (`incomplete`) all there is and the beginning of a character.
struct Utf8Unit {
  enum class Kind { character, invalid, incomplete };
  Kind kind;
  std::size_t length;
};

/// `bytes` must not be empty.
Utf8Unit first_utf8_unit(std::string_view bytes);

/// The offset of the first byte that is not part of a complete, valid character; nothing if all of `bytes` is valid UTF-8.
std::optional<std::size_t> find_invalid_utf8(std::string_view bytes);

/// Moves the decided part of `bytes` to the end of `text`, with replacement characters for what is invalid, and leaves in
/// `bytes` at most three that may still become a character.
void take_utf8(std::string& bytes, std::string& text);

/// The code point of the valid character at the beginning of `bytes`.
char32_t first_code_point(std::string_view bytes);

/// As much of valid UTF-8 `text` as fits into `bytes_max` without cutting a character, for messages.
std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max);

/// Appends a code point that is not a surrogate.
void append_utf8(char32_t code, std::string& text);

}  // namespace troupe::model
