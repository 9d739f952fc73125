#include "tests/gpu/cublas.hpp"

#include <dlfcn.h>
#include <library_types.h>

#include <stdexcept>
#include <string>

namespace troupe::kernels::cuda {

namespace {

// cuBLAS's own names for what is passed; its header need not be here.
using Handle = void*;
using Create = int (*)(Handle*);
using Destroy = int (*)(Handle);
using SetStream = int (*)(Handle, cudaStream_t);
using GemmEx = int (*)(Handle, int, int, int, int, int, const void*, const void*, cudaDataType, int, const void*, cudaDataType,
                       int, const void*, void*, cudaDataType, int, int, int);
constexpr int op_n = 0;
constexpr int op_t = 1;
constexpr int compute_32f = 68;
constexpr int gemm_default = -1;

void check_cublas(int status, const char* what) {
  if (status != 0) throw std::runtime_error(std::string(what) + " failed with status " + std::to_string(status));
}

void* load() {
  for (const char* name : {"libcublas.so.13", "/usr/local/cuda/lib64/libcublas.so.13"}) {
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
  }
  return nullptr;
}

}  // namespace

struct Cublas::Functions {
  void* library = nullptr;
  Destroy destroy = nullptr;
  SetStream set_stream = nullptr;
  GemmEx gemm = nullptr;
  Handle handle = nullptr;
};

std::unique_ptr<Cublas> Cublas::open() {
  auto functions = std::make_unique<Functions>();
  functions->library = load();
  if (functions->library == nullptr) return nullptr;
  const auto create = reinterpret_cast<Create>(dlsym(functions->library, "cublasCreate_v2"));
  functions->destroy = reinterpret_cast<Destroy>(dlsym(functions->library, "cublasDestroy_v2"));
  functions->set_stream = reinterpret_cast<SetStream>(dlsym(functions->library, "cublasSetStream_v2"));
  functions->gemm = reinterpret_cast<GemmEx>(dlsym(functions->library, "cublasGemmEx"));
  if (create == nullptr || functions->destroy == nullptr || functions->set_stream == nullptr || functions->gemm == nullptr ||
      create(&functions->handle) != 0)
    return nullptr;
  return std::unique_ptr<Cublas>(new Cublas(std::move(functions)));
}

Cublas::Cublas(std::unique_ptr<Functions> functions) : functions_(std::move(functions)) {}
Cublas::~Cublas() { functions_->destroy(functions_->handle); }

void Cublas::multiply(cudaStream_t stream, const void* weights, const void* input, void* output, CublasOutput type, int outputs,
                      int inputs, int rows) {
  const float one = 1;
  const float beta = type == CublasOutput::added ? 1 : 0;
  const cudaDataType output_type = type == CublasOutput::bfloat16 ? CUDA_R_16BF : CUDA_R_32F;
  check_cublas(functions_->set_stream(functions_->handle, stream), "cublasSetStream");
  // Columns are contiguous to cuBLAS: [outputs, rows] = transposed [inputs, outputs] times [inputs, rows].
  check_cublas(functions_->gemm(functions_->handle, op_t, op_n, outputs, rows, inputs, &one, weights, CUDA_R_16BF, inputs,
                                input, CUDA_R_16BF, inputs, &beta, output, output_type, outputs, compute_32f, gemm_default),
               "cublasGemmEx");
}

}  // namespace troupe::kernels::cuda
