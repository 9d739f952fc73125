// From a checkpoint's plain rows, or from nothing, to WeightTiles.
#pragma once

#include <cstdint>

#include "kernels/cuda/tiles.hpp"

namespace troupe::kernels::cuda {

/// Where a matrix's outputs are stored: in their order, or alternating by eights from the first half (gates) and the second
/// half (ups), as gated products want them.
enum class Alternation : std::uint8_t { none, gates_and_ups };

__host__ __device__ constexpr int stored_output(int output, int outputs, Alternation alternation) {
  if (alternation == Alternation::none) return output;
  const int half = outputs / 2;
  const bool up = output >= half;
  const int element = up ? output - half : output;
  return element / 8 * 16 + (up ? 8 : 0) + element % 8;
}

/// Writes `rows` [count, inputs], device memory, as outputs `first_output`.. of a matrix; what is beyond its outputs and
/// inputs is left as it is. Inputs are a multiple of 8.
struct PackTiles {
  bf16* target = nullptr;
  WeightTiles matrix;
  Alternation alternation = Alternation::none;
  std::int32_t first_output = 0;
  std::int32_t count = 0;
  const bf16* rows = nullptr;
};
cudaError_t pack_tiles(cudaStream_t stream, const PackTiles& arguments);

/// Writes the whole matrix of kernels/packed_matrix.hpp's fill_random.
struct FillTiles {
  bf16* target = nullptr;
  WeightTiles matrix;
  Alternation alternation = Alternation::none;
  std::uint64_t key = 0;
  const bf16* table = nullptr;  ///< device memory
};
cudaError_t fill_tiles(cudaStream_t stream, const FillTiles& arguments);

}  // namespace troupe::kernels::cuda
