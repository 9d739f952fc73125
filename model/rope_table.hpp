// Cosines and sines of rotary position embeddings for every position of a context, as Hugging Face models are trained with
// them: inverse frequencies and angles are rounded to float32, and only then are cosine and sine taken (in double, rounded
// once).
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.hpp"
#include "kernels/device.hpp"
#include "model/config.hpp"

namespace troupe::model {

/// theta^(-2i / head_dim) for i below head_dim / 2, with the config's frequency scaling.
std::vector<float> inverse_frequencies(const ModelConfig& config);

/// Owns two tables [positions, head_dim / 2] on the device.
class RopeTable {
 public:
  static Result<RopeTable> create(const ModelConfig& config, std::int32_t positions, kernels::Device& device);

  std::int32_t positions() const { return positions_; }
  const float* cosine() const { return memory_.as<float>(); }
  const float* sine() const { return cosine() + half_; }

 private:
  kernels::Memory memory_;
  std::size_t half_ = 0;  ///< elements of one table
  std::int32_t positions_ = 0;
};

}  // namespace troupe::model
