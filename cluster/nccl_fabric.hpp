// The fabric between GPUs: a device fabric (device_fabric.hpp) whose links are NCCL's communicators of two.
// docs/decisions/0012-nccl.md says what of NCCL is used and why.
#pragma once

#include <memory>
#include <string>

#include "cluster/device_fabric.hpp"

namespace troupe::cluster {

struct NcclOptions {
  int device = 0;  ///< CUDA's number of it
  /// Blocks of a kernel that moves bytes, for each peer; they stay on their multiprocessors while a round is under way.
  int channels_max = 4;
};

/// What `control` does stays as it is; device memory moves over NCCL. `unsupported` if this was built without NCCL,
/// `unavailable` if there is no such device; both messages say so.
Result<std::unique_ptr<Fabric>> open_nccl_fabric(const NodeId& name, const FabricLimits& limits, const NcclOptions& options,
                                                 std::unique_ptr<Fabric> control);

/// The links alone.
Result<std::unique_ptr<DeviceLinks>> open_nccl_links(const NcclOptions& options);

}  // namespace troupe::cluster
