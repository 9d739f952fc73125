#include "bench/cuda_memory.hpp"

#include <string>

#include "base/check.hpp"

#ifdef TROUPE_WITH_NCCL
#include <cuda_runtime_api.h>
#endif

namespace troupe::bench {

#ifdef TROUPE_WITH_NCCL

namespace {

Error cuda_error(cudaError_t status, const std::string& doing) {
  const ErrorCode code = status == cudaErrorMemoryAllocation ? ErrorCode::overloaded : ErrorCode::unavailable;
  return {code, doing + ": " + cudaGetErrorString(status)};
}

/// What is copied has arrived when this returns: a copy from pageable memory may still be on its way otherwise.
Result<void> copy(void* to, const void* from, std::size_t bytes, int device) {
  cudaError_t status = cudaSetDevice(device);
  if (status == cudaSuccess) status = cudaMemcpy(to, from, bytes, cudaMemcpyDefault);
  if (status == cudaSuccess) status = cudaStreamSynchronize(nullptr);
  if (status != cudaSuccess) return cuda_error(status, "copying " + std::to_string(bytes) + " bytes");
  return {};
}

}  // namespace

Result<std::shared_ptr<CudaMemory>> CudaMemory::allocate(std::size_t bytes, int device) {
  void* data = nullptr;
  cudaError_t status = cudaSetDevice(device);
  if (status == cudaSuccess) status = cudaMalloc(&data, bytes);
  if (status != cudaSuccess) return cuda_error(status, "allocating " + std::to_string(bytes) + " bytes of device memory");
  return std::shared_ptr<CudaMemory>(new CudaMemory(static_cast<std::byte*>(data), bytes, device));
}

CudaMemory::~CudaMemory() {
  if (cudaSetDevice(device_) == cudaSuccess) cudaFree(data_);
}

Result<void> CudaMemory::write(std::size_t offset, std::span<const std::byte> from) {
  TROUPE_CHECK(offset <= bytes_ && from.size() <= bytes_ - offset, "a copy stays inside of the memory");
  return copy(data_ + offset, from.data(), from.size(), device_);
}

Result<void> CudaMemory::read(std::size_t offset, std::span<std::byte> to) const {
  TROUPE_CHECK(offset <= bytes_ && to.size() <= bytes_ - offset, "a copy stays inside of the memory");
  return copy(to.data(), data_ + offset, to.size(), device_);
}

#else

Result<std::shared_ptr<CudaMemory>> CudaMemory::allocate(std::size_t /*bytes*/, int /*device*/) {
  return Error{ErrorCode::unsupported, "CUDA is not here: this was built where CMake found no nccl.h or no CUDA runtime"};
}
CudaMemory::~CudaMemory() { (void)device_; }
Result<void> CudaMemory::write(std::size_t /*offset*/, std::span<const std::byte> /*from*/) { return {}; }
Result<void> CudaMemory::read(std::size_t /*offset*/, std::span<std::byte> /*to*/) const { return {}; }

#endif

}  // namespace troupe::bench
