// What a fabric for device memory (device_fabric.hpp) needs of a library like NCCL: links between two processes' devices, over
// which both sides move the same bytes at the same time. Used by one thread alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace troupe::cluster {

/// One half of a movement; the other side has the other half.
struct DeviceMove {
  bool sends = false;
  std::byte* memory = nullptr;  ///< on the device; only read if it sends
  std::uint64_t bytes = 0;
};

/// A link to one peer. Groups are carried out in their order; the moves of one group at the same time. Both sides hand over the
/// same groups, with sends where the other receives, or neither gets any further.
class DeviceLink {
 public:
  struct Progress {
    bool ready = false;       ///< both sides are there, and groups may be handed over
    std::uint64_t ended = 0;  ///< so many groups have ended here
  };

  /// Only once it is quiet.
  virtual ~DeviceLink() = default;
  /// Never waits. After an error the link is good for nothing but `abort`.
  virtual Result<Progress> poll() = 0;
  /// Only when it is ready.
  virtual void enqueue(std::vector<DeviceMove> group) = 0;
  /// Begins to break it off; the other side finds out, or not.
  virtual void abort() = 0;
  /// After `abort`: nothing touches the memory of any group any more. Never waits.
  virtual bool quiet() = 0;
};

class DeviceLinks {
 public:
  static constexpr std::size_t link_id_bytes_max = 512;

  virtual ~DeviceLinks() = default;
  /// Whether memory is of the device. `invalid_argument` if it is of another one, or not of one kind from end to end.
  virtual Result<bool> is_device_memory(std::span<const std::byte> memory) const = 0;
  /// Names a new link; whoever draws it opens it as rank 0, and the other side as rank 1.
  virtual Result<std::string> draw_link_id() = 0;
  /// Does not wait for the other side. An id may be anything; `invalid_argument` if it cannot be one.
  virtual Result<std::unique_ptr<DeviceLink>> open(std::string_view link_id, int rank) = 0;
};

}  // namespace troupe::cluster
