// Passes on a GPU. A pass is put on the device's stream when it is started, and `advance` waits for it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "model/forward.hpp"

namespace troupe::model {

/// As create_passes, for a device of kind cuda.
Result<std::vector<std::unique_ptr<ForwardPass>>> create_cuda_passes(const ModelConfig& config, const Weights& weights,
                                                                     const RopeTable& rope, kernels::Device& device,
                                                                     const ForwardLimits& limits, std::int32_t count);
std::size_t cuda_passes_bytes(const ModelConfig& config, const ForwardLimits& limits, std::int32_t count, std::int32_t context);

}  // namespace troupe::model
