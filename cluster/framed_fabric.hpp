// A fabric over any Wire: greets, splits transfers into chunks, keeps messages in order and windows from overflowing, and
// answers for this node's regions. Gets are asked for and answered rather than read from afar, so that the owner of a region
// checks each access and holds its memory meanwhile (docs/decisions/0011-fabric.md).
#pragma once

#include <memory>

#include "cluster/fabric.hpp"
#include "cluster/wire.hpp"

namespace troupe::cluster {

/// Takes the wire over, and gives it a thread of its own.
std::unique_ptr<Fabric> make_framed_fabric(const NodeId& name, const FabricLimits& limits, std::unique_ptr<Wire> wire);

}  // namespace troupe::cluster
