// A mixture-of-experts layer on Hopper, from the router's logits to the residual rows: choosing experts, their products, and
// the sum of what they answer. What is done is that of kernels/moe.hpp; the numeric class is cuda-sm90-v1 (docs/numerics.md).
//
// An expert's products have the order of sums that `product` has for a weight of that shape (matmul.hpp), each row its own.
// So a row's bits depend on that row and the weights alone: not on the other rows, nor on how they fall to the experts.
//
// Floor: the weights of each expert that some row chose are read once (6 x hidden x intermediate bytes an expert); many rows
// take 6 x hidden x intermediate operations for each row and choice. Nothing comes back to the host: a graph can hold it.
#pragma once

#include "kernels/cuda/matmul.hpp"

namespace troupe::kernels::cuda {

inline constexpr int moe_experts_max = 1024;
inline constexpr int moe_chosen_max = 16;

struct MoeShape {
  std::int32_t hidden = 0;        ///< a multiple of 16
  std::int32_t intermediate = 0;  ///< of an expert; a multiple of 16
  std::int32_t experts = 0;       ///< at most moe_experts_max
  std::int32_t chosen = 0;        ///< by a row; at most moe_chosen_max, and no more than there are
  bool normalize = true;          ///< a row's weights are divided by their sum

  std::int64_t stride = 0;  ///< elements from an expert's matrix to the next one's; 0: they lie side by side

  /// One expert's matrix among all experts'.
  __host__ __device__ WeightTiles gate_up(const bf16* all, int expert) const {
    WeightTiles weight{nullptr, 2 * intermediate, hidden};
    weight.data = all + expert * (stride > 0 ? stride : static_cast<std::int64_t>(weight.elements()));
    return weight;
  }
  __host__ __device__ WeightTiles down(const bf16* all, int expert) const {
    WeightTiles weight{nullptr, hidden, intermediate};
    weight.data = all + expert * (stride > 0 ? stride : static_cast<std::int64_t>(weight.elements()));
    return weight;
  }
};

/// For each row: gates = exp(x - max) / their sum, over all experts; the `chosen` largest gates (of equal ones the lower id),
/// in ascending id; with `normalize`, each divided by the sum of the chosen ones, added in ascending id. The sum over all:
/// lane l of 32 adds experts l, l + 32, ... in ascending order from zero; then lanes l and l xor 16, then 8, 4, 2, 1.
/// A row with a NaN chooses the lowest ids, and all its weights are NaN.
struct MoeRoute {
  const float* logits = nullptr;   ///< [rows, experts]
  std::int32_t* expert = nullptr;  ///< [rows, chosen], ascending in a row
  float* weight = nullptr;         ///< [rows, chosen]
  std::int32_t rows = 0;
  std::int32_t experts = 0;
  std::int32_t chosen = 0;
  bool normalize = true;
  std::int32_t* counts = nullptr;  ///< [experts], which grow by how many rows choose each; null: nobody wants to know
};
/// `cudaErrorInvalidValue` if there are more experts, or more are chosen, than this is for.
cudaError_t moe_route(cudaStream_t stream, const MoeRoute& arguments);

/// Rows of one expert, which are consecutive in MoeBuffers' tiles, that are multiplied together.
struct MoeTask {
  std::int32_t expert = 0;
  std::int32_t first = 0;
  std::int32_t rows = 0;
};

/// What a layer leaves on its way; the same for all layers of a shape. A slot is row x chosen + choice. Tiles have the slots
/// sorted by expert; an expert's begin at a multiple of 8 (of few rows: those of four experts do).
struct MoeBuffers {
  std::int32_t* expert = nullptr;  ///< [rows, chosen], as MoeRoute leaves them
  float* weight = nullptr;         ///< [rows, chosen]
  float* outputs = nullptr;        ///< [rows, chosen, hidden]: the experts' answers
  RowTiles gathered;               ///< the experts' inputs, hidden wide
  RowTiles gated;                  ///< silu(gate) * up, intermediate wide
  float* scales = nullptr;         ///< [gathered.capacity]: the rows' scales
  std::int32_t* slot = nullptr;    ///< [gathered.capacity]: whose row of the tiles it is
  std::int32_t* counts = nullptr;  ///< [2][experts]: rows that chose each; and those that have their place. Zero as `counters`
  MoeTask* tasks = nullptr;
  std::int32_t* task_count = nullptr;
  std::int32_t* counters = nullptr;  ///< of tasks that are complete; zero before and after a layer
  std::size_t bytes = 0;             ///< of all together
};
/// Lays the buffers out in device memory for up to `rows_max` rows; with null, says how many bytes that takes. The memory is
/// aligned to 256 bytes, and zero before the first layer.
MoeBuffers moe_buffers(const MoeShape& shape, int rows_max, void* memory);

/// Everything is device memory.
struct Moe {
  MoeShape shape;
  const bf16* gate_up = nullptr;  ///< of the first expert, WeightTiles [2 intermediate, hidden]: eight gates, eight ups, ...
  const bf16* down = nullptr;     ///< of the first expert, WeightTiles [hidden, intermediate]
  std::int32_t rows = 0;
  const float* logits = nullptr;      ///< [rows, experts]
  RowTiles input;                     ///< hidden wide; may be residual.normed
  const float* row_scales = nullptr;  ///< [rows], of the input; null: none
  /// x[row] += w0 * e0, then fused multiply-adds in ascending expert id; and what the next norm needs, as `product` leaves it.
  ResidualRows residual;
  MoeBuffers buffers;
};

/// `cudaErrorInvalidValue` if the shape is none that this is for.
cudaError_t moe(cudaStream_t stream, const Moe& arguments);

}  // namespace troupe::kernels::cuda
