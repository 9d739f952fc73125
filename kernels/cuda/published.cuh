// How the blocks of one kernel hand each other what they compute: every 32-bit word says itself whether it has been written.
// Before that it is `unwritten`, a NaN that no arithmetic gives (the GPU's own NaN is 0x7FFFFFFF, of bf16 0x7FFF). A reader
// looks at the words that it needs until none of them is unwritten, so there is no counter that is raised after a fence, looked
// at, and followed by the data: what would be four ways to the L2 cache one after the other is one and a half. (Known from
// collective operations as flags in the data, or Lamport's algorithm.) Who clears the words again: decode_buffers.hpp.
#pragma once

#include <cstdint>

#include "kernels/cuda/ptx.cuh"
#include "kernels/cuda/tiles.hpp"

namespace troupe::kernels::cuda {

inline constexpr std::uint32_t unwritten = 0xFFFFFFFF;

// Relaxed accesses reach the L2 cache, where all processors see the same; each word is whole by itself.

__device__ __forceinline__ float load_published(const float* source) {
  float value;
  asm volatile("ld.relaxed.gpu.global.f32 %0, [%1];" : "=f"(value) : "l"(source));
  return value;
}
__device__ __forceinline__ float2 load_published(const float2* source) {
  float2 value;
  asm volatile("ld.relaxed.gpu.global.v2.f32 {%0, %1}, [%2];" : "=f"(value.x), "=f"(value.y) : "l"(source));
  return value;
}
__device__ __forceinline__ uint4 load_published(const uint4* source) {
  uint4 value;
  asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(source));
  return value;
}
__device__ __forceinline__ void publish(float* target, float value) {
  asm volatile("st.relaxed.gpu.global.f32 [%0], %1;" ::"l"(target), "f"(value) : "memory");
}
__device__ __forceinline__ void publish(float2* target, float2 value) {
  asm volatile("st.relaxed.gpu.global.v2.f32 [%0], {%1, %2};" ::"l"(target), "f"(value.x), "f"(value.y) : "memory");
}
/// Two elements that are side by side, the first at an even place.
__device__ __forceinline__ void publish(bf16* target, std::uint32_t pair) {
  asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(target), "r"(pair) : "memory");
}

/// Among so many words, one that is unwritten is the largest.
__device__ __forceinline__ std::uint32_t largest_word(float value) { return __float_as_uint(value); }
__device__ __forceinline__ std::uint32_t largest_word(const float2& value) {
  return max(largest_word(value.x), largest_word(value.y));
}
__device__ __forceinline__ std::uint32_t largest_word(const uint4& value) {
  return max(max(value.x, value.y), max(value.z, value.w));
}

/// Returns once none of the values is unwritten, each loaded again from source(its index) as often as that takes. All that are
/// missing are asked for at once. Anything else stands for what is not needed, or largest(value) leaves it out. A `Pause`
/// between looks, of about so many nanoseconds, leaves the way free for what is looked for.
///
/// By all lanes of a warp, which look until every one has its values: lanes that went on by themselves would have to be brought
/// together again, which takes some 300 cycles.
template <int Pause = 0, int Count, class Value, class Source, class Largest>
__device__ __forceinline__ void await_published(Value (&values)[Count], const Source& source, const Largest& largest) {
#pragma unroll 1  // code that is passed by has to be fetched, too
  for (int looks = 0; looks < looks_max; ++looks) {
    std::uint32_t of_all = 0;
#pragma unroll
    for (int i = 0; i < Count; ++i) of_all = max(of_all, largest(values[i]));
    if (!__any_sync(0xFFFFFFFF, of_all == unwritten)) return;
    if constexpr (Pause > 0) __nanosleep(Pause);
#pragma unroll
    for (int i = 0; i < Count; ++i) {
      if (largest(values[i]) == unwritten) values[i] = load_published(source(i));
    }
  }
  trap();
}
template <int Pause = 0, int Count, class Value, class Source>
__device__ __forceinline__ void await_published(Value (&values)[Count], const Source& source) {
  await_published<Pause>(values, source, [](const Value& value) { return largest_word(value); });
}
/// The first of several values, before the others are asked for: while nothing of them is written, many looks would be in the
/// way of what is looked for.
template <int Pause = 0, class Value, class Source>
__device__ __forceinline__ void await_first(Value& first, const Source& source) {
  Value looked_at[1] = {first};
  await_published<Pause>(looked_at, source);
  first = looked_at[0];
}

/// A lane has an element of two rows of the batch (the first in the lower half), and the lane four away of the same rows the
/// element beside it. Gives each of the two the pair of one row: where lane / 4 is even the first row's.
__device__ __forceinline__ std::uint32_t pair_of_row(std::uint32_t elements) {
  const std::uint32_t beside = __shfl_xor_sync(0xFFFFFFFF, elements, 4);
  return threadIdx.x / 4 % 2 == 0 ? __byte_perm(elements, beside, 0x5410) : __byte_perm(elements, beside, 0x3276);
}
__device__ __forceinline__ std::uint32_t bits_of(__nv_bfloat162 pair) {
  std::uint32_t bits;
  memcpy(&bits, &pair, sizeof(bits));
  return bits;
}

}  // namespace troupe::kernels::cuda
