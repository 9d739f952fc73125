// What many cases of the Bits property found, as JSON: for scripts, and from one process to another.
#pragma once

#include <nlohmann/json.hpp>

#include "tests/support/bits.hpp"

namespace troupe::tests::bits {

nlohmann::json to_json(const Summary& summary);
/// Without the texts of differences. Throws what nlohmann::json throws if it is no such object.
Summary summary_of(const nlohmann::json& json);

}  // namespace troupe::tests::bits
