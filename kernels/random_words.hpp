// The random numbers of random weights, on every device: a counter is hashed, and the hash's bits are indices of a table of
// quantiles. Fast enough for billions.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__
#define TROUPE_HOST_DEVICE __host__ __device__
#else
#define TROUPE_HOST_DEVICE
#endif

namespace troupe::kernels {

inline constexpr std::size_t random_table_size = 4096;

// The finalizer of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
TROUPE_HOST_DEVICE constexpr std::uint64_t mix_bits(std::uint64_t word) {
  word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9U;
  word = (word ^ word >> 27) * 0x94D049BB133111EBU;
  return word ^ word >> 31;
}

TROUPE_HOST_DEVICE constexpr std::uint64_t random_word(std::uint64_t key, std::uint64_t counter) {
  return mix_bits(key + counter * 0x9E3779B97F4A7C15U);
}

/// One of the four table indices in a word: twelve bits of each sixteen.
TROUPE_HOST_DEVICE constexpr std::size_t index_in(std::uint64_t word, int which) { return word >> (16 * which) & 0xFFFU; }

/// The index of a matrix's element: elements are counted in panels of 32 outputs, as a CPU packs them.
TROUPE_HOST_DEVICE constexpr std::size_t random_index(std::uint64_t key, std::int32_t output, std::int32_t input,
                                                      std::int32_t inputs) {
  constexpr int panel = 32;
  const std::uint64_t element =
      (static_cast<std::uint64_t>(output / panel) * static_cast<std::uint64_t>(inputs) + static_cast<std::uint64_t>(input)) *
          panel +
      static_cast<std::uint64_t>(output % panel);
  return index_in(random_word(key, element / 4), static_cast<int>(element % 4));
}

}  // namespace troupe::kernels
