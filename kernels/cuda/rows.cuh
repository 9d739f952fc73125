// What is done to a row by itself: the begin of a pass, and the rotation of a head.
#pragma once

#include "kernels/cuda/matmul.hpp"

namespace troupe::kernels::cuda {

/// Makes a token's embedding a residual row, by a block of `Threads`: as `add_residual`, but each slice's squares are added in
/// a tree of 16.
template <int Threads>
__device__ __forceinline__ void embed_row(const WeightTiles& embedding, std::int32_t token, const ResidualRows& target, int row) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const auto hidden = static_cast<std::size_t>(target.hidden);
  for (int first = static_cast<int>(threadIdx.x) / 32 * 32; first < target.hidden; first += Threads) {
    const int dim = first + lane;
    const float value = dim < target.hidden ? __bfloat162float(embedding.data[embedding.offset(token, dim)]) : 0.0f;
    if (dim < target.hidden) {
      target.x[static_cast<std::size_t>(row) * hidden + static_cast<std::size_t>(dim)] = value;
      target.normed.data[target.normed.offset(row, dim)] = __float2bfloat16_rn(value * target.weights[dim]);
    }
    float square = value * value;
#pragma unroll
    for (int other = 8; other > 0; other /= 2) square += __shfl_xor_sync(0xFFFFFFFF, square, other);
    if (lane % 16 == 0 && dim < target.hidden) {
      target.squares[static_cast<std::size_t>(dim / 16) * static_cast<std::size_t>(target.normed.capacity) + row] = square;
    }
  }
}

/// Normalises (if there are weights) and rotates a head, a warp together: lane l has dimensions l, l + 32, ... .
template <int HeadDim>
__device__ __forceinline__ void rotate_head(const float* source, const float* weights, float epsilon, const float* cosine,
                                            const float* sine, float (&out)[HeadDim / 32]) {
  constexpr int each = HeadDim / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float value[each];
  float square = 0;
#pragma unroll
  for (int i = 0; i < each; ++i) {
    value[i] = __ldcg(source + lane + 32 * i);
    square = fmaf(value[i], value[i], square);
  }
  if (weights != nullptr) {
#pragma unroll
    for (int other = 16; other > 0; other /= 2) square += __shfl_xor_sync(0xFFFFFFFF, square, other);
    const float scale = rsqrtf(square / HeadDim + epsilon);
#pragma unroll
    for (int i = 0; i < each; ++i) value[i] = value[i] * scale * weights[lane + 32 * i];
  }
#pragma unroll
  for (int i = 0; i < each / 2; ++i) {
    const float c = cosine[lane + 32 * i];
    const float s = sine[lane + 32 * i];
    out[i] = fmaf(value[i], c, -(value[i + each / 2] * s));
    out[i + each / 2] = fmaf(value[i + each / 2], c, value[i] * s);
  }
}

}  // namespace troupe::kernels::cuda
