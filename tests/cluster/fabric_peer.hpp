// What the fabric's tests and their other process (fabric_peer_main.cpp) agree on, and how the tests start and kill it.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/fabric.hpp"

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

/// The other process. Killed at the latest when this ends.
class FabricPeer {
 public:
  /// Starts it and tells it our address; it says its own, and its region's key.
  FabricPeer(const std::string& transports, const std::string& own_address);
  ~FabricPeer();
  FabricPeer(const FabricPeer&) = delete;
  FabricPeer& operator=(const FabricPeer&) = delete;

  bool started() const { return !address.empty(); }
  void signal(int number) const;
  void kill();
  /// Closes its input, and waits; what it exited with.
  int end();

  std::string address;
  RemoteRegion region;

 private:
  pid_t process_ = -1;
  int input_ = -1;
  int output_ = -1;
};

}  // namespace troupe::cluster
