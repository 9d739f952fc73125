// Truth for kernels/matmul.hpp: plain loops in double.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace troupe::reference {

/// output[row, n] = sum over k of input[row, k] * weight[n, k]
inline std::vector<double> matmul(const std::vector<float>& input, const std::vector<float>& weight, std::size_t rows,
                                  std::size_t inputs, std::size_t outputs) {
  std::vector<double> output(rows * outputs);
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t n = 0; n < outputs; ++n) {
      double sum = 0;
      for (std::size_t k = 0; k < inputs; ++k) sum += double{input[row * inputs + k]} * double{weight[n * inputs + k]};
      output[row * outputs + n] = sum;
    }
  }
  return output;
}

/// The sum of |input * weight|: a float product that rounds once per input is off by at most about inputs * 2^-24 of it.
inline std::vector<double> matmul_magnitude(std::vector<float> input, std::vector<float> weight, std::size_t rows,
                                            std::size_t inputs, std::size_t outputs) {
  for (float& value : input) value = std::fabs(value);
  for (float& value : weight) value = std::fabs(value);
  return matmul(input, weight, rows, inputs, outputs);
}

}  // namespace troupe::reference
