// Measures attention of decoding rows alone, as one layer after another of a pass has it.
#pragma once

#include <string>
#include <vector>

namespace troupe::kernels::cuda {

struct DecodeAttentionSpeed {
  int head_dim = 0;
  int heads = 0;
  int kv_heads = 0;
  int rows = 0;
  std::string lengths;      ///< of the rows' sequences, in words
  double seconds = 0;       ///< of one layer
  double plan_seconds = 0;  ///< once for all layers
  double bytes = 0;         ///< of a layer's keys and values, up to each row's position

  double of_floor(double read_bytes_per_second) const { return bytes / read_bytes_per_second / seconds; }
};

/// Adds to `speeds`.
void measure_decode_attention(std::vector<DecodeAttentionSpeed>& speeds);

}  // namespace troupe::kernels::cuda
