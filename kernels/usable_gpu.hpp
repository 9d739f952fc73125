// Whether a GPU can be computed on, by what its driver says of it.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace troupe::kernels {

/// As CUDA's runtime tells them. What comes after something that failed is not known, and not looked at.
struct GpuFacts {
  std::int32_t driver = 0;      ///< the newest CUDA that it serves, as CUDART_VERSION; 0: none is installed
  std::int32_t runtime = 0;     ///< the CUDA that this build was made with
  std::int32_t count = 0;       ///< of GPUs
  std::string counting_failed;  ///< what was wrong with counting them; empty: nothing
  std::int32_t ordinal = 0;     ///< the one that is asked for, counted from 0
  std::string asking_failed;    ///< what was wrong with asking it for the rest; empty: nothing
  std::string name;             ///< "NVIDIA H200"
  std::int32_t capability_major = 0;
  std::int32_t capability_minor = 0;
};

/// `unavailable` without a driver or a GPU, `unsupported` for a driver that is too old or another generation, `out_of_range`
/// for a GPU that is not there.
Result<void> check_gpu(const GpuFacts& facts);

}  // namespace troupe::kernels
