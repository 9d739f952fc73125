// Sixteen float lanes in plain C++, for any processor: the meaning that the other lanes_<isa>.hpp must match bit for bit.
// __builtin_fmaf rounds once everywhere: an instruction where the compiler may assume one, otherwise the C library's exact one.
#pragma once

#include <cstdint>

#include "kernels/bf16.hpp"

#define TROUPE_TARGET plain
#define TROUPE_INLINE [[gnu::always_inline]] inline

namespace troupe::kernels::plain {

inline constexpr int lanes = 16;

struct Mask16 {
  bool lane[lanes];
};

/// Sixteen 32-bit integers; sums wrap around.
struct I32x16 {
  std::uint32_t lane[lanes];

  TROUPE_INLINE static I32x16 broadcast(std::int32_t value) {
    I32x16 result;
    for (auto& lane : result.lane) lane = static_cast<std::uint32_t>(value);
    return result;
  }
};

struct F32x16 {
  using Integers = I32x16;
  static constexpr int width = lanes;

  float lane[lanes];

  TROUPE_INLINE static F32x16 broadcast(float value) {
    F32x16 result;
    for (auto& lane : result.lane) lane = value;
    return result;
  }
  TROUPE_INLINE static F32x16 zero() { return broadcast(0); }
  TROUPE_INLINE static F32x16 load(const float* source) {
    F32x16 result;
    for (int i = 0; i < lanes; ++i) result.lane[i] = source[i];
    return result;
  }
  /// The first `count` lanes from memory, `fill` in the others, whose memory is not touched.
  TROUPE_INLINE static F32x16 load_first(const float* source, int count, float fill = 0) {
    F32x16 result;
    for (int i = 0; i < lanes; ++i) result.lane[i] = i < count ? source[i] : fill;
    return result;
  }
  TROUPE_INLINE static F32x16 widen(const bf16* source) {
    F32x16 result;
    for (int i = 0; i < lanes; ++i) result.lane[i] = __builtin_bit_cast(float, std::uint32_t{source[i].bits} << 16);
    return result;
  }
  TROUPE_INLINE void store(float* target) const {
    for (int i = 0; i < lanes; ++i) target[i] = lane[i];
  }
  TROUPE_INLINE void store_first(float* target, int count) const {
    for (int i = 0; i < count; ++i) target[i] = lane[i];
  }
  TROUPE_INLINE float first() const { return lane[0]; }
};

/// What the processor's own registers hold; register_count of them. Work without a reduction across lanes may use them.
using Register = F32x16;
inline constexpr int register_count = 16;

/// A function of `Out` lanes from a function of one lane.
#define TROUPE_LANEWISE(Out, expression)                       \
  Out result;                                                  \
  for (int i = 0; i < lanes; ++i) result.lane[i] = expression; \
  return result

TROUPE_INLINE F32x16 operator+(F32x16 a, F32x16 b) { TROUPE_LANEWISE(F32x16, a.lane[i] + b.lane[i]); }
TROUPE_INLINE F32x16 operator-(F32x16 a, F32x16 b) { TROUPE_LANEWISE(F32x16, a.lane[i] - b.lane[i]); }
TROUPE_INLINE F32x16 operator-(F32x16 a) { TROUPE_LANEWISE(F32x16, -a.lane[i]); }
TROUPE_INLINE F32x16 operator*(F32x16 a, F32x16 b) { TROUPE_LANEWISE(F32x16, a.lane[i] * b.lane[i]); }
TROUPE_INLINE F32x16 operator/(F32x16 a, F32x16 b) { TROUPE_LANEWISE(F32x16, a.lane[i] / b.lane[i]); }
/// a * b + c, rounded once.
TROUPE_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  TROUPE_LANEWISE(F32x16, __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]));
}
TROUPE_INLINE F32x16 sqrt(F32x16 a) { TROUPE_LANEWISE(F32x16, __builtin_sqrtf(a.lane[i])); }
/// b where a lane has a NaN or both are zeros, as x86 has it.
TROUPE_INLINE F32x16 max(F32x16 a, F32x16 b) { TROUPE_LANEWISE(F32x16, a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]); }
TROUPE_INLINE F32x16 min(F32x16 a, F32x16 b) { TROUPE_LANEWISE(F32x16, a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]); }
TROUPE_INLINE Mask16 less(F32x16 a, F32x16 b) { TROUPE_LANEWISE(Mask16, a.lane[i] < b.lane[i]); }
TROUPE_INLINE Mask16 equal(F32x16 a, F32x16 b) { TROUPE_LANEWISE(Mask16, a.lane[i] == b.lane[i]); }
TROUPE_INLINE F32x16 select(Mask16 mask, F32x16 yes, F32x16 no) {
  TROUPE_LANEWISE(F32x16, mask.lane[i] ? yes.lane[i] : no.lane[i]);
}
TROUPE_INLINE bool any(Mask16 mask) {
  bool result = false;
  for (int i = 0; i < lanes; ++i) result |= mask.lane[i];
  return result;
}

TROUPE_INLINE I32x16 operator+(I32x16 a, I32x16 b) { TROUPE_LANEWISE(I32x16, a.lane[i] + b.lane[i]); }
TROUPE_INLINE I32x16 operator-(I32x16 a, I32x16 b) { TROUPE_LANEWISE(I32x16, a.lane[i] - b.lane[i]); }
template <int Bits>
TROUPE_INLINE I32x16 shift_left(I32x16 a) {
  TROUPE_LANEWISE(I32x16, a.lane[i] << Bits);
}
/// Keeps the sign.
template <int Bits>
TROUPE_INLINE I32x16 shift_right(I32x16 a) {
  TROUPE_LANEWISE(I32x16, static_cast<std::uint32_t>(static_cast<std::int32_t>(a.lane[i]) >> Bits));
}
TROUPE_INLINE F32x16 to_float(I32x16 a) { TROUPE_LANEWISE(F32x16, static_cast<float>(static_cast<std::int32_t>(a.lane[i]))); }
TROUPE_INLINE I32x16 bits_of(F32x16 a) { TROUPE_LANEWISE(I32x16, __builtin_bit_cast(std::uint32_t, a.lane[i])); }
TROUPE_INLINE F32x16 float_of(I32x16 a) { TROUPE_LANEWISE(F32x16, __builtin_bit_cast(float, a.lane[i])); }

#undef TROUPE_LANEWISE

/// The fixed tree: lane i and lane i + 8, then + 4, + 2, + 1.
TROUPE_INLINE float tree_sum(F32x16 a) {
  for (int half = lanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.lane[i] = a.lane[i] + a.lane[i + half];
  }
  return a.lane[0];
}
TROUPE_INLINE float tree_max(F32x16 a) {
  for (int half = lanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) a.lane[i] = a.lane[i] > a.lane[i + half] ? a.lane[i] : a.lane[i + half];
  }
  return a.lane[0];
}
/// Lane i of the result is tree_sum of the sixteen lanes at source + 16 i.
TROUPE_INLINE F32x16 tree_sums(const float* source) {
  F32x16 result;
  for (int i = 0; i < lanes; ++i) result.lane[i] = tree_sum(F32x16::load(source + i * lanes));
  return result;
}
TROUPE_INLINE void prefetch(const void* address) { __builtin_prefetch(address); }

}  // namespace troupe::kernels::plain
