// From what a user says to a device.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "kernels/cpu_device.hpp"
#include "kernels/device.hpp"

namespace troupe::kernels {

enum class DeviceWish : std::uint8_t {
  automatic,  ///< a GPU if there is one that this build computes on, else the CPU
  cpu,
  cuda,
};

struct DeviceOptions {
  DeviceWish wish = DeviceWish::automatic;
  std::int32_t gpu = 0;  ///< which one, as nvidia-smi counts
  CpuOptions cpu;        ///< if it becomes the CPU
};

struct OpenedDevice {
  std::unique_ptr<Device> device;
  std::string why;  ///< why there is a GPU, but it cannot be used; empty if none was looked for or none is here
};

/// `unavailable` if there is no GPU, `unsupported` if there is one of another generation, a driver that is too old, or a build
/// without CUDA; and CpuDevice's errors.
Result<OpenedDevice> open_device(const DeviceOptions& options);

/// Whether this build has kernels for GPUs.
bool built_with_cuda();

}  // namespace troupe::kernels
