// Matrices and rows for kernels/cuda/matmul.hpp in memory of their own. All that tests and benchmarks know of that interface is
// here.
#pragma once

#include <optional>
#include <ostream>

#include "kernels/cuda/matmul.hpp"
#include "kernels/cuda/product_plan.hpp"
#include "tests/gpu/device_array.hpp"
#include "tests/gpu/noise.hpp"

namespace troupe::kernels::cuda {

/// Random weights. For gated products their rows are eight gates, eight ups, eight gates, ...
struct Matrix {
  WeightTiles weights;
  DeviceArray<bf16> memory;

  Matrix(int outputs, int inputs, std::uint32_t seed, float scale)
      : weights{nullptr, outputs, inputs}, memory(weights.elements()) {
    fill_noise(weights, memory.data(), seed, scale);
    weights.data = memory.data();
  }
};

struct Rows {
  RowTiles tiles;
  DeviceArray<bf16> memory;

  /// Room for `capacity` rows at least, zero.
  Rows(int capacity, int inputs) : tiles{nullptr, divided_up(capacity, 8) * 8, inputs}, memory(tiles.elements()) {
    tiles.data = memory.data();
  }
  static Rows random(int capacity, int inputs, std::uint32_t seed) {
    Rows rows(capacity, inputs);
    fill_noise(rows.tiles, capacity, seed, 1);
    return rows;
  }
};

/// Residual rows with memory of their own: all that a product that is added to them writes. `width` is a multiple of eight.
struct Residual {
  DeviceArray<float> x;
  DeviceArray<float> weights;
  Rows normed;
  DeviceArray<float> squares;

  Residual(int capacity, int width)
      : x(static_cast<std::size_t>(capacity) * static_cast<std::size_t>(width)),
        weights(static_cast<std::size_t>(width)),
        normed(capacity, width),
        squares(static_cast<std::size_t>(divided_up(width, 16)) * static_cast<std::size_t>(normed.tiles.capacity)) {}
  ResidualRows rows() const { return {x.data(), weights.data(), normed.tiles, squares.data(), normed.tiles.inputs}; }
};

inline std::ostream& operator<<(std::ostream& stream, const ProductPlan& plan) {
  return stream << plan.outputs << " x " << plan.rows << (plan.split ? " split" : "");
}

/// Without a plan, by the one that the product picks itself.
inline void begin_product(cudaStream_t stream, const Product& arguments, const std::optional<ProductPlan>& plan) {
  check_cuda(plan ? product_by(stream, arguments, *plan) : product(stream, arguments));
}

/// output[row, n] = sum over k of input[row, k] * weight[n, k], at output[row * weights.outputs + n], times the row's scale if
/// there are scales.
inline void multiply(cudaStream_t stream, const WeightTiles& weights, const RowTiles& input, int rows, float* output,
                     const std::optional<ProductPlan>& plan = std::nullopt, const float* row_scales = nullptr) {
  Product arguments;
  arguments.weight = weights;
  arguments.input = input;
  arguments.rows = rows;
  arguments.row_scales = row_scales;
  arguments.output = output;
  arguments.output_stride = weights.outputs;
  begin_product(stream, arguments, plan);
}

/// silu(gate) * up, half as wide as the weights' outputs.
inline void multiply_gated(cudaStream_t stream, const WeightTiles& weights, const RowTiles& input, int rows,
                           const RowTiles& output, const std::optional<ProductPlan>& plan = std::nullopt) {
  Product arguments;
  arguments.weight = weights;
  arguments.input = input;
  arguments.rows = rows;
  arguments.gated = output;
  begin_product(stream, arguments, plan);
}

/// Adds the product to residual rows.
inline void multiply_residual(cudaStream_t stream, const WeightTiles& weights, const RowTiles& input, int rows,
                              const Residual& residual, const std::optional<ProductPlan>& plan = std::nullopt) {
  Product arguments;
  arguments.weight = weights;
  arguments.input = input;
  arguments.rows = rows;
  arguments.residual = residual.rows();
  begin_product(stream, arguments, plan);
}

/// Which of a gated product's outputs are the gate and the up of an element.
struct GatePlace {
  int gate;
  int up;
};
constexpr GatePlace gate_place(int element) { return {element / 8 * 16 + element % 8, element / 8 * 16 + element % 8 + 8}; }

}  // namespace troupe::kernels::cuda
