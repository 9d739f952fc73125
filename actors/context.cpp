#include "actors/context.hpp"

#include <algorithm>

namespace troupe::actors {

const Peer* Cluster::find(const policy::NodeId& node) const {
  const auto peer = std::find_if(peers.begin(), peers.end(), [&](const Peer& each) { return each.view.id == node; });
  return peer == peers.end() ? nullptr : &*peer;
}

const Peer* Cluster::lease_holder() const {
  const auto peer = std::find_if(peers.begin(), peers.end(), [](const Peer& each) { return each.view.leases; });
  return peer == peers.end() ? nullptr : &*peer;
}

}  // namespace troupe::actors
