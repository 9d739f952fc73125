// NCCL as anybody would use it: one communicator that blocks, one send or receive after the other. What the fabric over NCCL is
// compared with.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/result.hpp"

namespace troupe::bench {

class NcclPlain {
 public:
  /// To be told to the other side.
  static Result<std::string> draw_id();
  /// Waits for the other side. `unsupported` in a build without NCCL.
  static Result<std::unique_ptr<NcclPlain>> join(const std::string& id, int rank, int device);
  virtual ~NcclPlain() = default;
  /// Sends or receives all of the memory so often, back to back, and returns when that is over.
  virtual Result<void> send(std::span<const std::byte> memory, int times) = 0;
  virtual Result<void> receive(std::span<std::byte> memory, int times) = 0;
};

}  // namespace troupe::bench
