// The other process of the fabric's tests: exposes a region, sends back what it is sent, and lives until its input ends or
// somebody kills it.
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "cluster/ucx_fabric.hpp"
#include "tests/cluster/fabric_peer.hpp"

int main(int argc, char** argv) {
  using namespace troupe;
  using namespace troupe::cluster;
  if (argc != 2) {
    std::fputs("usage: fabric_peer TRANSPORTS < ADDRESS\n", stderr);
    return 2;
  }
  UcxOptions options;
  options.transports = argv[1];
  std::string caller;
  std::getline(std::cin, caller);
  auto fabric = open_ucx_fabric(peer_name, {}, options);
  if (!fabric) {
    std::fprintf(stderr, "fabric_peer: %s\n", fabric.error().message.c_str());
    return 1;
  }
  const auto memory = std::make_shared<std::vector<std::byte>>(peer_region());
  const auto region = (*fabric)->expose(*memory, memory);
  (*fabric)->receive(Channel::expert_work, [&](const NodeId& from, const Payload& message) {
    (*fabric)->send(from, Channel::expert_results, message, TimePoint::max(), nullptr);
  });
  const auto connected = (*fabric)->connect(caller_name, from_hex(caller));
  if (!connected || !region) return 1;
  std::cout << to_hex((*fabric)->address()) << ' ' << to_hex((*region)->remote().key) << std::endl;
  while (std::cin.get() != EOF) {
  }
}
