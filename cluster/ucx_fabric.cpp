#include "cluster/ucx_fabric.hpp"

#include "cluster/framed_fabric.hpp"

namespace troupe::cluster {

Result<std::unique_ptr<Fabric>> open_ucx_fabric(const NodeId& name, const FabricLimits& limits, const UcxOptions& options) {
  TROUPE_TRY(auto wire, open_ucx_wire(options));
  return make_framed_fabric(name, limits, std::move(wire));
}

}  // namespace troupe::cluster
