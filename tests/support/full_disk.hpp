// A disk that is full, for as long as a test says.
#pragma once

#include <sys/resource.h>

#include <csignal>
#include <cstdint>

namespace troupe::tests {

/// While it exists no file of the process grows beyond `bytes`: to a writer, a full disk.
class FullDisk {
 public:
  explicit FullDisk(std::uintmax_t bytes) {
    before_signal_ = std::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FullDisk() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, before_signal_);
  }
  FullDisk(const FullDisk&) = delete;
  FullDisk& operator=(const FullDisk&) = delete;

 private:
  rlimit before_{};
  void (*before_signal_)(int) = nullptr;
};

}  // namespace troupe::tests
