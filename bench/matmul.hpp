// How fast matrix products run, as shares of what the machine can do and beside oneDNN.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.hpp"
#include "bench/ceilings.hpp"
#include "kernels/cpu_device.hpp"

namespace troupe::bench {

struct MatmulShape {
  std::int32_t rows = 1;
  std::int32_t inputs = 0;
  std::int32_t outputs = 0;

  double weight_bytes() const { return 2.0 * inputs * outputs; }
  double operations() const { return 2.0 * rows * inputs * outputs; }
};

/// Everything is measured in turn in each round, and shares and ratios are taken within a round; each number is the median
/// over the rounds.
struct MatmulMeasurement {
  double seconds = 0;             ///< of one product
  double read_share = 0;          ///< bytes of weights per second / the reading ceiling; above 1 where caches hold them
  double arithmetic_share = 0;    ///< operations per second / the arithmetic ceiling
  double read_ceiling = 0;        ///< bytes per second
  double arithmetic_ceiling = 0;  ///< operations per second
  std::optional<double> onednn_seconds;
  std::optional<double> onednn_ratio;  ///< oneDNN's time / ours: above 1, ours is faster
};

/// `rounds` at least 1. `out_of_range` for a shape without rows, inputs or outputs; `overloaded` without memory. A build
/// without oneDNN leaves its numbers empty.
Result<MatmulMeasurement> measure_matmul(kernels::CpuDevice& device, Ceilings& ceilings, const MatmulShape& shape, int rounds);

}  // namespace troupe::bench
