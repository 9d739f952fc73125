// The rotary position part of a config.json, in the spellings of older and newer files.
#pragma once

#include "base/result.hpp"
#include "model/config.hpp"
#include "model/json.hpp"

namespace troupe::model {

inline constexpr std::int64_t positions_max = 1 << 24;

/// Sets the config's rope_theta and rope_scaling from "rope_theta", "rope_scaling" and "rope_parameters" of `root`. Kinds other
/// than "default" and "llama3" are `unsupported`.
Result<void> read_rope(const JsonObject& root, ModelConfig& config);

}  // namespace troupe::model
