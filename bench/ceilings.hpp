// What the machine can do at most, measured: how fast its threads read memory, and how many fused multiply-adds they finish.
// A kernel's speed means little as a number and much as a share of these.
#pragma once

#include <cstddef>

#include "base/result.hpp"
#include "kernels/cpu_device.hpp"

namespace troupe::bench {

/// Measures with a device's threads and instruction set; holds the memory that is read. Machines change their speed from one
/// second to the next (neighbours, clocks), so callers measure beside what they compare.
class Ceilings {
 public:
  /// `bytes` should be several times what the caches hold. `overloaded` without memory. The device must outlive it.
  static Result<Ceilings> create(kernels::CpuDevice& device, std::size_t bytes = std::size_t{512} << 20);

  /// Bytes per second of reading the memory once, the best of a few times.
  double measure_read();
  /// Operations per second (a multiply-add is two) of float multiply-adds in registers, the best of a few times.
  double measure_arithmetic();

 private:
  Ceilings(kernels::CpuDevice& device, kernels::Memory memory) : device_(&device), memory_(std::move(memory)) {}

  kernels::CpuDevice* device_;
  kernels::Memory memory_;
};

}  // namespace troupe::bench
