// Where a node keeps what is durable, unless it is told otherwise.
#pragma once

#include <filesystem>
#include <string>

namespace troupe::cli {

/// $XDG_DATA_HOME/troupe/NODE, or ~/.local/share/troupe/NODE.
std::filesystem::path default_data_folder(const std::string& node);

}  // namespace troupe::cli
