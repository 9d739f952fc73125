#include "tests/gpu/gpu_peer.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>

#include "bench/words.hpp"

namespace troupe::cluster {

GpuPeer::GpuPeer(const NodeId& name, std::uint64_t seed) {
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) return;
  input_ = in[1];
  output_ = out[0];
  // The two programs lie side by side, wherever they were built or carried to.
  const std::string program = (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "gpu_peer").string();
  const std::string number = std::to_string(seed);
  process_ = ::fork();
  if (process_ == 0) {
    ::dup2(in[0], STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    ::execl(program.c_str(), program.c_str(), name.value.c_str(), number.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  const auto said_address = bench::hear(output_);
  const auto said_key = bench::hear(output_);
  if (!said_address || !said_key) return;
  address = *said_address;
  region = {*said_key, gpu_region_bytes};
}

GpuPeer::~GpuPeer() {
  kill();
  if (input_ >= 0) ::close(input_);
  if (output_ >= 0) ::close(output_);
}

void GpuPeer::signal(int number) const {
  if (process_ > 0) ::kill(process_, number);
}

void GpuPeer::kill() {
  signal(SIGKILL);
  if (process_ > 0) ::waitpid(process_, nullptr, 0);
  process_ = -1;
}

int GpuPeer::end() {
  ::close(input_);
  input_ = -1;
  int status = -1;
  ::waitpid(process_, &status, 0);
  process_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace troupe::cluster
