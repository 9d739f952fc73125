// Random numbers for weights, fast enough for billions: a counter is hashed, and the hash's bits look values up in a table of
// quantiles.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/weight_writer.hpp"
#include "model/weight_plan.hpp"

namespace troupe::model {

/// The weights of one seed. The same seed gives the same bits on every machine: no libm, IEEE operations only.
class RandomWeights {
 public:
  explicit RandomWeights(std::uint64_t seed);

  /// Writes a piece of a plan to `target` on the writer's device: a packed matrix of the piece's deviation and mean 0, its
  /// padding left as it is; or a vector of values near 1. The values depend on the piece's number, so that they are the same in
  /// a plan of few parts.
  void fill(const WeightPiece& piece, std::byte* target, kernels::WeightWriter& writer) const;

 private:
  void fill_matrix(const WeightPiece& piece, std::uint64_t key, std::byte* target, kernels::WeightWriter& writer) const;
  void fill_vector(const WeightPiece& piece, std::uint64_t key, std::byte* target, kernels::WeightWriter& writer) const;

  std::uint64_t seed_;
  std::array<float, kernels::random_table_size> quantiles_{};  // of the truncated normal distribution, scaled to variance 1
};

}  // namespace troupe::model
