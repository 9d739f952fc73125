// The pieces that a model's weights consist of, in the order in which they lie on the device: which tensors of a Hugging Face
// checkpoint each is made of, how large it is, and what random weights look like in its place.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/weight_writer.hpp"
#include "model/config.hpp"
#include "model/weights.hpp"

namespace troupe::model {

/// A packed bf16 matrix or a float32 vector.
struct WeightPiece {
  /// Rows [rows, inputs] of a matrix, or a vector [inputs].
  struct Tensor {
    std::string name;
    std::int32_t rows = 1;
  };

  /// Exactly one of the two is set: where the piece's place is written once it is known.
  PackedMatrix* matrix = nullptr;
  const float** vector = nullptr;

  std::vector<Tensor> tensors;  ///< one below the other; a vector has one
  std::int32_t inputs = 0;
  float deviation = 0;     ///< of a matrix's random weights
  std::size_t number = 0;  ///< among the pieces of the whole model
  std::size_t offset = 0;  ///< in the allocation; a multiple of 64
  std::size_t bytes = 0;

  kernels::OutputKind output_kind = kernels::OutputKind::plain;  ///< of a matrix

  std::int32_t outputs() const;
  /// The matrix, its data at `data`.
  PackedMatrix packed(const std::byte* data) const;
};

struct WeightPlan {
  std::vector<WeightPiece> pieces;
  std::size_t bytes = 0;
};

/// Plans some parts of the weights of a config on a kind of device; experts that it does not have are no pieces. The pieces
/// point into `map`, which is given its layers here and must stay where it is until `place()` has been called.
WeightPlan plan_weights(const ModelConfig& config, const WeightParts& parts, kernels::DeviceKind kind, WeightMap& map);

/// Fills the map with addresses in an allocation of `plan.bytes` bytes at `base`. `map` is the plan's.
void place(const WeightPlan& plan, const ModelConfig& config, const std::byte* base, WeightMap& map);

}  // namespace troupe::model
