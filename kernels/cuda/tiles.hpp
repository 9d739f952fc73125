// bf16 matrices as Hopper's tensor cores read them: panels of 64 inputs (128 bytes a row), each row's eight pieces of 16 bytes
// exchanged by the row's number modulo 8, as the cores' 128-byte swizzle wants them. What lies in memory like this needs no
// tensor map: a panel's rows are one contiguous bulk copy.
#pragma once

#include <cstddef>
#include <cstdint>

#include <cuda_bf16.h>

namespace troupe::kernels::cuda {

using bf16 = __nv_bfloat16;

inline constexpr int panel_inputs = 64;
inline constexpr int tile_outputs = 64;
inline constexpr int tile_elements = tile_outputs * panel_inputs;

__host__ __device__ constexpr int divided_up(int value, int by) { return (value + by - 1) / by; }

/// How many panels hold so many inputs: an even number, since panels are streamed in pairs.
__host__ __device__ constexpr int panels_of(int inputs) { return divided_up(inputs, 2 * panel_inputs) * 2; }

/// Where element `input` (below 64) of a row lies in its panel, in elements.
__host__ __device__ constexpr int swizzled(int row, int input) {
  return row * panel_inputs + (((input / 8) ^ (row % 8)) * 8) + input % 8;
}

/// Rows of activations: [panel][row capacity][64]. What is beyond `inputs` is zero.
struct RowTiles {
  bf16* data = nullptr;
  std::int32_t capacity = 0;  ///< rows that there is room for, a multiple of 8
  std::int32_t inputs = 0;

  __host__ __device__ constexpr int panels() const { return panels_of(inputs); }
  __host__ __device__ std::size_t elements() const {
    return static_cast<std::size_t>(panels()) * static_cast<std::size_t>(capacity) * panel_inputs;
  }
  __host__ __device__ std::size_t offset(int row, int input) const {
    return static_cast<std::size_t>(input / panel_inputs) * static_cast<std::size_t>(capacity) * panel_inputs +
           static_cast<std::size_t>(swizzled(row, input % panel_inputs));
  }
};

/// Weights: [tile of 64 outputs][panel][64][64]; what is beyond `outputs` and `inputs` is zero. One tile is contiguous, so one
/// token streams the weights from memory in order.
struct WeightTiles {
  const bf16* data = nullptr;
  std::int32_t outputs = 0;
  std::int32_t inputs = 0;

  __host__ __device__ constexpr int tiles() const { return divided_up(outputs, tile_outputs); }
  __host__ __device__ constexpr int panels() const { return panels_of(inputs); }
  __host__ __device__ std::size_t elements() const {
    return static_cast<std::size_t>(tiles()) * static_cast<std::size_t>(panels()) * tile_elements;
  }
  __host__ __device__ std::size_t offset(int output, int input) const {
    return (static_cast<std::size_t>(output / tile_outputs) * static_cast<std::size_t>(panels()) +
            static_cast<std::size_t>(input / panel_inputs)) *
               tile_elements +
           static_cast<std::size_t>(swizzled(output % tile_outputs, input % panel_inputs));
  }
};

}  // namespace troupe::kernels::cuda
