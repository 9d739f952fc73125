#include "cli/scratch_folder.hpp"

#include <cstdlib>
#include <string>
#include <utility>

namespace troupe::cli {

Result<std::unique_ptr<ScratchFolder>> ScratchFolder::make(const std::filesystem::path& parent) {
  std::error_code problem;
  const auto place = parent.empty() ? std::filesystem::temp_directory_path(problem) : parent;
  std::string name = (place / "troupe.XXXXXX").string();
  if (problem || mkdtemp(name.data()) == nullptr) return Error{ErrorCode::io, "cannot make a folder in " + place.string()};
  return std::unique_ptr<ScratchFolder>(new ScratchFolder(name));
}

ScratchFolder::ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace troupe::cli
