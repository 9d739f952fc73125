// Expert placements as operators write them: TOML, as in deploy/placement.toml. What entries mean is in
// policy/expert_entries.hpp.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "policy/expert_entries.hpp"

namespace troupe::schemas {

inline constexpr std::size_t placement_file_bytes_max = std::size_t{1} << 20;
inline constexpr std::size_t placement_entries_max = 8192;

/// The entries in a file's `text`, each with its place in it. An unknown key is refused, so that a misspelt one is not passed
/// over in silence.
///
/// Errors begin with `file`, and with the line where one is at fault: `too_large`; `invalid_argument` for what is no TOML or no
/// placement, with the key, what was seen and what is expected.
Result<std::vector<policy::ExpertEntry>> parse_placement(std::string_view text, const std::string& file);

/// TOML that `parse_placement` reads as the same entries.
std::string to_toml(std::span<const policy::ExpertEntry> entries);

}  // namespace troupe::schemas
