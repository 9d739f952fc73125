// Memory of a CUDA device and copies to and from it: for benchmarks and tests of what moves it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/result.hpp"

namespace troupe::bench {

class CudaMemory {
 public:
  /// `unsupported` in a build without CUDA, `unavailable` without such a device, `overloaded` without room on it.
  static Result<std::shared_ptr<CudaMemory>> allocate(std::size_t bytes, int device = 0);
  ~CudaMemory();
  CudaMemory(const CudaMemory&) = delete;
  CudaMemory& operator=(const CudaMemory&) = delete;

  /// Addresses of the device: only its own work may follow them.
  std::span<std::byte> memory() const { return {data_, bytes_}; }
  /// Both return when it is done. The range lies inside.
  Result<void> write(std::size_t offset, std::span<const std::byte> from);
  Result<void> read(std::size_t offset, std::span<std::byte> to) const;

 private:
  CudaMemory(std::byte* data, std::size_t bytes, int device) : data_(data), bytes_(bytes), device_(device) {}
  std::byte* data_;
  std::size_t bytes_;
  int device_;
};

}  // namespace troupe::bench
