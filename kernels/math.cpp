#include "kernels/math.hpp"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/check.hpp"

// The same code with and without fused multiply-add instructions: the C library's fma is as exact, but slow.
#if defined(__x86_64__) && defined(__gnu_linux__)
#define TROUPE_WITH_AND_WITHOUT_FMA [[gnu::target_clones("fma", "default")]]
#else
#define TROUPE_WITH_AND_WITHOUT_FMA
#endif

#define TROUPE_TARGET scalar
#define TROUPE_INLINE [[gnu::always_inline]] inline

// One lane with the operations that math.lanes.hpp needs; each does what a lane of targets/lanes_plain.hpp does.
namespace troupe::kernels::scalar {

struct I32x1 {
  std::uint32_t value;

  TROUPE_INLINE static I32x1 broadcast(std::int32_t value) { return {static_cast<std::uint32_t>(value)}; }
};

struct F32x1 {
  using Integers = I32x1;

  float value;

  TROUPE_INLINE static F32x1 broadcast(float value) { return {value}; }
  TROUPE_INLINE static F32x1 zero() { return {0}; }
};

TROUPE_INLINE F32x1 operator+(F32x1 a, F32x1 b) { return {a.value + b.value}; }
TROUPE_INLINE F32x1 operator-(F32x1 a, F32x1 b) { return {a.value - b.value}; }
TROUPE_INLINE F32x1 operator-(F32x1 a) { return {-a.value}; }
TROUPE_INLINE F32x1 operator*(F32x1 a, F32x1 b) { return {a.value * b.value}; }
TROUPE_INLINE F32x1 fma(F32x1 a, F32x1 b, F32x1 c) { return {__builtin_fmaf(a.value, b.value, c.value)}; }
TROUPE_INLINE F32x1 max(F32x1 a, F32x1 b) { return a.value > b.value ? a : b; }
TROUPE_INLINE F32x1 min(F32x1 a, F32x1 b) { return a.value < b.value ? a : b; }
TROUPE_INLINE bool less(F32x1 a, F32x1 b) { return a.value < b.value; }
TROUPE_INLINE bool equal(F32x1 a, F32x1 b) { return a.value == b.value; }
TROUPE_INLINE F32x1 select(bool mask, F32x1 yes, F32x1 no) { return mask ? yes : no; }
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
TROUPE_INLINE F32x1 to_float(I32x1 a) { return {static_cast<float>(static_cast<std::int32_t>(a.value))}; }
TROUPE_INLINE I32x1 bits_of(F32x1 a) { return {__builtin_bit_cast(std::uint32_t, a.value)}; }
TROUPE_INLINE F32x1 float_of(I32x1 a) { return {__builtin_bit_cast(float, a.value)}; }

}  // namespace troupe::kernels::scalar

#include "kernels/math.lanes.hpp"

namespace troupe::kernels {

namespace {

/// An unevaluated sum with about 106 bits; low is at most half a unit in the last place of high.
struct DoubleDouble {
  double high;
  double low;
};

TROUPE_INLINE DoubleDouble sum_ordered(double larger, double smaller) {
  const double high = larger + smaller;
  return {high, smaller - (high - larger)};
}

TROUPE_INLINE double power_of_two(int exponent) {
  return __builtin_bit_cast(double, static_cast<std::uint64_t>(exponent + 1023) << 52);
}

/// Adding it leaves the nearest integer in the low bits.
constexpr double round_to_integer = 0x1.8p52;
constexpr double log2_e = 0x1.71547652b82fep0;
/// ln 2 in 42 bits, so that an exponent times it is exact, and the rest.
constexpr double ln2_high = 0x1.62e42fefa3800p-1;
constexpr double ln2_low = 0x1.ef35793c76730p-45;

/// 1 / n!, rounded once: both are exact until the division.
constexpr double inverse_factorial(int n) {
  double factorial = 1;
  for (int i = 2; i <= n; ++i) factorial *= i;
  return 1 / factorial;
}

/// The natural logarithm of a normal positive number, to about 2^-65: with s = f / (2 + f), log(1 + f) is
/// 2 s + 2/3 s^3 + 2/5 s^5 + ..., of which the first two terms are carried in twice the precision.
TROUPE_INLINE DoubleDouble log_double_double(double x) {
  const auto bits = __builtin_bit_cast(std::uint64_t, x);
  constexpr std::uint64_t root_half = 0x3FE6A09E667F3BCDU;
  const auto exponent = static_cast<std::int64_t>(bits - root_half) >> 52;
  const double f = __builtin_bit_cast(double, bits - (static_cast<std::uint64_t>(exponent) << 52)) - 1.0;  // exact

  const DoubleDouble denominator = sum_ordered(2.0, f);
  const double s = f / denominator.high;
  const double s_low = (__builtin_fma(-s, denominator.high, f) - s * denominator.low) / denominator.high;

  const double square = s * s;
  const double square_low = __builtin_fma(s, s, -square) + 2 * s * s_low;
  const double cube = square * s;
  const double cube_low = __builtin_fma(square, s, -cube) + square * s_low + square_low * s;
  constexpr double two_thirds = 0x1.5555555555555p-1;
  constexpr double two_thirds_low = 0x1.5555555555555p-55;
  const double third = two_thirds * cube;
  const double third_low = __builtin_fma(two_thirds, cube, -third) + two_thirds_low * cube + two_thirds * cube_low;

  double tail = 2.0 / 25;  // s^2 < 0.0295: the terms after s^25 are below 2^-70
  for (int n = 23; n >= 5; n -= 2) tail = __builtin_fma(tail, square, 2.0 / n);
  tail *= cube * square;

  const double e = static_cast<double>(exponent);
  const double lows = 2 * s_low + (third_low + tail);
  const DoubleDouble near = sum_ordered(2 * s, third);
  if (exponent == 0) return sum_ordered(near.high, near.low + lows);
  const DoubleDouble all = sum_ordered(e * ln2_high, near.high);
  return sum_ordered(all.high, all.low + (near.low + lows + e * ln2_low));
}

/// e^(x.high + x.low) for |x| <= 800: Taylor's series to degree 13 on |r| <= ln 2 / 2, whose remainder is below 2^-57.
TROUPE_INLINE double exp_double_double(DoubleDouble x) {
  const double shifted = __builtin_fma(x.high, log2_e, round_to_integer);
  const double n = shifted - round_to_integer;
  double r = __builtin_fma(n, -ln2_high, x.high);
  r = r + __builtin_fma(n, -ln2_low, x.low);
  double p = inverse_factorial(13);
  p = __builtin_fma(p, r, inverse_factorial(12));
  p = __builtin_fma(p, r, inverse_factorial(11));
  p = __builtin_fma(p, r, inverse_factorial(10));
  p = __builtin_fma(p, r, inverse_factorial(9));
  p = __builtin_fma(p, r, inverse_factorial(8));
  p = __builtin_fma(p, r, inverse_factorial(7));
  p = __builtin_fma(p, r, inverse_factorial(6));
  p = __builtin_fma(p, r, inverse_factorial(5));
  p = __builtin_fma(p, r, inverse_factorial(4));
  p = __builtin_fma(p, r, inverse_factorial(3));
  p = __builtin_fma(p, r, 0.5);
  p = __builtin_fma(p, r, 1.0);
  p = __builtin_fma(p, r, 1.0);
  const int exponent = static_cast<int>(n);
  const int half = exponent / 2;
  return p * power_of_two(half) * power_of_two(exponent - half);
}

/// x = n pi / 2 + r with |r| <= pi / 4 (Cody and Waite, 1980). For |x| < 2^24 the first product and difference are exact in a
/// fused multiply-add, since both are multiples of 2^-53 below 1; the third part of pi / 2 would be below 2^-85.
struct QuarterTurns {
  int quadrant;
  double rest;
};

TROUPE_INLINE QuarterTurns quarter_turns(double x) {
  constexpr double two_over_pi = 0x1.45f306dc9c883p-1;
  const double shifted = __builtin_fma(x, two_over_pi, round_to_integer);
  const double n = shifted - round_to_integer;
  const double rest = __builtin_fma(n, -0x1.921fb54442d18p0, x);
  return {static_cast<int>(__builtin_bit_cast(std::uint64_t, shifted) & 3U), __builtin_fma(n, -0x1.1a62633145c07p-54, rest)};
}

/// Taylor's series for |r| <= pi / 4, with remainders below 2^-60.
TROUPE_INLINE double sine_of_rest(double r) {
  const double square = r * r;
  double p = inverse_factorial(17);
  p = __builtin_fma(p, square, -inverse_factorial(15));
  p = __builtin_fma(p, square, inverse_factorial(13));
  p = __builtin_fma(p, square, -inverse_factorial(11));
  p = __builtin_fma(p, square, inverse_factorial(9));
  p = __builtin_fma(p, square, -inverse_factorial(7));
  p = __builtin_fma(p, square, inverse_factorial(5));
  p = __builtin_fma(p, square, -inverse_factorial(3));
  return __builtin_fma(p * square, r, r);
}

TROUPE_INLINE double cosine_of_rest(double r) {
  const double square = r * r;
  double p = inverse_factorial(18);
  p = __builtin_fma(-p, square, inverse_factorial(16));
  p = __builtin_fma(p, square, -inverse_factorial(14));
  p = __builtin_fma(p, square, inverse_factorial(12));
  p = __builtin_fma(p, square, -inverse_factorial(10));
  p = __builtin_fma(p, square, inverse_factorial(8));
  p = __builtin_fma(p, square, -inverse_factorial(6));
  p = __builtin_fma(p, square, inverse_factorial(4));
  p = __builtin_fma(p, square, -0.5);
  return __builtin_fma(p, square, 1.0);
}

TROUPE_INLINE double sine_after_turns(double x, int turns) {
  TROUPE_CHECK(!(std::fabs(x) >= 0x1p24), "sine and cosine are asked for angles below 2^24 radians");
  if (x != x) return x;
  const auto [quadrant, rest] = quarter_turns(x);
  const double value = (quadrant + turns) % 2 == 0 ? sine_of_rest(rest) : cosine_of_rest(rest);
  return (quadrant + turns) % 4 < 2 ? value : -value;
}

}  // namespace

TROUPE_WITH_AND_WITHOUT_FMA float exp(float x) { return scalar::exp(scalar::F32x1{x}).value; }

TROUPE_WITH_AND_WITHOUT_FMA float log(float x) { return scalar::log(scalar::F32x1{x}).value; }

TROUPE_WITH_AND_WITHOUT_FMA double pow(double base, double exponent) {
  TROUPE_CHECK(base >= 0x1p-1022 && base < std::numeric_limits<double>::infinity(),
               "the base of a power is normal and positive");
  TROUPE_CHECK(exponent - exponent == 0, "the exponent of a power is finite");
  const DoubleDouble logarithm = log_double_double(base);
  const double product = exponent * logarithm.high;
  if (product > 800) return std::numeric_limits<double>::infinity();
  if (product < -800) return 0;
  const double low = __builtin_fma(exponent, logarithm.high, -product) + exponent * logarithm.low;
  return exp_double_double({product, low});
}

TROUPE_WITH_AND_WITHOUT_FMA double sine(double x) { return sine_after_turns(x, 0); }

TROUPE_WITH_AND_WITHOUT_FMA double cosine(double x) { return sine_after_turns(x, 1); }

}  // namespace troupe::kernels
