// The files of this repository, as the rules of tidiness see them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::tidy {

/// A file that belongs to the repository. `path` is relative to its root; `text` is empty for what is not text.
struct File {
  std::string path;
  std::string text;
  std::uintmax_t bytes = 0;
  bool executable = false;

  /// "kernels" for kernels/targets/avx2.cpp; empty for a file at the top.
  std::string_view folder() const;
  /// What follows the last dot of the name, with it: ".cpp". Empty for a name without one and for one that begins with it.
  std::string_view extension() const;
  bool is_cpp() const { return extension() == ".cpp" || extension() == ".hpp"; }
};

/// All files that git tracks or would track, ordered by path. Where there is no git or no repository (a source archive), all
/// files that are there, but for build/ and other leftovers.
std::vector<File> read_repository(const std::filesystem::path& root);

}  // namespace troupe::tidy
