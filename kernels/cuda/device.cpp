#include "kernels/cuda/device.hpp"

#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/check.hpp"
#include "kernels/cuda/weight_writer.hpp"
#include "kernels/usable_gpu.hpp"

namespace troupe::kernels::cuda {

namespace {

std::string gibibytes(std::size_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f GiB", static_cast<double>(bytes) / static_cast<double>(std::size_t{1} << 30));
  return text;
}

}  // namespace

void check_device(int status, const char* what) {
  if (status == cudaSuccess) [[likely]]
    return;
  const auto error = static_cast<cudaError_t>(status);
  std::fprintf(
      stderr,
      "troupe: the GPU failed in %s: %s (%s). What its memory held is lost, so this process ends; what it was answering "
      "is answered after its restart, or by other nodes, with the same bits. If it happens again, look at dmesg for "
      "\"Xid\" and at nvidia-smi -q.\n",
      what, cudaGetErrorString(error), cudaGetErrorName(error));
  std::fflush(stderr);
  std::_Exit(device_failed_status);
}

Result<void> find_gpu(int ordinal) {
  GpuFacts facts{.runtime = CUDART_VERSION, .counting_failed = {}, .ordinal = ordinal, .asking_failed = {}, .name = {}};
  if (cudaDriverGetVersion(&facts.driver) != cudaSuccess) facts.driver = 0;
  const auto trouble_of = [](cudaError_t status) {
    if (status == cudaSuccess) return std::string();
    cudaGetLastError();  // it would be told again
    return std::string(cudaGetErrorString(status));
  };
  if (facts.driver != 0) facts.counting_failed = trouble_of(cudaGetDeviceCount(&facts.count));
  if (ordinal >= 0 && ordinal < facts.count) {
    cudaDeviceProp properties;
    facts.asking_failed = trouble_of(cudaGetDeviceProperties(&properties, ordinal));
    if (facts.asking_failed.empty()) {
      facts.name = properties.name;
      facts.capability_major = properties.major;
      facts.capability_minor = properties.minor;
    }
  }
  return check_gpu(facts);
}

CudaStream::CudaStream() { check_device(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream"); }

CudaStream::~CudaStream() { cudaStreamDestroy(stream_); }

void CudaStream::copy(void* target, const void* source, std::size_t bytes) {
  if (bytes != 0) check_device(cudaMemcpyAsync(target, source, bytes, cudaMemcpyDefault, stream_), "copying");
}

void CudaStream::synchronize() { check_device(cudaStreamSynchronize(stream_), "waiting for what it was given to do"); }

bool CudaStream::is_idle() const {
  const cudaError_t status = cudaStreamQuery(stream_);
  if (status == cudaErrorNotReady) return false;
  check_device(status, "asking after a pass");
  return true;
}

Event::Event() { check_device(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "making an event"); }

Event::~Event() {
  if (event_ != nullptr) cudaEventDestroy(event_);
}

void Event::record(const CudaStream& stream) { check_device(cudaEventRecord(event_, stream.handle()), "marking a place"); }

void Event::wait() const { check_device(cudaEventSynchronize(event_), "waiting for a mark"); }

Result<std::unique_ptr<CudaDevice>> CudaDevice::create(int ordinal) {
  TROUPE_TRY_DO(find_gpu(ordinal));
  cudaDeviceProp properties;
  cudaError_t status = cudaSetDevice(ordinal);
  if (status == cudaSuccess) status = cudaGetDeviceProperties(&properties, ordinal);
  if (status == cudaSuccess) status = cudaFree(nullptr);  // makes the context
  if (status != cudaSuccess) {
    return Error{ErrorCode::unavailable, "GPU " + std::to_string(ordinal) + " cannot be used: " + cudaGetErrorString(status)};
  }
  return std::unique_ptr<CudaDevice>(
      new CudaDevice(ordinal, "cuda, " + std::string(properties.name) + ", " + gibibytes(properties.totalGlobalMem)));
}

CudaDevice::CudaDevice(int ordinal, std::string description) : ordinal_(ordinal), description_(std::move(description)) {}

CudaDevice::~CudaDevice() = default;

void CudaDevice::use() const { check_device(cudaSetDevice(ordinal_), "choosing the GPU"); }

Result<Memory> CudaDevice::allocate(std::size_t bytes) {
  if (bytes == 0) return Memory{};
  void* data = nullptr;
  use();
  const cudaError_t status = cudaMalloc(&data, bytes);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    return Error{ErrorCode::overloaded,
                 "the GPU has " + gibibytes(*free_bytes()) + " free, and " + gibibytes(bytes) +
                     " were asked for; lower what is configured to use it, or see with nvidia-smi who else does"};
  }
  check_device(status, "allocating memory");
  check_device(cudaMemsetAsync(data, 0, bytes, stream_.handle()), "clearing memory");
  return Memory(*this, data, bytes);
}

Result<Memory> CudaDevice::allocate_host(std::size_t bytes) {
  if (bytes == 0) return Memory{};
  void* data = nullptr;
  use();
  if (const cudaError_t status = cudaMallocHost(&data, bytes); status != cudaSuccess) {
    cudaGetLastError();
    return Error{ErrorCode::overloaded, "the operating system refused " + std::to_string(bytes) +
                                            " bytes of page-locked memory: " + cudaGetErrorString(status)};
  }
  std::memset(data, 0, bytes);
  return Memory(*this, data, bytes);
}

std::optional<std::size_t> CudaDevice::free_bytes() const {
  std::size_t free = 0;
  std::size_t total = 0;
  check_device(cudaMemGetInfo(&free, &total), "asking how much memory is free");
  return free;
}

Result<std::unique_ptr<WeightWriter>> CudaDevice::weight_writer() { return CudaWeightWriter::create(*this); }

void CudaDevice::release(void* data, std::size_t /*bytes*/) noexcept {
  cudaPointerAttributes attributes{};
  const bool on_host = cudaPointerGetAttributes(&attributes, data) == cudaSuccess && attributes.type == cudaMemoryTypeHost;
  on_host ? cudaFreeHost(data) : cudaFree(data);
}

CudaStream& cuda_stream(Stream& stream) {
  TROUPE_CHECK(stream.kind() == DeviceKind::cuda, "an operation runs on a device that it is written for");
  return static_cast<CudaStream&>(stream);
}

}  // namespace troupe::kernels::cuda
