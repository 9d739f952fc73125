// What matmul.lanes.hpp is written in, for each instruction set: Vector; unit_outputs, the outputs of the two vectors that one
// load of weights gives; and how many units a tile of so many rows holds in registers: enough independent chains to hide the
// latency of a multiply-add.
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <cstdint>

#include "kernels/bf16.hpp"

#define TROUPE_LANES_INLINE static inline __attribute__((always_inline))

namespace troupe::kernels::TROUPE_TARGET {
namespace matmul_detail {
namespace {

#if defined(__AVX512F__)

using Vector = __m512;
constexpr int unit_outputs = 32;
constexpr int tile_rows_max = 12;
constexpr int tile_units(int rows) { return rows == 1 ? 4 : rows <= 4 ? 2 : 1; }

TROUPE_LANES_INLINE void keep_in_register(Vector& value) { asm volatile("" : "+v"(value)); }
TROUPE_LANES_INLINE Vector zero() { return _mm512_setzero_ps(); }
TROUPE_LANES_INLINE Vector broadcast(const float* value) { return _mm512_set1_ps(*value); }
TROUPE_LANES_INLINE Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }

TROUPE_LANES_INLINE void load_weights(const bf16* weights, Vector& even, Vector& odd) {
  const __m512i words = _mm512_loadu_si512(weights);
  // The unmasked shift makes GCC 12 warn of an uninitialised value in its own header.
  even = _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xFFFF, words, 16));
  odd = _mm512_castsi512_ps(_mm512_maskz_mov_epi16(0xAAAAAAAA, words));
}

TROUPE_LANES_INLINE void load_outputs(const float* output, Vector& even, Vector& odd) {
  const __m512i evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odds = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  const __m512 low = _mm512_loadu_ps(output);
  const __m512 high = _mm512_loadu_ps(output + 16);
  even = _mm512_permutex2var_ps(low, evens, high);
  odd = _mm512_permutex2var_ps(low, odds, high);
}

TROUPE_LANES_INLINE void store_outputs(float* output, Vector even, Vector odd) {
  const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i second = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  _mm512_storeu_ps(output, _mm512_permutex2var_ps(even, first, odd));
  _mm512_storeu_ps(output + 16, _mm512_permutex2var_ps(even, second, odd));
}

#elif defined(__AVX2__)

using Vector = __m256;
constexpr int unit_outputs = 16;
constexpr int tile_rows_max = 6;
constexpr int tile_units(int rows) { return rows == 1 ? 4 : rows <= 3 ? 2 : 1; }

TROUPE_LANES_INLINE void keep_in_register(Vector& value) { asm volatile("" : "+x"(value)); }
TROUPE_LANES_INLINE Vector zero() { return _mm256_setzero_ps(); }
TROUPE_LANES_INLINE Vector broadcast(const float* value) { return _mm256_broadcast_ss(value); }
TROUPE_LANES_INLINE Vector multiply_add(Vector a, Vector b, Vector c) { return _mm256_fmadd_ps(a, b, c); }

TROUPE_LANES_INLINE void load_weights(const bf16* weights, Vector& even, Vector& odd) {
  const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights));
  even = _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
  odd = _mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(static_cast<int>(0xFFFF0000U))));
}

TROUPE_LANES_INLINE void load_outputs(const float* output, Vector& even, Vector& odd) {
  const __m256 low = _mm256_loadu_ps(output);
  const __m256 high = _mm256_loadu_ps(output + 8);
  const __m256 evens = _mm256_shuffle_ps(low, high, 0x88);  // 0 2 8 10 | 4 6 12 14
  const __m256 odds = _mm256_shuffle_ps(low, high, 0xDD);
  even = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(evens), 0xD8));
  odd = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(odds), 0xD8));
}

TROUPE_LANES_INLINE void store_outputs(float* output, Vector even, Vector odd) {
  const __m256 low = _mm256_unpacklo_ps(even, odd);   // 0 1 2 3 | 8 9 10 11
  const __m256 high = _mm256_unpackhi_ps(even, odd);  // 4 5 6 7 | 12 13 14 15
  _mm256_storeu_ps(output, _mm256_permute2f128_ps(low, high, 0x20));
  _mm256_storeu_ps(output + 8, _mm256_permute2f128_ps(low, high, 0x31));
}

#elif defined(__aarch64__)

using Vector = float32x4_t;
constexpr int unit_outputs = 8;
constexpr int tile_rows_max = 8;
constexpr int tile_units(int rows) { return rows <= 2 ? 4 : rows <= 4 ? 2 : 1; }

TROUPE_LANES_INLINE void keep_in_register(Vector& value) { asm volatile("" : "+w"(value)); }
TROUPE_LANES_INLINE Vector zero() { return vdupq_n_f32(0); }
TROUPE_LANES_INLINE Vector broadcast(const float* value) { return vld1q_dup_f32(value); }
TROUPE_LANES_INLINE Vector multiply_add(Vector a, Vector b, Vector c) { return vfmaq_f32(c, a, b); }

TROUPE_LANES_INLINE void load_weights(const bf16* weights, Vector& even, Vector& odd) {
  const uint32x4_t words = vreinterpretq_u32_u16(vld1q_u16(&weights->bits));
  even = vreinterpretq_f32_u32(vshlq_n_u32(words, 16));
  odd = vreinterpretq_f32_u32(vandq_u32(words, vdupq_n_u32(0xFFFF0000U)));
}

TROUPE_LANES_INLINE void load_outputs(const float* output, Vector& even, Vector& odd) {
  const float32x4x2_t pairs = vld2q_f32(output);
  even = pairs.val[0];
  odd = pairs.val[1];
}

TROUPE_LANES_INLINE void store_outputs(float* output, Vector even, Vector odd) {
  float32x4x2_t pairs;
  pairs.val[0] = even;
  pairs.val[1] = odd;
  vst2q_f32(output, pairs);
}

#else

struct Vector {
  float lane[4];
};
constexpr int unit_outputs = 8;
constexpr int tile_rows_max = 4;
constexpr int tile_units(int rows) { return rows == 1 ? 4 : rows == 2 ? 2 : 1; }

TROUPE_LANES_INLINE void keep_in_register(Vector&) {}
TROUPE_LANES_INLINE Vector zero() { return {}; }
TROUPE_LANES_INLINE Vector broadcast(const float* value) { return {{*value, *value, *value, *value}}; }

TROUPE_LANES_INLINE Vector multiply_add(Vector a, Vector b, Vector c) {
  for (int i = 0; i < 4; ++i) c.lane[i] = __builtin_fmaf(a.lane[i], b.lane[i], c.lane[i]);
  return c;
}

TROUPE_LANES_INLINE float widened(bf16 weight) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(weight.bits) << 16);
}

TROUPE_LANES_INLINE void load_weights(const bf16* weights, Vector& even, Vector& odd) {
  for (int i = 0; i < 4; ++i) {
    even.lane[i] = widened(weights[2 * i]);
    odd.lane[i] = widened(weights[2 * i + 1]);
  }
}

TROUPE_LANES_INLINE void load_outputs(const float* output, Vector& even, Vector& odd) {
  for (int i = 0; i < 4; ++i) {
    even.lane[i] = output[2 * i];
    odd.lane[i] = output[2 * i + 1];
  }
}

TROUPE_LANES_INLINE void store_outputs(float* output, Vector even, Vector odd) {
  for (int i = 0; i < 4; ++i) {
    output[2 * i] = even.lane[i];
    output[2 * i + 1] = odd.lane[i];
  }
}

#endif

}  // namespace
}  // namespace matmul_detail
}  // namespace troupe::kernels::TROUPE_TARGET
