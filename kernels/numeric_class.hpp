// The name of a device's arithmetic (docs/numerics.md): results are equal bit for bit within a class, and close between
// classes. And what follows from it for all who handle KV blocks without looking into them.
#pragma once

#include <cstdint>
#include <string_view>

#include "kernels/device.hpp"

namespace troupe::kernels {

constexpr std::string_view numeric_class(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cpu: return "cpu-f32-v1";
    case DeviceKind::cuda: return "cuda-sm90-v1";
  }
  return {};
}

/// Bytes of one number in a KV block: float32 on a CPU, bf16 on a GPU.
constexpr std::int32_t kv_element_bytes(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cpu: return 4;
    case DeviceKind::cuda: return 2;
  }
  return 0;
}

}  // namespace troupe::kernels
