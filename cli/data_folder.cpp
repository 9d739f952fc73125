#include "cli/data_folder.hpp"

#include <cstdlib>

namespace troupe::cli {

std::filesystem::path default_data_folder(const std::string& node) {
  const char* state = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  const std::filesystem::path base =
      state != nullptr ? std::filesystem::path(state) : std::filesystem::path(home != nullptr ? home : ".") / ".local/share";
  return base / "troupe" / node;
}

}  // namespace troupe::cli
