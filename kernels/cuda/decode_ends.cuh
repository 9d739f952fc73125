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

/// Keeps a pointer in registers from here on. What is computed after a tile's sums, every block waits for: the compiler shall
/// not put off until then what can be computed before.
template <class Element>
__device__ __forceinline__ Element* computed_here(Element* pointer) {
  asm volatile("" : "+l"(pointer));
  return pointer;
}

/// The outputs of a tile as plain rows, from `target`'s first on.
struct RowsEnd {
  float* first = nullptr;  ///< of the thread
  std::size_t stride = 0;

  __device__ __forceinline__ void place(float* target, std::size_t row_stride) {
    stride = row_stride;
    first = computed_here(target + static_cast<std::size_t>(SumPlace::row(0)) * stride + SumPlace::output(0));
  }
  template <int N>
  __device__ __forceinline__ void publish_sums(const float (&sums)[N / 2], int rows, const float* row_scales) const {
#pragma unroll
    for (int i = 0; i < N / 2; ++i) {
      const int row = SumPlace::row(i);
      if (row < rows) publish(first + (i / 4 * 8 + i % 2) * stride + i / 2 % 2 * 8, sums[i] * row_scales[row]);
    }
  }
};

/// silu(gate) * up, from `first_output` of the target on.
struct GatedEnd {
  bf16* first = nullptr;  ///< pair of the thread

  __device__ __forceinline__ void place(const RowTiles& target, int first_output) {
    const int output = SumPlace::pair_output(0);
    first = computed_here(target.data + target.offset(SumPlace::pair_row(0), first_output + output / 16 * 8 + output % 8));
  }
  template <int N>
  __device__ __forceinline__ void publish_sums(const float (&sums)[N / 2], int rows, const float* row_scales) const {
    float gates[N / 4];
    float ups[N / 4];
#pragma unroll
    for (int i = 0; i < N / 4; ++i) {
      const int gate = i / 2 * 4 + i % 2;
      const int row = SumPlace::row(gate);
      const float scale = row_scales[row];
      gates[i] = row < rows ? sums[gate] * scale : 1.0f;  // others may hold what takes longer
      ups[i] = sums[gate + 2] * scale;
    }
    silu_each(gates);
#pragma unroll
    for (int i = 0; i < N / 4; i += 2) {
      const std::uint32_t pair = pair_of_row(bits_of(__floats2bfloat162_rn(gates[i] * ups[i], gates[i + 1] * ups[i + 1])));
      if (SumPlace::pair_row(2 * i) < rows) publish(first + i / 2 * 8 * panel_inputs, pair);
    }
  }
};

/// The residual rows with a tile added, and what the next norm needs of them.
template <int N>
struct ResidualEnd {
  std::size_t hidden = 0;
  bool is_there = false;        ///< the warp's slice of 16 outputs
  const float* from = nullptr;  ///< what the tile is added to, like the others the thread's first
  float* x = nullptr;
  bf16* normed[2] = {};  ///< of its first outputs, and of those 8 above
  float* squares = nullptr;
  float values[N / 2] = {};  ///< what the sums are added to, as far as it is there
  float weights[2] = {};     ///< of the next norm

  __device__ __forceinline__ void place(const ResidualBuffers& source, const ResidualBuffers& target, int warp, int tile) {
    const int first_dim = tile * tile_outputs;
    const int dim = first_dim + SumPlace::output(0);
    hidden = static_cast<std::size_t>(target.normed.inputs);
    is_there = first_dim + warp * 16 < target.normed.inputs;
    const std::size_t at = static_cast<std::size_t>(SumPlace::row(0)) * hidden + static_cast<std::size_t>(dim);
    from = computed_here(source.x + at);
    x = computed_here(target.x + at);
#pragma unroll
    for (int k = 0; k < 2; ++k)
      normed[k] = computed_here(target.normed.data +
                                target.normed.offset(SumPlace::pair_row(0), first_dim + SumPlace::pair_output(2 * k)));
    squares =
        computed_here(target.squares + static_cast<std::size_t>(dim / 16) * static_cast<std::size_t>(target.normed.capacity) +
                      SumPlace::row(0));
  }
  /// Asks for what the tile is added to, and for the weights.
  __device__ __forceinline__ void ask(const float* norm_weights, int tile, int rows) {
    if (!is_there) return;
#pragma unroll
    for (int i = 0; i < 2; ++i) weights[i] = load_at_once(norm_weights + tile * tile_outputs + SumPlace::output(2 * i));
#pragma unroll
    for (int i = 0; i < N / 2; ++i) {
      if (SumPlace::row(i) < rows) values[i] = load_published(from + element(i));
    }
  }
  __device__ __forceinline__ void publish_sums(const float (&sums)[N / 2], int rows) {
    if (!is_there) return;
    await_published(values, [&](int i) { return from + element(i); });
    const bool adds_squares = threadIdx.x % 32 < 4;
#pragma unroll
    for (int i = 0; i < N / 2; i += 4) {
      float sum[4];
#pragma unroll
      for (int k = 0; k < 4; ++k) sum[k] = values[i + k] + sums[i + k];
      float square[2];  // published first: more is to be done with them before they are wanted
#pragma unroll
      for (int k = 0; k < 2; ++k) square[k] = fmaf(sum[k + 2], sum[k + 2], sum[k] * sum[k]);
#pragma unroll
      for (int other = 4; other < 32; other *= 2) {
#pragma unroll
        for (int k = 0; k < 2; ++k) square[k] += __shfl_xor_sync(0xFFFFFFFF, square[k], other);
      }
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        if (adds_squares && SumPlace::row(i + k) < rows) publish(squares + i / 4 * 8 + k, square[k]);
      }
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        const std::uint32_t pair =
            pair_of_row(bits_of(__floats2bfloat162_rn(sum[2 * k] * weights[k], sum[2 * k + 1] * weights[k])));
        if (SumPlace::pair_row(i) < rows) publish(normed[k] + i / 4 * 8 * panel_inputs, pair);
      }
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        if (SumPlace::row(i + k) < rows) publish(x + element(i + k), sum[k]);
      }
    }
  }

 private:
  __device__ __forceinline__ std::size_t element(int i) const { return (i / 4 * 8 + i % 2) * hidden + i / 2 % 2 * 8; }
};

}  // namespace troupe::kernels::cuda
