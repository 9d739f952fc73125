// Measures mixture-of-experts layers, from the router's logits to the residual rows.
#pragma once

#include <string>
#include <vector>

namespace troupe::kernels::cuda {

/// Layers with different logits are measured one after another, so that what one reads is not in the L2 cache for the next.
struct MoeSpeed {
  std::string model;
  int rows = 0;
  double experts = 0;  ///< that some row chooses, on average over the layers
  double seconds = 0;
  double bytes = 0;  ///< of the chosen experts' weights
  double operations = 0;

  double floor_seconds(double read_bytes_per_second) const { return bytes / read_bytes_per_second; }
  double of_floor(double read_bytes_per_second) const { return floor_seconds(read_bytes_per_second) / seconds; }
  double operations_per_second() const { return operations / seconds; }
};

/// Adds to `speeds`.
void measure_moe(std::vector<MoeSpeed>& speeds);

}  // namespace troupe::kernels::cuda
