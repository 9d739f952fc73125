// Remote endpoints as operators write them: TOML, as in deploy/endpoints.toml. What the values mean is in policy/endpoint.hpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "policy/endpoint.hpp"

namespace troupe::schemas {

inline constexpr std::size_t endpoint_file_bytes_max = std::size_t{256} << 10;
inline constexpr std::size_t endpoints_max = 64;

/// The [[endpoint]] tables of a file's `text`, each with its own name. An unknown key is refused, so that a misspelt one is not
/// passed over in silence; a key itself does not belong into the file, and is refused without being repeated.
///
/// Errors begin with `file`, and with the line where one is at fault: `too_large`; `invalid_argument` or `out_of_range` for
/// what is no TOML or no endpoint (policy::validate).
Result<std::vector<policy::Endpoint>> parse_endpoints(std::string_view text, const std::string& file);

}  // namespace troupe::schemas
