// A tensor's values in the types that layers read: bf16 for matrices, float32 for norms. Conversions are exact or refused,
// since the numeric class defines a model by its bf16 weights.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "kernels/bf16.hpp"
#include "model/safetensors.hpp"

namespace troupe::model {

/// Whether a tensor's values can be read at all: BF16, F16 or F32. Otherwise `unsupported`, naming the tensor.
Result<void> check_weight_type(const TensorView& tensor, std::string_view name);

/// Elements [first, first + count). Points into the tensor if it can, otherwise into `scratch`. An F16 or F32 value that no
/// bf16 equals is `unsupported`, and the error says how to convert the checkpoint.
Result<std::span<const kernels::bf16>> bf16_values(const TensorView& tensor, std::string_view name, std::size_t first,
                                                   std::size_t count, std::vector<kernels::bf16>& scratch);

/// Of values from element `first` on: `corrupt` if one is infinite or no number, naming the tensor and the element.
Result<void> check_finite(std::span<const kernels::bf16> values, std::string_view name, std::size_t first);
Result<void> check_finite(std::span<const float> values, std::string_view name);

/// Writes all elements to `target`, which has room for them; any weight type widens to float32 exactly.
void read_float32(const TensorView& tensor, float* target);

/// An IEEE half, exactly.
float widen_half(std::uint16_t bits);

}  // namespace troupe::model
