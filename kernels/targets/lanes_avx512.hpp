// The sixteen lanes of lanes_plain.hpp in one AVX-512 register (F, BW, VL, DQ). Only kernels/targets/avx512.cpp includes this.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/bf16.hpp"

#define TROUPE_TARGET avx512
#define TROUPE_INLINE [[gnu::always_inline]] inline

namespace troupe::kernels::avx512 {

inline constexpr int lanes = 16;

struct Mask16 {
  __mmask16 value;
};

struct I32x16 {
  __m512i value;

  TROUPE_INLINE static I32x16 broadcast(std::int32_t value) { return {_mm512_set1_epi32(value)}; }
};

TROUPE_INLINE __mmask16 lanes_below(int count) { return static_cast<__mmask16>((1U << count) - 1U); }

struct F32x16 {
  using Integers = I32x16;
  static constexpr int width = lanes;

  __m512 value;

  TROUPE_INLINE static F32x16 broadcast(float value) { return {_mm512_set1_ps(value)}; }
  TROUPE_INLINE static F32x16 zero() { return {_mm512_setzero_ps()}; }
  TROUPE_INLINE static F32x16 load(const float* source) { return {_mm512_loadu_ps(source)}; }
  TROUPE_INLINE static F32x16 load_first(const float* source, int count, float fill = 0) {
    return {_mm512_mask_loadu_ps(_mm512_set1_ps(fill), lanes_below(count), source)};
  }
  TROUPE_INLINE static F32x16 widen(const bf16* source) {
    const __m512i words = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(source)));
    return {_mm512_castsi512_ps(_mm512_slli_epi32(words, 16))};
  }
  TROUPE_INLINE void store(float* target) const { _mm512_storeu_ps(target, value); }
  TROUPE_INLINE void store_first(float* target, int count) const { _mm512_mask_storeu_ps(target, lanes_below(count), value); }
  TROUPE_INLINE float first() const { return _mm512_cvtss_f32(value); }
};

using Register = F32x16;
inline constexpr int register_count = 32;

TROUPE_INLINE F32x16 operator+(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.value, b.value)}; }
TROUPE_INLINE F32x16 operator-(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.value, b.value)}; }
TROUPE_INLINE F32x16 operator-(F32x16 a) { return {_mm512_xor_ps(a.value, _mm512_set1_ps(-0.0F))}; }
TROUPE_INLINE F32x16 operator*(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.value, b.value)}; }
TROUPE_INLINE F32x16 operator/(F32x16 a, F32x16 b) { return {_mm512_div_ps(a.value, b.value)}; }
TROUPE_INLINE F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.value, b.value, c.value)}; }
TROUPE_INLINE F32x16 sqrt(F32x16 a) { return {_mm512_sqrt_ps(a.value)}; }
TROUPE_INLINE F32x16 max(F32x16 a, F32x16 b) { return {_mm512_max_ps(a.value, b.value)}; }
TROUPE_INLINE F32x16 min(F32x16 a, F32x16 b) { return {_mm512_min_ps(a.value, b.value)}; }
TROUPE_INLINE Mask16 less(F32x16 a, F32x16 b) { return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_LT_OQ)}; }
TROUPE_INLINE Mask16 equal(F32x16 a, F32x16 b) { return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_EQ_OQ)}; }
TROUPE_INLINE F32x16 select(Mask16 mask, F32x16 yes, F32x16 no) {
  return {_mm512_mask_blend_ps(mask.value, no.value, yes.value)};
}
TROUPE_INLINE bool any(Mask16 mask) { return mask.value != 0; }

TROUPE_INLINE I32x16 operator+(I32x16 a, I32x16 b) { return {_mm512_add_epi32(a.value, b.value)}; }
TROUPE_INLINE I32x16 operator-(I32x16 a, I32x16 b) { return {_mm512_sub_epi32(a.value, b.value)}; }
template <int Bits>
TROUPE_INLINE I32x16 shift_left(I32x16 a) {
  return {_mm512_slli_epi32(a.value, Bits)};
}
template <int Bits>
TROUPE_INLINE I32x16 shift_right(I32x16 a) {
  return {_mm512_srai_epi32(a.value, Bits)};
}
TROUPE_INLINE F32x16 to_float(I32x16 a) { return {_mm512_cvtepi32_ps(a.value)}; }
TROUPE_INLINE I32x16 bits_of(F32x16 a) { return {_mm512_castps_si512(a.value)}; }
TROUPE_INLINE F32x16 float_of(I32x16 a) { return {_mm512_castsi512_ps(a.value)}; }

TROUPE_INLINE float tree_sum(F32x16 a) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(a.value), _mm512_extractf32x8_ps(a.value, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
TROUPE_INLINE float tree_max(F32x16 a) {
  const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(a.value), _mm512_extractf32x8_ps(a.value, 1));
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/// Lanes i and i + 8 of two vectors: [eight of a | eight of b].
TROUPE_INLINE __m512 fold_8(const float* source_a, const float* source_b) {
  const __m512 a = _mm512_loadu_ps(source_a);
  const __m512 b = _mm512_loadu_ps(source_b);
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xEE));
}
/// Lanes i and i + 4 of four vectors, from two folds by 8.
TROUPE_INLINE __m512 fold_4(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xDD));
}
TROUPE_INLINE __m512 fold_2(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xEE));
}
TROUPE_INLINE __m512 fold_1(__m512 a, __m512 b) {
  return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xDD));
}
/// The vectors first, first + 4, first + 8 and first + 12, folded to four lanes each.
TROUPE_INLINE __m512 fold_to_4(const float* source) {
  return fold_4(fold_8(source, source + 4 * lanes), fold_8(source + 8 * lanes, source + 12 * lanes));
}
TROUPE_INLINE F32x16 tree_sums(const float* source) {
  const __m512 a = fold_to_4(source);
  const __m512 b = fold_to_4(source + 1 * lanes);
  const __m512 c = fold_to_4(source + 2 * lanes);
  const __m512 d = fold_to_4(source + 3 * lanes);
  return {fold_1(fold_2(a, b), fold_2(c, d))};
}
TROUPE_INLINE void prefetch(const void* address) { __builtin_prefetch(address); }

}  // namespace troupe::kernels::avx512
