// Reading a whole file of bounded size: configurations, tokenizers, prompts. Weights are mapped instead (safetensors.hpp).
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "base/result.hpp"

namespace troupe::model {

/// The file's bytes. Errors name the path and the reason: `not_found`, `too_large` (more than `bytes_max`), `invalid_argument`
/// (a directory), `io` (no permission, or a read failed). Pipes are read up to the limit.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max);

}  // namespace troupe::model
