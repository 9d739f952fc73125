// Where somebody is who goes through a ring of stages in shared memory.
#pragma once

#include <cstdint>

namespace troupe::kernels::cuda {

/// Where a ring's next stage is, and which parity the phases of its barriers have.
template <int Stages>
struct RingPlace {
  int slot = 0;
  std::uint32_t parity = 0;

  __device__ __forceinline__ void advance() {
    slot = slot + 1 == Stages ? 0 : slot + 1;
    parity ^= slot == 0 ? 1 : 0;
  }
  __device__ __forceinline__ void advance(int by) {
    parity ^= static_cast<std::uint32_t>((slot + by) / Stages) & 1;
    slot = (slot + by) % Stages;
  }
};

}  // namespace troupe::kernels::cuda
