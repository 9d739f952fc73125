// What the fabric's tests and their other process (fabric_peer_main.cpp) agree on, and how the tests start and kill it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/fabric.hpp"
#include "tests/cluster/peer_process.hpp"

namespace troupe::cluster {

inline const NodeId caller_name{"caller"};
inline const NodeId peer_name{"peer"};
inline constexpr std::size_t peer_region_bytes = std::size_t{16} << 20;
/// What the other process exposes.
inline std::vector<std::byte> peer_region() {
  std::vector<std::byte> bytes(peer_region_bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 2654435761U >> 13);
  return bytes;
}
inline std::string to_hex(std::string_view bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    text += digits[static_cast<unsigned char>(byte) >> 4];
    text += digits[static_cast<unsigned char>(byte) & 15U];
  }
  return text;
}
inline std::string from_hex(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

/// The other process.
class FabricPeer : public PeerProcess {
 public:
  /// Starts it and tells it our address; it says its own, and its region's key.
  FabricPeer(const std::string& transports, const std::string& own_address);

  bool started() const { return !address.empty(); }
  std::string address;
  RemoteRegion region;
};

}  // namespace troupe::cluster
