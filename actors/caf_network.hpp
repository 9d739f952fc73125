// Other nodes over CAF's own transport: a node publishes its door on a port, and its other actors under names that a connected
// node can look up.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "actors/network.hpp"

namespace troupe::actors {

/// The settings that measured best for small machines, and without which a stopped peer is never noticed.
void configure(caf::actor_system_config& config);

/// Makes this node's actors known under their names.
void register_handles(caf::actor_system& system, const PeerHandles& handles);

/// Opens the door at "host:port" (port 0: any); returns the port.
Result<std::uint16_t> publish_node(caf::actor_system& system, const NodeActor& node, const std::string& address);

/// Dials with a few threads of its own, which wait; they end with the object.
std::shared_ptr<Network> make_caf_network(caf::actor_system& system);

/// "host:port" in its parts. `invalid_argument` says what is wrong with it; `unsupported` if it is an IPv6 address.
struct Address {
  std::string host;
  std::uint16_t port = 0;
};
Result<Address> parse_address(const std::string& text);

}  // namespace troupe::actors
