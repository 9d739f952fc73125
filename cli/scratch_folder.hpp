// A folder for the length of one command: the data of a node that is started only to be measured.
#pragma once

#include <filesystem>
#include <memory>

#include "base/result.hpp"

namespace troupe::cli {

/// Gone, with all in it, when the object is.
class ScratchFolder {
 public:
  /// In `parent`, or in the system's temporary folder if that is empty. `io` if none can be made there.
  static Result<std::unique_ptr<ScratchFolder>> make(const std::filesystem::path& parent = {});
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit ScratchFolder(std::filesystem::path path);
  std::filesystem::path path_;
};

}  // namespace troupe::cli
