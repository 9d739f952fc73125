// Measures passes over many rows: prefill attention alone, and whole passes of models' layers.
#pragma once

#include <string>
#include <vector>

namespace troupe::kernels::cuda {

/// Of `rows` consecutive tokens of one sequence, whose first has `context` positions before it.
struct AttentionSpeed {
  int head_dim = 0;
  int heads = 0;
  int kv_heads = 0;
  int context = 0;
  int rows = 0;
  double seconds = 0;
  double operations = 0;

  double operations_per_second() const { return operations / seconds; }
};

/// Of a prompt from its beginning, without logits.
struct PassSpeed {
  std::string model;
  int rows = 0;
  double seconds = 0;
  double operations = 0;

  double operations_per_second() const { return operations / seconds; }
};

/// Add to `speeds`.
void measure_attention(std::vector<AttentionSpeed>& speeds);
void measure_passes(std::vector<PassSpeed>& speeds);

}  // namespace troupe::kernels::cuda
