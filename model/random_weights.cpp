#include "model/random_weights.hpp"

#include <cmath>
#include <vector>

#include "kernels/bf16.hpp"

namespace troupe::model {

using kernels::bf16;

namespace {

constexpr float vector_deviation = 0.1F;

// The inverse of the normal distribution function for |p - 1/2| < 0.475, to nine digits (P. J. Acklam, 2000, central region).
double normal_quantile(double p) {
  const double q = p - 0.5;
  const double r = q * q;
  double top = -3.969683028665376e+01;
  for (const double a :
       {2.209460984245205e+02, -2.759285104469687e+02, 1.383577518672690e+02, -3.066479806614716e+01, 2.506628277459239e+00}) {
    top = top * r + a;
  }
  double bottom = -5.447609879822406e+01;
  for (const double b : {1.615858368580409e+02, -1.556989798598866e+02, 6.680131188771972e+01, -1.328068155288572e+01, 1.0}) {
    bottom = bottom * r + b;
  }
  return top * q / bottom;
}

}  // namespace

RandomWeights::RandomWeights(std::uint64_t seed) : seed_(seed) {
  constexpr double kept = 0.94;  // of the distribution's mass: values up to 1.9 deviations, before scaling
  std::array<double, kernels::random_table_size> values{};
  double squares = 0;
  for (std::size_t i = 0; i < kernels::random_table_size; ++i) {
    const double position = (static_cast<double>(i) + 0.5) / static_cast<double>(kernels::random_table_size);
    values[i] = normal_quantile(0.5 + (position - 0.5) * kept);
    squares += values[i] * values[i];
  }
  const double scale = 1 / std::sqrt(squares / static_cast<double>(kernels::random_table_size));
  for (std::size_t i = 0; i < kernels::random_table_size; ++i) quantiles_[i] = static_cast<float>(values[i] * scale);
}

void RandomWeights::fill(const WeightPiece& piece, std::byte* target, kernels::WeightWriter& writer) const {
  const std::uint64_t key = kernels::mix_bits(kernels::mix_bits(seed_) + piece.number);
  if (piece.matrix != nullptr) {
    fill_matrix(piece, key, target, writer);
  } else {
    fill_vector(piece, key, target, writer);
  }
}

void RandomWeights::fill_matrix(const WeightPiece& piece, std::uint64_t key, std::byte* target,
                                kernels::WeightWriter& writer) const {
  std::array<bf16, kernels::random_table_size> table;
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = kernels::narrow(quantiles_[i] * piece.deviation);
  writer.fill_random({piece.packed(target), piece.output_kind, key, table});
}

void RandomWeights::fill_vector(const WeightPiece& piece, std::uint64_t key, std::byte* target,
                                kernels::WeightWriter& writer) const {
  std::vector<float> values(static_cast<std::size_t>(piece.inputs));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto index = kernels::index_in(kernels::random_word(key, i), 0);
    values[i] = kernels::widen(kernels::narrow(1 + vector_deviation * quantiles_[index]));  // as if from a bf16 checkpoint
  }
  writer.copy(target, values.data(), values.size() * sizeof(float));
}

}  // namespace troupe::model
