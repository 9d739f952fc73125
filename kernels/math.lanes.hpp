// exp and log, written once for any lane type F of the including namespace: sixteen lanes in the kernels, one in math.cpp.
// The polynomials are minimax fits (Remez exchange) whose coefficients are rounded to float.

namespace troupe::kernels::TROUPE_TARGET {

/// e^x = 2^n e^r with n = x / ln 2 rounded to nearest even and |r| <= ln 2 / 2. The polynomial's value p lies in [0.70, 1.42],
/// so p * 2^(n/2) is exact and the second multiplication rounds once, into the denormals too.
template <class F>
struct ExpParts {
  F fraction;                     ///< p
  typename F::Integers exponent;  ///< n
};
/// For -104 <= x <= 89.
template <class F>
TROUPE_INLINE ExpParts<F> exp_parts(F x) {
  constexpr float round_to_integer = 0x1.8p23F;  // adding it leaves the nearest integer in the low bits
  const F shifted = fma(x, F::broadcast(0x1.715476p0F), F::broadcast(round_to_integer));
  const F n = shifted - F::broadcast(round_to_integer);
  // The upper part of ln 2 has 14 bits, so n times it is exact.
  F r = fma(n, F::broadcast(-0x1.62e4p-1F), x);
  r = fma(n, F::broadcast(-0x1.7f7d1cp-20F), r);

  F p = F::broadcast(0x1.6a3a5cp-10F);
  p = fma(p, r, F::broadcast(0x1.12344ep-7F));
  p = fma(p, r, F::broadcast(0x1.5558aep-5F));
  p = fma(p, r, F::broadcast(0x1.55549ap-3F));
  p = fma(p, r, F::broadcast(0x1.fffffcp-2F));
  p = fma(p, r, F::broadcast(1.0F));
  p = fma(p, r, F::broadcast(1.0F));

  return {p, bits_of(shifted) - bits_of(F::broadcast(round_to_integer))};
}
template <class F>
TROUPE_INLINE F exp(F x) {
  using Integers = typename F::Integers;
  x = max(F::broadcast(-104.0F), min(F::broadcast(89.0F), x));  // in this order a NaN passes
  const auto [p, exponent] = exp_parts(x);
  const Integers half = shift_right<1>(exponent);
  const Integers bias = Integers::broadcast(127);
  return p * float_of(shift_left<23>(half + bias)) * float_of(shift_left<23>(exponent - half + bias));
}

/// log x = e ln 2 + log(1 + f) with 1 + f in [sqrt(1/2), sqrt(2)); log(1 + f) = f - f^2 / 2 + f^3 P(f).
template <class F>
TROUPE_INLINE F log(F x) {
  using Integers = typename F::Integers;
  const Integers root_half = Integers::broadcast(0x3F3504F3);
  const auto denormal = less(x, F::broadcast(0x1p-126F));
  const F scaled = select(denormal, x * F::broadcast(0x1p23F), x);
  const Integers exponent = shift_right<23>(bits_of(scaled) - root_half);
  const F e = to_float(exponent) - select(denormal, F::broadcast(23.0F), F::broadcast(0.0F));
  const F f = float_of(bits_of(scaled) - shift_left<23>(exponent)) - F::broadcast(1.0F);

  F p = F::broadcast(0x1.1c5ea8p-4F);
  p = fma(p, f, F::broadcast(-0x1.e1181p-4F));
  p = fma(p, f, F::broadcast(0x1.e4c5a2p-4F));
  p = fma(p, f, F::broadcast(-0x1.fb80cp-4F));
  p = fma(p, f, F::broadcast(0x1.2354c8p-3F));
  p = fma(p, f, F::broadcast(-0x1.5561fcp-3F));
  p = fma(p, f, F::broadcast(0x1.99a34ap-3F));
  p = fma(p, f, F::broadcast(-0x1.ffffeep-3F));
  p = fma(p, f, F::broadcast(0x1.55554ap-2F));

  const F square = f * f;
  F result = fma(e, F::broadcast(0x1.7f7d1cp-20F), f * square * p);
  result = f + fma(F::broadcast(-0.5F), square, result);
  result = fma(e, F::broadcast(0x1.62e4p-1F), result);
  const F infinity = F::broadcast(__builtin_inff());
  result = select(less(x, infinity), result, x);  // infinity and NaN are their own logarithms
  result = select(less(x, F::zero()), F::broadcast(__builtin_nanf("")), result);
  return select(equal(x, F::zero()), -infinity, result);
}

}  // namespace troupe::kernels::TROUPE_TARGET
