// Measures sampling: its options alone and together, of one row and of many.
#pragma once

#include <string>
#include <vector>

namespace troupe::kernels::cuda {

struct SampleSpeed {
  std::string options;
  int vocabulary = 0;
  int rows = 0;
  int blocks_per_row = 0;
  double seconds = 0;  ///< a launch of a graph of several, with logits that lie in the L2 cache if they are few

  /// The time of reading the logits once, as a share of the time taken.
  double of_floor(double read_bytes_per_second) const { return 4.0 * vocabulary * rows / read_bytes_per_second / seconds; }
};

/// Adds to `speeds`.
void measure_sampling(std::vector<SampleSpeed>& speeds);

}  // namespace troupe::kernels::cuda
