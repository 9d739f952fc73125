#include "model/rope_table.hpp"

#include <numbers>

#include "kernels/math.hpp"

namespace troupe::model {

namespace {

/// Llama 3.1's scaling: long wavelengths are stretched by `factor`, short ones stay, and between them it is interpolated.
double scaled(double frequency, const Llama3RopeScaling& scaling) {
  const double wavelength = 2 * std::numbers::pi / frequency;
  const double original = scaling.original_positions;
  if (wavelength < original / scaling.high_frequency_factor) return frequency;
  if (wavelength > original / scaling.low_frequency_factor) return frequency / scaling.factor;
  const double smooth =
      (original / wavelength - scaling.low_frequency_factor) / (scaling.high_frequency_factor - scaling.low_frequency_factor);
  return (1 - smooth) * (frequency / scaling.factor) + smooth * frequency;
}

}  // namespace

std::vector<float> inverse_frequencies(const ModelConfig& config) {
  std::vector<float> frequencies;
  for (std::int32_t i = 0; i < config.head_dim / 2; ++i) {
    // The reference rounds here once, so the model was trained on the rounded value.
    const auto frequency = static_cast<float>(kernels::pow(config.rope_theta, -2.0 * i / config.head_dim));
    frequencies.push_back(config.rope_scaling ? static_cast<float>(scaled(frequency, *config.rope_scaling)) : frequency);
  }
  return frequencies;
}

Result<RopeTable> RopeTable::create(const ModelConfig& config, std::int32_t positions, kernels::Device& device) {
  const std::vector<float> frequencies = inverse_frequencies(config);
  const std::size_t elements = static_cast<std::size_t>(positions) * frequencies.size();
  std::vector<float> values;
  values.reserve(2 * elements);
  for (double (*function)(double) : {&kernels::cosine, &kernels::sine}) {
    for (std::int32_t position = 0; position < positions; ++position) {
      for (const float frequency : frequencies) {
        const float angle = static_cast<float>(position) * frequency;
        values.push_back(static_cast<float>(function(angle)));
      }
    }
  }
  RopeTable table;
  TROUPE_TRY(table.memory_, device.allocate(values.size() * sizeof(float)));
  device.stream().copy(table.memory_.data(), values.data(), values.size() * sizeof(float));
  device.stream().synchronize();
  table.half_ = elements;
  table.positions_ = positions;
  return table;
}

}  // namespace troupe::model
