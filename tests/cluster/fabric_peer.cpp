#include "tests/cluster/fabric_peer.hpp"

#include <unistd.h>

#include <sstream>

namespace troupe::cluster {

FabricPeer::FabricPeer(const std::string& transports, const std::string& own_address)
    : PeerProcess({TROUPE_FABRIC_PEER, transports}) {
  const std::string line = to_hex(own_address) + "\n";
  if (::write(input_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) return;
  std::string said;
  char byte = 0;
  while (::read(output_, &byte, 1) == 1 && byte != '\n') said += byte;
  std::istringstream words(said);
  std::string key;
  words >> address >> key;
  address = from_hex(address);
  region = {from_hex(key), peer_region_bytes};
}

}  // namespace troupe::cluster
