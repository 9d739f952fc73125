// cuBLAS, if it is where the program runs: what products are measured against. Nothing links it.
#pragma once

#include <memory>

#include <cuda_runtime.h>

namespace troupe::kernels::cuda {

/// What becomes of a product: rows of floats or of bf16, or it is added to rows of floats that are there.
enum class CublasOutput { float32, bfloat16, added };

class Cublas {
 public:
  /// Null if there is no libcublas.so.13 that the loader or CUDA's usual folder has.
  static std::unique_ptr<Cublas> open();
  ~Cublas();
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  /// output[row, n] = sum over k of input[row, k] * weight[n, k] of plain bf16 rows, added up in float; += for `added`.
  void multiply(cudaStream_t stream, const void* weights, const void* input, void* output, CublasOutput type, int outputs,
                int inputs, int rows);

 private:
  struct Functions;
  explicit Cublas(std::unique_ptr<Functions> functions);
  std::unique_ptr<Functions> functions_;
};

}  // namespace troupe::kernels::cuda
