// What a token weighs when it is drawn, what it adds to the log-sum-exp, and the random bits that decide: whole numbers of more
// than 32 bits, which are computed as floats and added in two parts, since numbers of 64 bits are slow to convert and to add.
#pragma once

#include <cstdint>

#include "kernels/cuda/math.cuh"

namespace troupe::kernels::cuda {

/// A float of 0 or more, cut to a whole number: low + high * 2^LowBits. Both parts are below 2^23.
template <int LowBits>
struct Parts {
  std::uint32_t low;
  std::uint32_t high;

  __device__ __forceinline__ explicit Parts(float value) {
    constexpr float whole = 0x1p23f;  // what is added to it is cut to a whole number, which its low bits are
    constexpr float unit = 1 << LowBits;
    const float high_part = __fmaf_rz(value, 1 / unit, whole);
    const float rest = __fmaf_rn(__fsub_rn(high_part, whole), -unit, value);  // exact
    low = __float_as_uint(__fadd_rz(rest, whole)) & 0x7FFFFFU;
    high = __float_as_uint(high_part) & 0x7FFFFFU;
  }
};

/// Of the sum that log_sum_exp takes the logarithm of: 2^18 tokens of at most 2^44 fit in 64 bits.
inline constexpr int sum_bits = 44;
inline constexpr float sum_unit = 0x1p-44f;

/// A thread's part of the sum of exp(logit - best logit), in units of `sum_unit`. Of up to 512 logits.
class ExpSum {
 public:
  __device__ __forceinline__ void add(float logit, float best) {
    constexpr float too_little = -60;  // exp is less than a unit well before
    const float below = __fsub_rn(logit, best);
    const float exp = exact_exp_scaled<sum_bits>(below);
    const Parts<low_bits> parts(below >= too_little ? exp : 0);
    low_ += parts.low;
    high_ += parts.high;
  }
  __device__ std::uint64_t sum() const { return low_ + (std::uint64_t{high_} << low_bits); }

 private:
  static constexpr int low_bits = 22;
  std::uint32_t low_ = 0;
  std::uint32_t high_ = 0;
};

/// A token less likely than the best by this exponent weighs nothing: exp of it is below 2^-40.
inline constexpr float exponent_min = -28;

/// model::sample's weights, in units of 2^-40.
class Weights {
 public:
  __device__ Weights(float best, float temperature) : best_(best), scale_(temperature < 0x1p-60f ? 0x1p64f : 1.0f) {
    divisor_ = __fmul_rn(temperature, scale_);
    inverse_ = __fdiv_rn(1.0f, divisor_);
    inverse_rest_ = __fmul_rn(__fmaf_rn(-divisor_, inverse_, 1.0f), inverse_);
  }

  /// Before it is cut to a whole number.
  __device__ __forceinline__ float uncut(float logit) const {
    const float exponent = quotient(__fmul_rn(__fsub_rn(logit, best_), scale_));
    const float weight = exact_exp_scaled<40>(exponent);
    return exponent >= exponent_min ? weight : 0;
  }
  __device__ __forceinline__ std::uint64_t of(float logit) const { return __float2ull_rz(uncut(logit)); }

 private:
  /// dividend / divisor_ as it is rounded, wherever exp of it is neither 1 nor below 2^-40: a quotient next to the exact one,
  /// corrected by the rest times the rounded inverse, is the rounded one (Markstein: "Computation of elementary functions on
  /// the IBM RISC System/6000 processor", 1990). The scale keeps rests from being denormal. Far below it may be a NaN.
  __device__ __forceinline__ float quotient(float dividend) const {
    const float near = __fmaf_rn(dividend, inverse_, __fmul_rn(dividend, inverse_rest_));
    return __fmaf_rn(__fmaf_rn(-divisor_, near, dividend), inverse_, near);
  }

  float best_;
  float scale_;
  float divisor_;
  float inverse_;
  float inverse_rest_;
};

/// Of sums of weights, of which a copy of a histogram takes up to 4095.
inline constexpr int weight_low_bits = 20;
using WeightParts = Parts<weight_low_bits>;
__device__ __forceinline__ std::uint64_t weight_of(std::uint32_t low, std::uint32_t high) {
  return low + (std::uint64_t{high} << weight_low_bits);
}

inline constexpr std::uint32_t token_choice_purpose = 1;  // model/sampler.hpp
/// The 64 random bits of base/random.hpp's philox that model::sample draws with.
__device__ __forceinline__ std::uint64_t random_word(std::uint64_t seed, std::int32_t position) {
  std::uint32_t counter[4] = {static_cast<std::uint32_t>(position), 0, 0, token_choice_purpose};
  std::uint32_t key[2] = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{0xD2511F53U} * counter[0];
    const std::uint64_t product1 = std::uint64_t{0xCD9E8D57U} * counter[2];
    counter[0] = static_cast<std::uint32_t>(product1 >> 32) ^ counter[1] ^ key[0];
    counter[1] = static_cast<std::uint32_t>(product1);
    counter[2] = static_cast<std::uint32_t>(product0 >> 32) ^ counter[3] ^ key[1];
    counter[3] = static_cast<std::uint32_t>(product0);
    key[0] += 0x9E3779B9U;
    key[1] += 0xBB67AE85U;
  }
  return std::uint64_t{counter[0]} << 32 | counter[1];
}

}  // namespace troupe::kernels::cuda
