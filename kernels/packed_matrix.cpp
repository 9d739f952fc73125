#include "kernels/packed_matrix.hpp"

#include <algorithm>

namespace troupe::kernels {
namespace {

/// Inputs that are transposed at a time: their piece of a panel stays in the L1 cache, and what is read of each row is long
/// enough for the prefetcher.
constexpr std::size_t tile_inputs = 128;

/// Up to 32 rows of one panel. Rows are read along, so that each line of a checkpoint is read once even where rows are a
/// power of two apart and compete for the same few places in the cache.
void pack_tile(bf16* target, const bf16* rows, std::size_t width, std::size_t outputs, std::size_t inputs) {
  for (std::size_t output = 0; output < outputs; ++output) {
    const bf16* source = rows + output * width;
    bf16* column = target + output;
    for (std::size_t input = 0; input < inputs; ++input) column[input * panel_outputs] = source[input];
  }
}

}  // namespace

void pack_rows(bf16* target, std::int32_t inputs, std::int32_t first_output, const bf16* rows, std::int32_t outputs) {
  const auto width = static_cast<std::size_t>(inputs);
  const auto end = static_cast<std::size_t>(first_output) + static_cast<std::size_t>(outputs);
  for (auto output = static_cast<std::size_t>(first_output); output < end;) {
    const std::size_t in_panel = output % panel_outputs;
    const std::size_t count = std::min(panel_outputs - in_panel, end - output);
    bf16* panel = target + (output - in_panel) * width + in_panel;
    for (std::size_t input = 0; input < width; input += tile_inputs) {
      pack_tile(panel + input * panel_outputs, rows + input, width, count, std::min(tile_inputs, width - input));
    }
    rows += count * width;
    output += count;
  }
}

}  // namespace troupe::kernels
