// A `troupe node` process of a test: started, killed and started again under the same name, data folder and addresses.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace troupe::tests {

struct NodeSetup {
  std::string name;
  std::vector<std::string> tiers;         ///< "none": no model
  std::string join = {};                  ///< another node's cluster address; empty: the first of its cluster
  std::string data = {};                  ///< name of its data folder; empty: its own name
  std::vector<std::string> options = {};  ///< of the command line, beside these
};

struct Child {
  pid_t process = -1;
  int output = -1;  ///< the caller closes it
};
/// Runs a program at the repository's root with its output in a pipe and its errors in `log`. The kernel kills it when the
/// thread that called this ends, so that nothing outlives a test, however that ends: call it in the main thread.
Child spawn(const std::vector<std::string>& command, const std::filesystem::path& log);

/// What a program says on its standard output until it ends, and its exit status.
struct Said {
  std::string output;
  int status = -1;
};
Said run(const std::vector<std::string>& command, const std::filesystem::path& log);

class NodeProcess {
 public:
  /// Data and logs live in `folder`. Nothing runs before `start`.
  NodeProcess(std::string troupe, std::filesystem::path folder, NodeSetup setup);
  NodeProcess(const NodeProcess&) = delete;
  NodeProcess& operator=(const NodeProcess&) = delete;
  ~NodeProcess() { kill(); }

  /// Starts it, after killing it if it runs, and returns at once.
  void begin();
  /// `begin`, and returns when it listens. `unavailable` with the end of its log if it ended instead, or has not started in a
  /// minute.
  Result<void> start();
  /// As a power failure would.
  void kill();
  /// Asks it to end and returns its exit status; -1 if a signal ended it.
  int terminate();
  bool runs();

  const std::string& name() const { return setup_.name; }
  const std::string& clients() const { return clients_; }  ///< where clients connect; kept over restarts
  const std::string& cluster() const { return cluster_; }  ///< where other nodes connect; kept over restarts
  /// What it has written to its error stream since it was first started.
  std::string log() const;

 private:
  Error start_failed(const std::string& why) const;

  std::string troupe_;
  std::filesystem::path folder_;
  NodeSetup setup_;
  std::string clients_ = "127.0.0.1:0";  // at the first start the system chooses a free port
  std::string cluster_ = "127.0.0.1:0";
  Child child_;
};

}  // namespace troupe::tests
