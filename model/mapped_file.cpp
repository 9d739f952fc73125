#include "model/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace troupe::model {

namespace {

Error failed(const std::filesystem::path& path, const char* what, int number) {
  const ErrorCode code = number == ENOENT || number == ENOTDIR ? ErrorCode::not_found : ErrorCode::io;
  return Error{code, path.string() + ": cannot " + what + ": " + std::strerror(number)};
}

Result<MappedFile> map(int descriptor, const std::filesystem::path& path, auto make) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) return failed(path, "inspect", errno);
  if (!S_ISREG(status.st_mode)) return Error{ErrorCode::invalid_argument, path.string() + ": is not a regular file"};
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size == 0) return make(std::span<const std::byte>{});  // the system maps no empty ranges
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (data == MAP_FAILED) return failed(path, "map", errno);
  ::madvise(data, size, MADV_SEQUENTIAL);  // a hint; without it only reading ahead suffers
  return make(std::span(static_cast<const std::byte*>(data), size));
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  // Not blocking, so that a pipe under this name is refused instead of waited for.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return failed(path, "open", errno);
  auto mapped = map(descriptor, path, [](std::span<const std::byte> bytes) { return MappedFile(bytes); });
  ::close(descriptor);
  return mapped;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace troupe::model
