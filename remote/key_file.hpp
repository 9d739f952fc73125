// Keys of endpoints come from files that nobody but their owner can read, and go into headers alone.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace troupe::remote {

inline constexpr std::size_t key_bytes_max = 4096;

/// The file's only line. Errors never repeat what is in it: `not_found`, `io`; `invalid_argument` if it is no ordinary file, if
/// its group or others may read it (which `chmod 600` mends), if it is not owned by this user or root, or if it holds anything
/// but one line of printable characters.
Result<std::string> read_key(const std::filesystem::path& file);

/// `text` with every occurrence of the key taken out: some endpoints repeat it in their errors.
std::string without_key(std::string text, std::string_view key);

}  // namespace troupe::remote
