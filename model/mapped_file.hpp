// A file's bytes without reading them: mapped read-only, paged in as they are used.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <utility>

#include "base/result.hpp"

namespace troupe::model {

/// Owns the mapping. Whoever shortens the file meanwhile stops the process (SIGBUS), so files are replaced by renaming, never
/// rewritten in place.
class MappedFile {
 public:
  /// `not_found`, `invalid_argument` if it is not a regular file, or `io`; errors name the path.
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  /// Aligned to pages.
  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> bytes_;
};

}  // namespace troupe::model
