// How a step's products end: like those of passes over many rows (fragments.cuh), with the same bits, but published word by
// word (published.cuh), for blocks that are looking for them. A warp has 16 outputs of a tile, `slice` of its four.
#pragma once

#include "kernels/cuda/decode_buffers.hpp"
#include "kernels/cuda/fragments.cuh"
#include "kernels/cuda/published.cuh"

namespace troupe::kernels::cuda {

/// Where the sums of a thread belong: sum i is of row row(i), and of output output(i) of the tile.
struct SumPlace {
  static __device__ __forceinline__ int row(int i) { return i / 4 * 8 + static_cast<int>(threadIdx.x) % 4 * 2 + i % 2; }
  static __device__ __forceinline__ int output(int i) {
    const int thread = static_cast<int>(threadIdx.x) % warpgroup;
    return thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8;
  }
  /// Whose pair a thread publishes of what pair_of_row gives it, of sums i (even) and i + 1 and the outputs beside.
  static __device__ __forceinline__ int pair_row(int i) { return row(i) + static_cast<int>(threadIdx.x) / 4 % 2; }
  static __device__ __forceinline__ int pair_output(int i) { return output(i) / 2 * 2; }
};

/// The outputs of a tile as plain rows, from `target`'s first on.
template <int N>
__device__ __forceinline__ void publish_rows(const float (&sums)[N / 2], float* target, std::size_t stride, int rows,
                                             const float* row_scales) {
#pragma unroll
  for (int i = 0; i < N / 2; ++i) {
    const int row = SumPlace::row(i);
    if (row < rows) publish(target + static_cast<std::size_t>(row) * stride + SumPlace::output(i), sums[i] * row_scales[row]);
  }
}

/// silu(gate) * up, from `first_output` of the target on.
template <int N>
__device__ __forceinline__ void publish_gated(const float (&sums)[N / 2], const RowTiles& target, int first_output, int rows,
                                              const float* row_scales) {
#pragma unroll
  for (int i = 0; i < N / 2; i += 4) {
    float product[2];
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const float scale = row_scales[SumPlace::row(i + k)];
      product[k] = silu(sums[i + k] * scale) * (sums[i + k + 2] * scale);
    }
    const std::uint32_t pair = pair_of_row(bits_of(__floats2bfloat162_rn(product[0], product[1])));
    const int row = SumPlace::pair_row(i);
    const int output = SumPlace::pair_output(i);
    if (row < rows) publish(target.data + target.offset(row, first_output + output / 16 * 8 + output % 8), pair);
  }
}

/// What a tile is added to, and the weights of the next norm: asked for while the sums are being computed.
template <int N>
struct ResidualAhead {
  const float* x = nullptr;
  std::size_t hidden = 0;
  int first_dim = 0;
  float values[N / 2] = {};
  float weights[2] = {};

  __device__ __forceinline__ void ask(const ResidualBuffers& from, const float* norm_weights, int tile, int rows) {
    x = from.x;
    hidden = static_cast<std::size_t>(from.normed.inputs);
    first_dim = tile * tile_outputs;
    if (first_dim + SumPlace::output(0) >= from.normed.inputs) return;  // the whole slice
#pragma unroll
    for (int i = 0; i < 2; ++i) weights[i] = load_at_once(norm_weights + first_dim + SumPlace::output(2 * i));
#pragma unroll
    for (int i = 0; i < N / 2; ++i) {
      if (SumPlace::row(i) < rows) values[i] = load_published(source(i));
    }
  }
  __device__ __forceinline__ void await() {
    await_published(values, [&](int i) { return source(i); });
  }
  __device__ __forceinline__ const float* source(int i) const {
    return x + static_cast<std::size_t>(SumPlace::row(i)) * hidden + first_dim + SumPlace::output(i);
  }
};

/// The residual rows with a tile added.
template <int N>
__device__ __forceinline__ void publish_residual(const float (&sums)[N / 2], ResidualAhead<N>& ahead, const ResidualBuffers& to,
                                                 int rows) {
  const int first_dim = ahead.first_dim;
  if (first_dim + SumPlace::output(0) >= to.normed.inputs) return;
  ahead.await();
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int i = 0; i < N / 2; i += 4) {
    float x[4];
#pragma unroll
    for (int k = 0; k < 4; ++k) x[k] = ahead.values[i + k] + sums[i + k];
#pragma unroll
    for (int k = 0; k < 4; k += 2) {
      const float weight = ahead.weights[k / 2];
      const std::uint32_t pair = pair_of_row(bits_of(__floats2bfloat162_rn(x[k] * weight, x[k + 1] * weight)));
      const int row = SumPlace::pair_row(i + k);
      if (row < rows) publish(to.normed.data + to.normed.offset(row, first_dim + SumPlace::pair_output(i + k)), pair);
    }
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      float square = fmaf(x[k + 2], x[k + 2], x[k] * x[k]);
      square += __shfl_xor_sync(0xFFFFFFFF, square, 4);
      square += __shfl_xor_sync(0xFFFFFFFF, square, 8);
      square += __shfl_xor_sync(0xFFFFFFFF, square, 16);
      const int row = SumPlace::row(i + k);
      const int slice = (first_dim + SumPlace::output(0)) / 16;
      if (lane < 4 && row < rows)
        publish(to.squares + static_cast<std::size_t>(slice) * static_cast<std::size_t>(to.normed.capacity) + row, square);
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const int row = SumPlace::row(i + k);
      if (row < rows) {
        publish(to.x + static_cast<std::size_t>(row) * static_cast<std::size_t>(to.normed.inputs) + first_dim +
                    SumPlace::output(i + k),
                x[k]);
      }
    }
  }
}

}  // namespace troupe::kernels::cuda
