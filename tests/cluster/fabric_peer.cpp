#include "tests/cluster/fabric_peer.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <sstream>

namespace troupe::cluster {

FabricPeer::FabricPeer(const std::string& transports, const std::string& own_address) {
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) return;
  input_ = in[1];
  output_ = out[0];
  process_ = ::fork();
  if (process_ == 0) {
    ::dup2(in[0], STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    ::execl(TROUPE_FABRIC_PEER, TROUPE_FABRIC_PEER, transports.c_str(), nullptr);
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  const std::string line = to_hex(own_address) + "\n";
  if (::write(input_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) return;
  std::string said;
  char byte = 0;
  while (::read(output_, &byte, 1) == 1 && byte != '\n') said += byte;
  std::istringstream words(said);
  std::string key;
  words >> address >> key;
  address = from_hex(address);
  region = {from_hex(key), peer_region_bytes};
}

FabricPeer::~FabricPeer() {
  kill();
  if (input_ >= 0) ::close(input_);
  if (output_ >= 0) ::close(output_);
}

void FabricPeer::signal(int number) const {
  if (process_ > 0) ::kill(process_, number);
}

void FabricPeer::kill() {
  signal(SIGKILL);
  if (process_ > 0) ::waitpid(process_, nullptr, 0);
  process_ = -1;
}

int FabricPeer::end() {
  ::close(input_);
  input_ = -1;
  int status = -1;
  ::waitpid(process_, &status, 0);
  process_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace troupe::cluster
