// Another process of a test, that listens on its standard input and answers on its standard output. Killed at the latest when
// this ends.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace troupe::cluster {

class PeerProcess {
 public:
  /// Runs `command`, a program and its arguments.
  explicit PeerProcess(std::vector<std::string> command);
  ~PeerProcess();
  PeerProcess(const PeerProcess&) = delete;
  PeerProcess& operator=(const PeerProcess&) = delete;

  void signal(int number) const;
  void kill();
  /// Closes its input, and waits; what it exited with.
  int end();

 protected:
  int input_ = -1;  ///< what is written here it reads; -1 if it could not be started
  int output_ = -1;

 private:
  pid_t process_ = -1;
};

}  // namespace troupe::cluster
