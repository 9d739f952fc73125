// The rotation of rope_append.hpp in double: element i of a head pairs with element i + dim / 2.
#pragma once

#include <span>
#include <vector>

namespace troupe::reference {

inline std::vector<double> rope(std::span<const double> head, std::span<const float> cosine, std::span<const float> sine) {
  const std::size_t half = head.size() / 2;
  std::vector<double> output(head.size());
  for (std::size_t i = 0; i < half; ++i) {
    output[i] = head[i] * cosine[i] - head[i + half] * sine[i];
    output[i + half] = head[i + half] * cosine[i] + head[i] * sine[i];
  }
  return output;
}

}  // namespace troupe::reference
