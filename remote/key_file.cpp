#include "remote/key_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace troupe::remote {

namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

Error wrong(const std::filesystem::path& file, const std::string& what) {
  return {ErrorCode::invalid_argument, "key file " + file.string() + ": " + what};
}

/// The open file is looked at, not its name, so that nobody can exchange it meanwhile.
Result<void> check_owner(int descriptor, const std::filesystem::path& file) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) return Error{ErrorCode::io, "key file " + file.string() + ": " + std::strerror(errno)};
  if (!S_ISREG(status.st_mode)) return wrong(file, "it is no ordinary file");
  if (status.st_uid != ::geteuid() && status.st_uid != 0) {
    return wrong(file, "it belongs to user " + std::to_string(status.st_uid) + ", expected this user or root");
  }
  constexpr mode_t of_others = S_IRWXG | S_IRWXO;
  if ((status.st_mode & of_others) != 0) {
    return wrong(file, "its group or others may use it; take that from them: chmod 600 " + file.string());
  }
  return {};
}

}  // namespace

Result<std::string> read_key(const std::filesystem::path& file) {
  // A pipe without a writer would not let go.
  const Descriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (descriptor.number() < 0) {
    return Error{errno == ENOENT ? ErrorCode::not_found : ErrorCode::io,
                 "key file " + file.string() + ": " + std::strerror(errno)};
  }
  TROUPE_TRY_DO(check_owner(descriptor.number(), file));
  std::string key;
  std::array<char, key_bytes_max + 2> bytes{};
  for (;;) {
    const ssize_t got = ::read(descriptor.number(), bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error{ErrorCode::io, "key file " + file.string() + ": " + std::strerror(errno)};
    if (got == 0) break;
    key.append(bytes.data(), static_cast<std::size_t>(got));
    if (key.size() > key_bytes_max + 1) return wrong(file, "it has more than " + std::to_string(key_bytes_max) + " bytes");
  }
  while (key.ends_with('\n') || key.ends_with('\r')) key.pop_back();
  const bool printable = std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (key.empty() || !printable) return wrong(file, "expected one line of printable characters without blanks, the key");
  return key;
}

std::string without_key(std::string text, std::string_view key) {
  constexpr std::string_view instead = "[key]";
  if (key.empty()) return text;
  for (std::size_t at = text.find(key); at != std::string::npos; at = text.find(key, at + instead.size())) {
    text.replace(at, key.size(), instead);
  }
  return text;
}

}  // namespace troupe::remote
