// Models small enough that a thousand answers take a second, with every option that the three architectures have: grouped
// queries, scaled rotary positions, normalised heads, tied and untied embeddings, dense and sparse layers, and widths that are
// no multiple of a panel.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.hpp"
#include "model/model.hpp"

namespace troupe::tests {

struct TinyModel {
  std::string_view name;
  std::string_view config_json;  ///< as in a Hugging Face folder
  std::uint64_t seed;            ///< of its weights
};

/// "llama", "qwen3" and "qwen3_moe" (8 experts, of which 2 are chosen), each with 1024 positions.
const std::vector<TinyModel>& tiny_models();
/// The same for a GPU, whose kernels want heads of 64 or 128 dimensions, and with widths that are no multiple of its tiles.
const std::vector<TinyModel>& tiny_models_for_gpu();
/// Those that such a device computes.
const std::vector<TinyModel>& tiny_models_for(kernels::DeviceKind kind);
/// Stops the process if there is none of that name.
const TinyModel& tiny_model(std::string_view name);

model::ModelConfig config_of(const TinyModel& tiny);
/// Its random weights, on a device that must outlive them. Stops the process if there is no memory.
model::Model make(const TinyModel& tiny, kernels::Device& device);

}  // namespace troupe::tests
