#include "cluster/nccl_fabric.hpp"

namespace troupe::cluster {

Result<std::unique_ptr<Fabric>> open_nccl_fabric(const NodeId& name, const FabricLimits& limits, const NcclOptions& options,
                                                 std::unique_ptr<Fabric> control) {
  TROUPE_TRY(auto links, open_nccl_links(options));
  return make_device_fabric(name, limits, "nccl", std::move(control), std::move(links));
}

#ifndef TROUPE_WITH_NCCL
Result<std::unique_ptr<DeviceLinks>> open_nccl_links(const NcclOptions& /*options*/) {
  return Error{ErrorCode::unsupported, "NCCL is not here: this was built where CMake found no nccl.h or no CUDA runtime"};
}
#endif

}  // namespace troupe::cluster
