#include "tests/gpu/gpu_peer.hpp"

#include <filesystem>

#include "bench/words.hpp"

namespace troupe::cluster {

namespace {

/// The two programs lie side by side, wherever they were built or carried to.
std::string program() { return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "gpu_peer").string(); }

}  // namespace

GpuPeer::GpuPeer(const NodeId& name, std::uint64_t seed) : PeerProcess({program(), name.value, std::to_string(seed)}) {
  const auto said_address = bench::hear(output_);
  const auto said_key = bench::hear(output_);
  if (!said_address || !said_key) return;
  address = *said_address;
  region = {*said_key, gpu_region_bytes};
}

}  // namespace troupe::cluster
