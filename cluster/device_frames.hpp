// What two fabrics for device memory say to each other over their control fabric, so that both take part in the same movements
// (device_pair.hpp). Whatever arrives may be anything: it is checked here, and bounded before anything is allocated.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/frames.hpp"

namespace troupe::cluster {

enum class DeviceFrameKind : std::uint8_t {
  hello = 1,  ///< the answer to what was meant for an earlier life of the sender; yours is 0
  ask,        ///< id: chosen by the asking one; gets; region and extents
  ready,      ///< id: of an ask; its owner holds the memory. Said to a leader only
  refuse,     ///< id: of an ask; status
  drop,       ///< id: of an ask of the sender's that it no longer wants
  link,       ///< text: by which the follower opens the link of this epoch
  round,      ///< id: its number; entries: what both sides hand over to the link as one group
  done,       ///< id: of a round that has ended at the sender
  broken,     ///< the sender has broken off the link of this epoch, and forgotten all that was asked in it. text: why
};

/// What a round moves: an ask, by who asked.
struct DeviceEntry {
  bool of_leader = false;
  std::uint64_t id = 0;
  friend bool operator==(const DeviceEntry&, const DeviceEntry&) = default;
};

struct DeviceFrame {
  static constexpr std::size_t entries_max = 32;
  static constexpr std::size_t text_bytes_max = 1024;
  static constexpr std::size_t extents_max = 256;
  static constexpr std::uint64_t ask_bytes_max = std::uint64_t{16} << 20;

  DeviceFrameKind kind = DeviceFrameKind::ask;
  bool gets = false;
  std::uint16_t status = 0;  ///< 0, or one more than an ErrorCode
  std::uint64_t own = 0;     ///< the sender's life with its peer
  std::uint64_t yours = 0;   ///< the peer's life that the sender knows of; 0: none
  std::uint64_t epoch = 0;   ///< of the link
  std::uint64_t id = 0;
  Extents extents;
  std::vector<DeviceEntry> entries;
  std::string text;
};

std::string encode(const DeviceFrame& frame);
/// `corrupt` for what no fabric of this version has made.
Result<DeviceFrame> decode_device_frame(std::span<const std::byte> bytes);

std::string encode_device_key(const RegionId& region);
Result<RegionId> decode_device_key(std::string_view key);

}  // namespace troupe::cluster
