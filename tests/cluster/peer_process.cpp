#include "tests/cluster/peer_process.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

namespace troupe::cluster {

PeerProcess::PeerProcess(std::vector<std::string> command) {
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0) return;
  input_ = in[1];
  output_ = out[0];
  process_ = ::fork();
  if (process_ == 0) {
    ::dup2(in[0], STDIN_FILENO);
    ::dup2(out[1], STDOUT_FILENO);
    ::execv(arguments.front(), arguments.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
}

PeerProcess::~PeerProcess() {
  kill();
  if (input_ >= 0) ::close(input_);
  if (output_ >= 0) ::close(output_);
}

void PeerProcess::signal(int number) const {
  if (process_ > 0) ::kill(process_, number);
}

void PeerProcess::kill() {
  signal(SIGKILL);
  if (process_ > 0) ::waitpid(process_, nullptr, 0);
  process_ = -1;
}

int PeerProcess::end() {
  ::close(input_);
  input_ = -1;
  int status = -1;
  ::waitpid(process_, &status, 0);
  process_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace troupe::cluster
