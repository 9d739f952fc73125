#include "model/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace troupe::model {

namespace {

struct Descriptor {
  int number;
  explicit Descriptor(int n) : number(n) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

Error failed(const std::filesystem::path& path, const char* what, int number) {
  const ErrorCode code = number == ENOENT || number == ENOTDIR ? ErrorCode::not_found : ErrorCode::io;
  return Error{code, path.string() + ": cannot " + what + ": " + std::strerror(number)};
}

Error too_large(const std::filesystem::path& path, const std::string& seen, std::size_t bytes_max) {
  return Error{ErrorCode::too_large,
               path.string() + ": " + seen + " bytes, at most " + std::to_string(bytes_max) + " are read"};
}

}  // namespace

Result<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number < 0) return failed(path, "open", errno);
  struct stat status{};
  if (::fstat(file.number, &status) != 0) return failed(path, "inspect", errno);
  if (S_ISDIR(status.st_mode)) return Error{ErrorCode::invalid_argument, path.string() + ": is a directory, expected a file"};
  const auto size = S_ISREG(status.st_mode) ? static_cast<std::size_t>(status.st_size) : 0;
  if (size > bytes_max) return too_large(path, std::to_string(size), bytes_max);

  constexpr std::size_t chunk_bytes = std::size_t{1} << 16;
  std::string bytes;
  bytes.reserve(size);
  while (true) {  // the size above is a hint: pipes have none, and a file may grow while it is read
    const std::size_t used = bytes.size();
    bytes.resize(used + std::max(chunk_bytes, size > used ? size - used : 0));
    const ssize_t count = ::read(file.number, bytes.data() + used, bytes.size() - used);
    const int error = errno;
    bytes.resize(used + (count > 0 ? static_cast<std::size_t>(count) : 0));
    if (count < 0 && error == EINTR) continue;
    if (count < 0) return failed(path, "read", error);
    if (count == 0) return bytes;
    if (bytes.size() > bytes_max) return too_large(path, "more than " + std::to_string(bytes_max), bytes_max);
  }
}

}  // namespace troupe::model
