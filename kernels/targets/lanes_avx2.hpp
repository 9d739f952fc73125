// The sixteen lanes of lanes_plain.hpp in two AVX2 registers. Only kernels/targets/avx2.cpp includes this.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/bf16.hpp"

#define TROUPE_TARGET avx2
#define TROUPE_INLINE [[gnu::always_inline]] inline

namespace troupe::kernels::avx2 {

inline constexpr int lanes = 16;

struct Mask16 {
  __m256 low, high;
};

struct I32x16 {
  __m256i low, high;

  TROUPE_INLINE static I32x16 broadcast(std::int32_t value) { return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)}; }
};

/// One register: half of the lanes.
struct F32x8 {
  static constexpr int width = 8;

  __m256 value;

  TROUPE_INLINE static F32x8 broadcast(float value) { return {_mm256_set1_ps(value)}; }
  TROUPE_INLINE static F32x8 zero() { return {_mm256_setzero_ps()}; }
  TROUPE_INLINE static F32x8 load(const float* source) { return {_mm256_loadu_ps(source)}; }
  TROUPE_INLINE void store(float* target) const { _mm256_storeu_ps(target, value); }
};

using Register = F32x8;
inline constexpr int register_count = 16;

TROUPE_INLINE F32x8 fma(F32x8 a, F32x8 b, F32x8 c) { return {_mm256_fmadd_ps(a.value, b.value, c.value)}; }

/// All bits set in lane i of eight if first + i < count.
TROUPE_INLINE __m256i lanes_below(int count, int first) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count - first), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

struct F32x16 {
  using Integers = I32x16;
  static constexpr int width = lanes;

  __m256 low, high;

  TROUPE_INLINE static F32x16 broadcast(float value) { return {_mm256_set1_ps(value), _mm256_set1_ps(value)}; }
  TROUPE_INLINE static F32x16 zero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  TROUPE_INLINE static F32x16 load(const float* source) { return {_mm256_loadu_ps(source), _mm256_loadu_ps(source + 8)}; }
  TROUPE_INLINE static F32x16 load_first(const float* source, int count, float fill = 0) {
    const __m256i low_mask = lanes_below(count, 0);
    const __m256i high_mask = lanes_below(count, 8);
    const __m256 filled = _mm256_set1_ps(fill);
    return {_mm256_blendv_ps(filled, _mm256_maskload_ps(source, low_mask), _mm256_castsi256_ps(low_mask)),
            _mm256_blendv_ps(filled, _mm256_maskload_ps(source + 8, high_mask), _mm256_castsi256_ps(high_mask))};
  }
  TROUPE_INLINE static F32x16 widen(const bf16* source) {
    const auto* words = reinterpret_cast<const __m128i*>(source);
    const __m256i low = _mm256_cvtepu16_epi32(_mm_loadu_si128(words));
    const __m256i high = _mm256_cvtepu16_epi32(_mm_loadu_si128(words + 1));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(low, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(high, 16))};
  }
  TROUPE_INLINE void store(float* target) const {
    _mm256_storeu_ps(target, low);
    _mm256_storeu_ps(target + 8, high);
  }
  TROUPE_INLINE void store_first(float* target, int count) const {
    _mm256_maskstore_ps(target, lanes_below(count, 0), low);
    _mm256_maskstore_ps(target + 8, lanes_below(count, 8), high);
  }
  TROUPE_INLINE float first() const { return _mm256_cvtss_f32(low); }
};

TROUPE_INLINE F32x16 operator+(F32x16 a, F32x16 b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
TROUPE_INLINE F32x16 operator-(F32x16 a, F32x16 b) { return {_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)}; }
TROUPE_INLINE F32x16 operator-(F32x16 a) {
  const __m256 sign = _mm256_set1_ps(-0.0F);
  return {_mm256_xor_ps(a.low, sign), _mm256_xor_ps(a.high, sign)};
}
TROUPE_INLINE F32x16 operator*(F32x16 a, F32x16 b) { return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)}; }
TROUPE_INLINE F32x16 operator/(F32x16 a, F32x16 b) { return {_mm256_div_ps(a.low, b.low), _mm256_div_ps(a.high, b.high)}; }
TROUPE_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) {
  return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
}
TROUPE_INLINE F32x16 sqrt(F32x16 a) { return {_mm256_sqrt_ps(a.low), _mm256_sqrt_ps(a.high)}; }
TROUPE_INLINE F32x16 max(F32x16 a, F32x16 b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
TROUPE_INLINE F32x16 min(F32x16 a, F32x16 b) { return {_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)}; }
TROUPE_INLINE Mask16 less(F32x16 a, F32x16 b) {
  return {_mm256_cmp_ps(a.low, b.low, _CMP_LT_OQ), _mm256_cmp_ps(a.high, b.high, _CMP_LT_OQ)};
}
TROUPE_INLINE Mask16 equal(F32x16 a, F32x16 b) {
  return {_mm256_cmp_ps(a.low, b.low, _CMP_EQ_OQ), _mm256_cmp_ps(a.high, b.high, _CMP_EQ_OQ)};
}
TROUPE_INLINE F32x16 select(Mask16 mask, F32x16 yes, F32x16 no) {
  return {_mm256_blendv_ps(no.low, yes.low, mask.low), _mm256_blendv_ps(no.high, yes.high, mask.high)};
}
TROUPE_INLINE bool any(Mask16 mask) { return _mm256_movemask_ps(_mm256_or_ps(mask.low, mask.high)) != 0; }

TROUPE_INLINE I32x16 operator+(I32x16 a, I32x16 b) {
  return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
}
TROUPE_INLINE I32x16 operator-(I32x16 a, I32x16 b) {
  return {_mm256_sub_epi32(a.low, b.low), _mm256_sub_epi32(a.high, b.high)};
}
template <int Bits>
TROUPE_INLINE I32x16 shift_left(I32x16 a) {
  return {_mm256_slli_epi32(a.low, Bits), _mm256_slli_epi32(a.high, Bits)};
}
template <int Bits>
TROUPE_INLINE I32x16 shift_right(I32x16 a) {
  return {_mm256_srai_epi32(a.low, Bits), _mm256_srai_epi32(a.high, Bits)};
}
TROUPE_INLINE F32x16 to_float(I32x16 a) { return {_mm256_cvtepi32_ps(a.low), _mm256_cvtepi32_ps(a.high)}; }
TROUPE_INLINE I32x16 bits_of(F32x16 a) { return {_mm256_castps_si256(a.low), _mm256_castps_si256(a.high)}; }
TROUPE_INLINE F32x16 float_of(I32x16 a) { return {_mm256_castsi256_ps(a.low), _mm256_castsi256_ps(a.high)}; }

TROUPE_INLINE float tree_sum(F32x16 a) {
  const __m256 eight = _mm256_add_ps(a.low, a.high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
TROUPE_INLINE float tree_max(F32x16 a) {
  const __m256 eight = _mm256_max_ps(a.low, a.high);
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/// Lanes i and i + 8 of one vector.
TROUPE_INLINE __m256 fold_8(const float* source) { return _mm256_add_ps(_mm256_loadu_ps(source), _mm256_loadu_ps(source + 8)); }
/// Lanes i and i + 4 of two vectors: [a0 a1 a2 a3 | b0 b1 b2 b3].
TROUPE_INLINE __m256 fold_4(__m256 a, __m256 b) {
  return _mm256_add_ps(_mm256_blend_ps(a, b, 0xF0), _mm256_permute2f128_ps(a, b, 0x21));
}
/// Lanes i and i + 2 in each half: [a0 a1 b0 b1] of four-lane sums.
TROUPE_INLINE __m256 fold_2(__m256 a, __m256 b) {
  return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x44), _mm256_shuffle_ps(a, b, 0xEE));
}
TROUPE_INLINE __m256 fold_1(__m256 a, __m256 b) {
  return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x88), _mm256_shuffle_ps(a, b, 0xDD));
}
/// Eight tree sums at once; each step folds two vectors into one register, and addition commutes.
TROUPE_INLINE __m256 tree_sums_8(const float* source) {
  const __m256 a = fold_4(fold_8(source), fold_8(source + 4 * lanes));
  const __m256 b = fold_4(fold_8(source + 1 * lanes), fold_8(source + 5 * lanes));
  const __m256 c = fold_4(fold_8(source + 2 * lanes), fold_8(source + 6 * lanes));
  const __m256 d = fold_4(fold_8(source + 3 * lanes), fold_8(source + 7 * lanes));
  return fold_1(fold_2(a, b), fold_2(c, d));
}
TROUPE_INLINE F32x16 tree_sums(const float* source) { return {tree_sums_8(source), tree_sums_8(source + 8 * lanes)}; }
TROUPE_INLINE void prefetch(const void* address) { __builtin_prefetch(address); }

}  // namespace troupe::kernels::avx2
