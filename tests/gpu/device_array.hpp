// Device memory with one owner, and CUDA's errors as exceptions, for tests and benchmarks of the CUDA kernels.
#pragma once

#include <algorithm>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <cuda_runtime.h>

namespace troupe::kernels::cuda {

inline void check_cuda(cudaError_t status, std::source_location where = std::source_location::current()) {
  if (status == cudaSuccess) return;
  throw std::runtime_error(std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": CUDA says \"" +
                           cudaGetErrorString(status) + "\"");
}

/// Elements of a plain type in device memory. Copies to and from the host wait for everything that the device has begun.
template <class Element>
class DeviceArray {
 public:
  DeviceArray() = default;
  /// Full of zero bits.
  explicit DeviceArray(std::size_t count) : count_(count) {
    check_cuda(cudaMalloc(reinterpret_cast<void**>(&data_), std::max<std::size_t>(bytes(), 1)));
    fill_bytes(0);
  }
  explicit DeviceArray(const std::vector<Element>& elements) : DeviceArray(elements.size()) { write(elements); }
  DeviceArray(DeviceArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), count_(std::exchange(other.count_, 0)) {}
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }

  Element* data() const { return data_; }
  std::size_t count() const { return count_; }
  std::size_t bytes() const { return count_ * sizeof(Element); }

  /// Of 0xFF bytes, floats and bf16 are NaN.
  void fill_bytes(int byte) { check_cuda(cudaMemset(data_, byte, bytes())); }
  void write(const std::vector<Element>& elements) {
    if (elements.size() > count_) throw std::runtime_error("more elements are written to device memory than it holds");
    check_cuda(cudaMemcpy(data_, elements.data(), elements.size() * sizeof(Element), cudaMemcpyHostToDevice));
  }
  std::vector<Element> read() const { return read(0, count_); }
  std::vector<Element> read(std::size_t first, std::size_t count) const {
    if (first + count > count_) throw std::runtime_error("more elements are read from device memory than it holds");
    std::vector<Element> elements(count);
    check_cuda(cudaDeviceSynchronize());
    check_cuda(cudaMemcpy(elements.data(), data_ + first, count * sizeof(Element), cudaMemcpyDeviceToHost));
    return elements;
  }

 private:
  Element* data_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace troupe::kernels::cuda
