// The routing policy as operators write it: TOML, as in deploy/policy.toml. What the values mean is in policy/routing.hpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "policy/routing.hpp"

namespace troupe::schemas {

inline constexpr std::size_t routing_file_bytes_max = std::size_t{256} << 10;

/// The policy in a file's `text`. What is not given has its default (policy::RoutingPolicy), except for rules, which have a
/// name and a start. An unknown key is refused, so that a misspelt one is not passed over in silence.
///
/// Errors begin with `file`, and with the line where one is at fault: `too_large`; `invalid_argument` for what is no TOML or no
/// policy (policy::validate), with the key, what was seen and what is expected.
Result<policy::RoutingPolicy> parse_routing(std::string_view text, const std::string& file);

/// The same without policy::validate, for whoever looks at all that is wrong with it (policy/routing_check.hpp).
Result<policy::RoutingPolicy> read_routing(std::string_view text, const std::string& file);

/// TOML that `parse_routing` reads as the same policy.
std::string to_toml(const policy::RoutingPolicy& policy);

}  // namespace troupe::schemas
