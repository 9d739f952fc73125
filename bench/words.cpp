#include "bench/words.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace troupe::bench {

namespace {

constexpr std::size_t said_bytes_max = 1 << 16;

Error io_error(const std::string& doing) { return {ErrorCode::io, doing + ": " + std::strerror(errno)}; }

Result<void> write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written <= 0) return io_error("writing to the other process");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Result<void> say(int file, std::string_view bytes) {
  const auto size = static_cast<std::uint32_t>(bytes.size());
  TROUPE_TRY_DO(write_all(file, {reinterpret_cast<const char*>(&size), sizeof(size)}));
  return write_all(file, bytes);
}

Result<std::string> hear(int file) {
  std::uint32_t size = 0;
  if (::read(file, &size, sizeof(size)) != sizeof(size) || size > said_bytes_max)
    return io_error("hearing from the other process");
  std::string bytes(size, '\0');
  for (std::size_t at = 0; at < size;) {
    const ssize_t count = ::read(file, bytes.data() + at, size - at);
    if (count <= 0) return io_error("hearing from the other process");
    at += static_cast<std::size_t>(count);
  }
  return bytes;
}

}  // namespace troupe::bench
