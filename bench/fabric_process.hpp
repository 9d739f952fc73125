// The other end of the fabric's benchmark: a forked process that serves a fabric, UCX alone and a socket, one at a time.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "cluster/ucx_fabric.hpp"

namespace troupe::bench {

inline const cluster::NodeId near_end{"near"};
inline const cluster::NodeId far_end{"far"};
/// Heads of frames over UCX alone.
inline constexpr std::string_view raw_bulk = "bulk";  ///< answered without a body
inline constexpr std::string_view raw_echo = "echo";  ///< answered with its body
inline constexpr std::string_view raw_stop = "stop";

/// One of the two ends; each process has its own.
struct FabricEnd {
  std::unique_ptr<cluster::Fabric> fabric;
  std::unique_ptr<cluster::Wire> wire;
  cluster::LinkId link;
};

class FabricProcess {
 public:
  /// Forks. `bytes_max`: of anything that will be moved.
  static Result<std::unique_ptr<FabricProcess>> start(std::size_t bytes_max, const std::string& transports);
  ~FabricProcess();
  FabricProcess(const FabricProcess&) = delete;
  FabricProcess& operator=(const FabricProcess&) = delete;

  FabricEnd& end() { return end_; }
  const cluster::RemoteRegion& region() const { return region_; }
  /// Has the other end serve UCX alone, busily, until it receives `raw_stop`.
  Result<void> serve_raw();
  /// A socket whose other end is read, and answered with one byte for each `bytes`.
  Result<int> serve_socket(std::size_t bytes);

 private:
  FabricProcess() = default;
  FabricEnd end_;
  cluster::RemoteRegion region_;
  std::string port_;
  int commands_ = -1;
  pid_t process_ = -1;
};

}  // namespace troupe::bench
