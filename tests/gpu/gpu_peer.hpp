// What the tests of the fabric over NCCL and their other processes (gpu_peer_main.cpp) agree on, and how the tests start and
// kill those. All of them share one GPU; each calls itself another host, since NCCL joins no two ranks of one device otherwise.
#pragma once

#include <string>
#include <vector>

#include "cluster/fabric.hpp"
#include "tests/cluster/peer_process.hpp"

namespace troupe::cluster {

inline const NodeId caller_name{"caller"};
inline constexpr std::size_t gpu_region_bytes = std::size_t{32} << 20;

/// What a peer's device memory holds: tells peers, and places, apart.
inline std::vector<std::byte> gpu_pattern(std::size_t count, std::uint64_t seed) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(((i + 7919 * seed) * 2654435761U) >> 13);
  return bytes;
}

/// What a peer is told on `Channel::test`: a command and what it needs. It answers there, with what `said` holds.
struct GpuCommand {
  /// get: bring all of `region` of ours into its own memory, and say whether it is the pattern of seed 1.
  /// read: say the bytes of its memory from `offset` on, as the device has them.
  enum class Kind : std::uint32_t { get, read };
  Kind kind = Kind::get;
  std::uint32_t key_bytes = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::byte key[RemoteRegion::key_bytes_max] = {};
};

/// Another process with device memory.
class GpuPeer : public PeerProcess {
 public:
  GpuPeer(const NodeId& name, std::uint64_t seed);

  bool started() const { return !address.empty(); }
  std::string address;
  RemoteRegion region;  ///< gpu_region_bytes of device memory that hold gpu_pattern(seed)
};

}  // namespace troupe::cluster
