// Random numbers that are a pure function of what they are for: the counter-based generator Philox4x32-10
// (Salmon, Moraes, Dror, Shaw: "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011).
#pragma once

#include <array>
#include <cstdint>

namespace troupe {

/// Four random words for a counter under a key. The same inputs give the same words on every machine.
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

/// A sequence of random words from one seed, for tests, benchmarks and random weights.
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  std::uint32_t next();
  /// Uniform in [0, bound); `bound` must not be 0. The bias is below bound / 2^64.
  std::uint64_t below(std::uint64_t bound);
  /// Uniform in [low, high], both included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  /// Uniform in [0, 1) with 24 bits.
  float uniform() { return static_cast<float>(next() >> 8) * 0x1p-24F; }
  bool chance(float probability) { return uniform() < probability; }

 private:
  std::uint64_t seed_;
  std::uint64_t stream_;
  std::uint64_t count_ = 0;
  std::array<std::uint32_t, 4> words_{};
  unsigned left_ = 0;
};

}  // namespace troupe
