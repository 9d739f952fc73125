// Weights as a CPU's matrix products read them: panels of 32 outputs, in each the 32 weights of input 0, then of input 1, ...:
// [outputs / 32][inputs][32] in bf16, the last panel padded with zeros. One token streams the panels from memory once;
// vectors run across outputs, so every output element is one chain over ascending inputs whatever the vector's width.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/bf16.hpp"
#include "kernels/device.hpp"

namespace troupe::kernels {

inline constexpr int panel_outputs = 32;

/// Borrows its weights. On another device the data is in that device's layout (a GPU's: kernels/cuda/tiles.hpp), and of what is
/// here only the sizes are of use.
struct PackedMatrix {
  const bf16* data = nullptr;
  std::int32_t outputs = 0;
  std::int32_t inputs = 0;

  int panels() const { return (outputs + panel_outputs - 1) / panel_outputs; }
  std::size_t panel_elements() const { return static_cast<std::size_t>(inputs) * panel_outputs; }
  std::size_t elements() const { return static_cast<std::size_t>(panels()) * panel_elements(); }
  const bf16* panel(int index) const { return data + static_cast<std::size_t>(index) * panel_elements(); }
};

/// What a matrix takes on a kind of device, its padding included.
constexpr std::size_t packed_bytes(DeviceKind kind, std::int32_t outputs, std::int32_t inputs) {
  const auto padded = [](std::int32_t size, std::int32_t multiple) {
    return static_cast<std::size_t>((size + multiple - 1) / multiple) * static_cast<std::size_t>(multiple);
  };
  switch (kind) {
    case DeviceKind::cpu: return padded(outputs, panel_outputs) * static_cast<std::size_t>(inputs) * sizeof(bf16);
    case DeviceKind::cuda: return padded(outputs, 64) * padded(inputs, 128) * sizeof(bf16);
  }
  return 0;
}

/// Copies rows [outputs, inputs] of a checkpoint into a packed matrix, as outputs `first_output`.. of it. The target has
/// `PackedMatrix::elements()` elements, zeroed beforehand; several tensors may be packed one below the other.
void pack_rows(bf16* target, std::int32_t inputs, std::int32_t first_output, const bf16* rows, std::int32_t outputs);

}  // namespace troupe::kernels
