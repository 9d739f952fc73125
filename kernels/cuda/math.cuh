// exp and log of kernels/math.lanes.hpp on the GPU: the same operations, so the same bits as on a CPU.
#pragma once

#include <cstdint>

#pragma push_macro("TROUPE_TARGET")
#pragma push_macro("TROUPE_INLINE")
#define TROUPE_TARGET cuda::lane
#define TROUPE_INLINE __device__ __forceinline__

namespace troupe::kernels::cuda::lane {

struct I32x1 {
  std::uint32_t value;

  TROUPE_INLINE static I32x1 broadcast(std::int32_t value) { return {static_cast<std::uint32_t>(value)}; }
};

struct F32x1 {
  using Integers = I32x1;

  float value;

  TROUPE_INLINE static F32x1 broadcast(float value) { return {value}; }
  TROUPE_INLINE static F32x1 zero() { return {0.0f}; }
};

// The intrinsics are never contracted to fused multiply-adds.
TROUPE_INLINE F32x1 operator+(F32x1 a, F32x1 b) { return {__fadd_rn(a.value, b.value)}; }
TROUPE_INLINE F32x1 operator-(F32x1 a, F32x1 b) { return {__fsub_rn(a.value, b.value)}; }
TROUPE_INLINE F32x1 operator-(F32x1 a) { return {-a.value}; }
TROUPE_INLINE F32x1 operator*(F32x1 a, F32x1 b) { return {__fmul_rn(a.value, b.value)}; }
TROUPE_INLINE F32x1 fma(F32x1 a, F32x1 b, F32x1 c) { return {__fmaf_rn(a.value, b.value, c.value)}; }
TROUPE_INLINE F32x1 max(F32x1 a, F32x1 b) { return {a.value > b.value ? a.value : b.value}; }
TROUPE_INLINE F32x1 min(F32x1 a, F32x1 b) { return {a.value < b.value ? a.value : b.value}; }
TROUPE_INLINE bool less(F32x1 a, F32x1 b) { return a.value < b.value; }
TROUPE_INLINE bool equal(F32x1 a, F32x1 b) { return a.value == b.value; }
TROUPE_INLINE F32x1 select(bool mask, F32x1 yes, F32x1 no) { return {mask ? yes.value : no.value}; }
TROUPE_INLINE I32x1 operator+(I32x1 a, I32x1 b) { return {a.value + b.value}; }
TROUPE_INLINE I32x1 operator-(I32x1 a, I32x1 b) { return {a.value - b.value}; }
template <int Bits>
TROUPE_INLINE I32x1 shift_left(I32x1 a) {
  return {a.value << Bits};
}
template <int Bits>
TROUPE_INLINE I32x1 shift_right(I32x1 a) {
  return {static_cast<std::uint32_t>(static_cast<std::int32_t>(a.value) >> Bits)};
}
TROUPE_INLINE F32x1 to_float(I32x1 a) { return {__int2float_rn(static_cast<std::int32_t>(a.value))}; }
TROUPE_INLINE I32x1 bits_of(F32x1 a) { return {__float_as_uint(a.value)}; }
TROUPE_INLINE F32x1 float_of(I32x1 a) { return {__uint_as_float(a.value)}; }

}  // namespace troupe::kernels::cuda::lane

#include "kernels/math.lanes.hpp"

namespace troupe::kernels::cuda {

/// As kernels::exp and kernels::log.
TROUPE_INLINE float exact_exp(float x) { return lane::exp(lane::F32x1{x}).value; }
TROUPE_INLINE float exact_log(float x) { return lane::log(lane::F32x1{x}).value; }

}  // namespace troupe::kernels::cuda

#pragma pop_macro("TROUPE_TARGET")
#pragma pop_macro("TROUPE_INLINE")
