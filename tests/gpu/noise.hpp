// Device memory full of numbers that look random and are the same each time: element i depends on i and the seed alone.
#pragma once

#include "kernels/cuda/tiles.hpp"

namespace troupe::kernels::cuda {

/// In (-1, 1), with the distribution of a sum of two uniform numbers.
__host__ __device__ inline float noise(std::uint64_t index, std::uint32_t seed) {
  std::uint64_t bits = index + (std::uint64_t{seed} << 40U);
  bits = bits * 6364136223846793005U + 1442695040888963407U;
  bits ^= bits >> 29U;
  bits *= 0xBF58476D1CE4E5B9U;
  bits ^= bits >> 32U;
  bits *= 0x94D049BB133111EBU;
  bits ^= bits >> 31U;
  const int sum = static_cast<int>(bits & 0xFFFFU) + static_cast<int>((bits >> 16U) & 0xFFFFU);
  return static_cast<float>(sum - 65535) / 65536.0f;
}

void fill_noise(bf16* data, std::size_t count, std::uint32_t seed, float scale);
/// Elements by [output, input]; what lies beyond is left as it is.
void fill_noise(const WeightTiles& weights, bf16* data, std::uint32_t seed, float scale);
/// Elements by [row, input], of the first `rows` rows.
void fill_noise(const RowTiles& rows_of_tiles, int rows, std::uint32_t seed, float scale);

}  // namespace troupe::kernels::cuda
