// Whether the GPU that the CUDA kernels are for is here, and how numbers are compared with what they should be.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "tests/gpu/device_array.hpp"

namespace troupe::kernels::cuda {

/// Why the kernels cannot run here, if they cannot.
inline std::optional<std::string> why_no_hopper() {
  int devices = 0;
  const cudaError_t status = cudaGetDeviceCount(&devices);
  if (status != cudaSuccess) return std::string("CUDA finds no GPU (") + cudaGetErrorString(status) + ")";
  if (devices == 0) return "CUDA finds no GPU";
  cudaDeviceProp properties{};
  check_cuda(cudaGetDeviceProperties(&properties, 0));
  if (properties.major == 9 && properties.minor == 0) return std::nullopt;
  return std::string(properties.name) + " has compute capability " + std::to_string(properties.major) + "." +
         std::to_string(properties.minor) + ", and the kernels are for 9.0";
}

/// Compares bits: a NaN equals itself, and zero is not minus zero.
template <class Element>
bool same_bits(const std::vector<Element>& left, const std::vector<Element>& right) {
  return left.size() == right.size() && std::memcmp(left.data(), right.data(), left.size() * sizeof(Element)) == 0;
}
/// How many of the elements that both have differ in their bits.
template <class Element>
std::size_t differing(const std::vector<Element>& left, const std::vector<Element>& right) {
  std::size_t count = 0;
  const auto* const lefts = reinterpret_cast<const std::byte*>(left.data());
  const auto* const rights = reinterpret_cast<const std::byte*>(right.data());
  for (std::size_t at = 0; at < std::min(left.size(), right.size()) * sizeof(Element); at += sizeof(Element))
    count += std::memcmp(lefts + at, rights + at, sizeof(Element)) == 0 ? 0U : 1U;
  return count;
}

inline bool has_nan(const std::vector<float>& numbers) {
  return std::any_of(numbers.begin(), numbers.end(), [](float number) { return std::isnan(number); });
}

/// The length of what numbers differ by from what they should be, as a share of the length of the latter.
class RelativeError {
 public:
  void add(double wanted, double got) {
    error_ += (wanted - got) * (wanted - got);
    length_ += wanted * wanted;
  }
  /// NaN if one of the numbers was; a comparison with a bound then fails.
  double value() const { return std::sqrt(error_ / length_); }

 private:
  double error_ = 0;
  double length_ = 0;
};

}  // namespace troupe::kernels::cuda
