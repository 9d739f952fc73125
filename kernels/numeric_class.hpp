// The name of the arithmetic (docs/numerics.md): results are equal bit for bit within a class, and close between classes.
#pragma once

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

}  // namespace troupe::kernels
