// A fabric that moves bytes between devices' memories, on top of one that moves everything else. Messages, and gets and puts
// between regions of host memory, are the other one's, unchanged; what is between two regions of device memory goes over
// device links, on which the two fabrics agree over the other one's `Channel::control` (device_pair.hpp).
#pragma once

#include <memory>
#include <string_view>

#include "cluster/device_link.hpp"
#include "cluster/fabric.hpp"

namespace troupe::cluster {

/// `name` is the node's; peers know it, and `control` was made with it. `transport`: what the fabric calls itself; it outlives
/// it. One thread more of its own, which sleeps between looks at links that are in use.
///
/// Device memory moves between two that are connected to each other, both ways. A region is of device memory if `links` says
/// so, and nothing but the device may touch `memory()` of it. What a source holds must be there before it is exposed to a get,
/// or given to a put: no stream is waited for. A get or put between device and host memory is `invalid_argument`. Device links
/// are made when they are first needed, broken off with their peer or when a transfer that is over does not end, and made
/// again.
std::unique_ptr<Fabric> make_device_fabric(const NodeId& name, const FabricLimits& limits, std::string_view transport,
                                           std::unique_ptr<Fabric> control, std::unique_ptr<DeviceLinks> links);

}  // namespace troupe::cluster
