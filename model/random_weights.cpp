#include "model/random_weights.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/bf16.hpp"

namespace troupe::model {

using kernels::bf16;
using kernels::panel_outputs;

namespace {

constexpr float vector_deviation = 0.1F;

// The finalizer of SplitMix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
std::uint64_t mix(std::uint64_t word) {
  word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9U;
  word = (word ^ word >> 27) * 0x94D049BB133111EBU;
  return word ^ word >> 31;
}

std::uint64_t word_at(std::uint64_t key, std::uint64_t counter) { return mix(key + counter * 0x9E3779B97F4A7C15U); }

// One of four table indices in a word: twelve bits of each sixteen.
std::size_t index_in(std::uint64_t word, int which) { return word >> (16 * which) & 0xFFFU; }

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
  std::array<double, table_size> values{};
  double squares = 0;
  for (std::size_t i = 0; i < table_size; ++i) {
    const double position = (static_cast<double>(i) + 0.5) / static_cast<double>(table_size);
    values[i] = normal_quantile(0.5 + (position - 0.5) * kept);
    squares += values[i] * values[i];
  }
  const double scale = 1 / std::sqrt(squares / static_cast<double>(table_size));
  for (std::size_t i = 0; i < table_size; ++i) quantiles_[i] = static_cast<float>(values[i] * scale);
}

void RandomWeights::fill(const WeightPiece& piece, std::byte* target) const {
  const std::uint64_t key = mix(mix(seed_) + piece.number);
  if (piece.matrix != nullptr) {
    fill_matrix(piece, key, reinterpret_cast<bf16*>(target));
  } else {
    fill_vector(piece, key, reinterpret_cast<float*>(target));
  }
}

void RandomWeights::fill_matrix(const WeightPiece& piece, std::uint64_t key, bf16* target) const {
  std::array<bf16, table_size> table;
  for (std::size_t i = 0; i < table_size; ++i) table[i] = kernels::narrow(quantiles_[i] * piece.deviation);
  std::uint64_t counter = 0;
  for (std::int32_t first = 0; first < piece.outputs(); first += panel_outputs) {
    const auto columns = static_cast<std::size_t>(std::min(panel_outputs, piece.outputs() - first));
    for (std::int32_t input = 0; input < piece.inputs; ++input, target += panel_outputs) {
      std::array<bf16, panel_outputs> row;
      for (std::size_t column = 0; column < row.size(); column += 4) {
        const std::uint64_t word = word_at(key, counter++);
        for (int i = 0; i < 4; ++i) row[column + static_cast<std::size_t>(i)] = table[index_in(word, i)];
      }
      std::memcpy(target, row.data(), columns * sizeof(bf16));
    }
  }
}

void RandomWeights::fill_vector(const WeightPiece& piece, std::uint64_t key, float* target) const {
  for (std::int32_t i = 0; i < piece.inputs; ++i) {
    const auto index = index_in(word_at(key, static_cast<std::uint64_t>(i)), 0);
    target[i] = kernels::widen(kernels::narrow(1 + vector_deviation * quantiles_[index]));  // as if from a bf16 checkpoint
  }
}

}  // namespace troupe::model
