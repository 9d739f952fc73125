// The baseline for matrix products: oneDNN's f32 matmul with weights in the layout that it likes best, as fast as a library
// that promises nothing about bits is on this machine.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.hpp"

namespace troupe::bench {

class OnednnMatmul {
 public:
  /// A product of [rows, inputs] with weights [outputs, inputs], which are filled with small numbers, on at most `threads`
  /// threads. `unsupported` in a build without oneDNN, if the library's threads cannot be limited, or if it has no such
  /// product.
  static Result<OnednnMatmul> create(std::int32_t rows, std::int32_t inputs, std::int32_t outputs, int threads);
  OnednnMatmul(OnednnMatmul&&) noexcept;
  OnednnMatmul& operator=(OnednnMatmul&&) noexcept;
  ~OnednnMatmul();

  /// Computes the product once, in the thread that created this. Workers of the library may go on spinning for some
  /// milliseconds afterwards.
  void run();

 private:
  struct State;
  explicit OnednnMatmul(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace troupe::bench
