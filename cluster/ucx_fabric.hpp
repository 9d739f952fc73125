// The fabric over UCX: shared memory (CMA) and TCP between processes, RDMA where there is any.
// docs/decisions/0011-fabric.md says what of UCX is used and why.
#pragma once

#include <memory>
#include <string>

#include "cluster/fabric.hpp"
#include "cluster/wire.hpp"

namespace troupe::cluster {

struct UcxOptions {
  /// Which of UCX's transports may be used, as in its setting UCX_TLS: "all", "tcp", "tcp,cma", "rc,tcp", ...
  std::string transports = "all";
  /// Which network devices, as in UCX_NET_DEVICES: "all", "eth0", "lo", "mlx5_0:1", ...
  std::string devices = "all";
};

/// UCX logs nothing and installs no signal handlers. One thread of its own, which sleeps while there is nothing to do.
/// `unavailable` if UCX cannot use those transports.
Result<std::unique_ptr<Fabric>> open_ucx_fabric(const NodeId& name, const FabricLimits& limits = {},
                                                const UcxOptions& options = {});

/// UCX catches signals (SIGHUP, SIGSEGV, ...) from when it is loaded, which is when the program starts. They become what they
/// were, and UCX logs nothing from then on. Opening a fabric does so too.
void release_ucx_signals();

/// UCX alone, without the fabric's protocol: for benchmarks and for tests that speak nonsense.
Result<std::unique_ptr<Wire>> open_ucx_wire(const UcxOptions& options = {});

}  // namespace troupe::cluster
