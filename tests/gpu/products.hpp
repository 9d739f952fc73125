// Matrices and rows for kernels/cuda/matmul.hpp in memory of their own. All that tests and benchmarks know of that interface is
// here.
#pragma once

#include "kernels/cuda/matmul.hpp"
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

/// output[row, n] = sum over k of input[row, k] * weight[n, k], at output[row * weights.outputs + n].
inline void multiply(cudaStream_t stream, const WeightTiles& weights, const RowTiles& input, int rows, float* output) {
  Product arguments;
  arguments.weight = weights;
  arguments.input = input;
  arguments.rows = rows;
  arguments.output = output;
  arguments.output_stride = weights.outputs;
  check_cuda(product(stream, arguments));
}

/// silu(gate) * up, half as wide as the weights' outputs.
inline void multiply_gated(cudaStream_t stream, const WeightTiles& weights, const RowTiles& input, int rows,
                           const RowTiles& output) {
  Product arguments;
  arguments.weight = weights;
  arguments.input = input;
  arguments.rows = rows;
  arguments.gated = output;
  check_cuda(product(stream, arguments));
}

/// Which of a gated product's outputs are the gate and the up of an element.
struct GatePlace {
  int gate;
  int up;
};
constexpr GatePlace gate_place(int element) { return {element / 8 * 16 + element % 8, element / 8 * 16 + element % 8 + 8}; }

}  // namespace troupe::kernels::cuda
