// How a warp chooses a row's experts. Layers of few rows and of many share it, and so their bits.
#pragma once

#include <cstdint>

#include "kernels/cuda/moe.hpp"

namespace troupe::kernels::cuda {

inline constexpr unsigned all_lanes = 0xFFFFFFFF;

/// One of a row's choices. Lane l has the one with the l-th largest gate, and `place` says where it comes in ascending id.
struct Choice {
  std::int32_t expert;
  float weight;
  int place;
};

/// MoeRoute's choices of a row, for up to 32 x Each experts. Lanes from `chosen` on get nothing that counts.
template <int Each>
__device__ __forceinline__ Choice route_row(const float* logits, int experts, int chosen, bool normalize) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const float nothing = __uint_as_float(0xFF800000);  // -infinity
  float gate[Each];
  float highest = nothing;
#pragma unroll
  for (int i = 0; i < Each; ++i) {
    gate[i] = lane + 32 * i < experts ? __ldcg(logits + lane + 32 * i) : nothing;
    highest = fmaxf(highest, gate[i]);
  }
#pragma unroll
  for (int other = 16; other > 0; other /= 2) highest = fmaxf(highest, __shfl_xor_sync(all_lanes, highest, other));
  float sum = 0;
#pragma unroll
  for (int i = 0; i < Each; ++i) {
    gate[i] = lane + 32 * i < experts ? __expf(gate[i] - highest) : 0.0f;
    sum += gate[i];
  }
#pragma unroll
  for (int other = 16; other > 0; other /= 2) sum += __shfl_xor_sync(all_lanes, sum, other);

  // Gates are not negative, so their bits have their order. Zero is for what cannot be chosen (any more).
  const bool row_has_nan = isnan(sum);
  std::uint32_t key[Each];
#pragma unroll
  for (int i = 0; i < Each; ++i) {
    const std::uint32_t bits = row_has_nan ? 0 : __float_as_uint(__fdiv_rn(gate[i], sum));
    key[i] = lane + 32 * i < experts ? bits + 1 : 0;
  }
  Choice choice{0, 0, 0};
  for (int turn = 0; turn < chosen; ++turn) {
    std::uint32_t largest = 0;
    int own = 0;
#pragma unroll
    for (int i = 0; i < Each; ++i) {
      if (key[i] > largest) {
        largest = key[i];
        own = lane + 32 * i;
      }
    }
    const std::uint32_t all_largest = __reduce_max_sync(all_lanes, largest);
    const auto id = static_cast<int>(
        __reduce_min_sync(all_lanes, largest == all_largest ? static_cast<unsigned>(own) : unsigned{moe_experts_max}));
#pragma unroll
    for (int i = 0; i < Each; ++i) {
      if (lane + 32 * i == id) key[i] = 0;
    }
    if (lane == turn) choice = {id, row_has_nan ? sum : __uint_as_float(all_largest - 1), 0};
  }
  for (int turn = 0; turn < chosen; ++turn) {
    if (__shfl_sync(all_lanes, choice.expert, turn) < choice.expert) ++choice.place;
  }
  if (normalize) {
    float chosen_sum = 0;
    for (int place = 0; place < chosen; ++place) {
      const unsigned holders = __ballot_sync(all_lanes, lane < chosen && choice.place == place);
      chosen_sum += __shfl_sync(all_lanes, choice.weight, __ffs(static_cast<int>(holders)) - 1);
    }
    choice.weight = __fdiv_rn(choice.weight, chosen_sum);
  }
  return choice;
}

}  // namespace troupe::kernels::cuda
