// What is done to a row by itself: the begin of a pass, and the rotation of a head.
#pragma once

#include "kernels/cuda/matmul.hpp"
#include "kernels/cuda/ptx.cuh"

namespace troupe::kernels::cuda {

/// A token of a batch: itself, or, as -1 - i, what a pass before has chosen for its logit row i.
__device__ __forceinline__ std::int32_t known_token(std::int32_t token, const std::int32_t* chosen) {
  return token < 0 ? chosen[-1 - token] : token;
}

/// Makes a token's embedding a residual row, by a block of `Threads`: as `add_residual`, but each slice's squares are added in
/// a tree of 16. Several elements are asked for before the first is written: every one is about a microsecond away.
template <int Threads>
__device__ __forceinline__ void embed_row(const WeightTiles& embedding, std::int32_t token, const ResidualRows& target,
                                          int row) {
  constexpr int ahead = 8;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const auto hidden = static_cast<std::size_t>(target.hidden);
#pragma unroll 1
  for (int first = static_cast<int>(threadIdx.x) / 32 * 32; first < target.hidden; first += ahead * Threads) {
    float values[ahead];
    float weights[ahead];
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      const int dim = first + i * Threads + lane;
      const bool is_there = dim < target.hidden;
      values[i] = is_there ? __bfloat162float(embedding.data[embedding.offset(token, dim)]) : 0.0f;
      weights[i] = is_there ? target.weights[dim] : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < ahead; ++i) {
      const int dim = first + i * Threads + lane;
      if (first + i * Threads >= target.hidden) break;  // of the warp
      if (dim < target.hidden) {
        target.x[static_cast<std::size_t>(row) * hidden + static_cast<std::size_t>(dim)] = values[i];
        target.normed.data[target.normed.offset(row, dim)] = __float2bfloat16_rn(values[i] * weights[i]);
      }
      float square = values[i] * values[i];
#pragma unroll
      for (int other = 8; other > 0; other /= 2) square += __shfl_xor_sync(0xFFFFFFFF, square, other);
      if (lane % 16 == 0 && dim < target.hidden) {
        target.squares[static_cast<std::size_t>(dim / 16) * static_cast<std::size_t>(target.normed.capacity) + row] = square;
      }
    }
  }
}

/// What a head is rotated by, and normalised by if there are weights: a lane's part of it. Loaded in one go, and at once: who
/// waits for the head's elements has this by then.
template <int HeadDim>
struct HeadRotation {
  static constexpr int each = HeadDim / 32;
  bool normalises = false;
  float weight[each] = {};
  float cosine[each / 2] = {};
  float sine[each / 2] = {};

  /// `weights` may be null.
  __device__ __forceinline__ void load(const float* weights, const float* cosines, const float* sines) {
    normalises = weights != nullptr;
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int i = 0; i < each; ++i) weight[i] = normalises ? load_at_once(weights + lane + 32 * i) : 0.0f;
#pragma unroll
    for (int i = 0; i < each / 2; ++i) {
      cosine[i] = load_at_once(cosines + lane + 32 * i);
      sine[i] = load_at_once(sines + lane + 32 * i);
    }
  }
};

/// Normalises and rotates a head, a warp together: lane l has dimensions l, l + 32, ... .
template <int HeadDim>
__device__ __forceinline__ void rotate_head(float (&value)[HeadDim / 32], const HeadRotation<HeadDim>& rotation, float epsilon,
                                            float (&out)[HeadDim / 32]) {
  constexpr int each = HeadDim / 32;
  float square = 0;
#pragma unroll
  for (int i = 0; i < each; ++i) square = fmaf(value[i], value[i], square);
  if (rotation.normalises) {
#pragma unroll
    for (int other = 16; other > 0; other /= 2) square += __shfl_xor_sync(0xFFFFFFFF, square, other);
    const float scale = rsqrtf(square / HeadDim + epsilon);
#pragma unroll
    for (int i = 0; i < each; ++i) value[i] = value[i] * scale * rotation.weight[i];
  }
#pragma unroll
  for (int i = 0; i < each / 2; ++i) {
    const float c = rotation.cosine[i];
    const float s = rotation.sine[i];
    out[i] = fmaf(value[i], c, -(value[i + each / 2] * s));
    out[i + each / 2] = fmaf(value[i + each / 2], c, value[i] * s);
  }
}

}  // namespace troupe::kernels::cuda
