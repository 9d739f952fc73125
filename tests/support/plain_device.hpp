// A small device for tests of what only copies: host memory with a limit, and a stream whose copies happen when somebody waits
// for them, as on an accelerator. Who forgets to synchronize reads zeroes. Operations do not run on it; they want a CpuDevice.
#pragma once

#include <cstddef>
#include <cstring>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "kernels/device.hpp"
#include "kernels/weight_writer.hpp"

namespace troupe::testing {

class PlainStream final : public kernels::Stream {
 public:
  explicit PlainStream(kernels::DeviceKind kind = kernels::DeviceKind::cpu) : kind_(kind) {}

  kernels::DeviceKind kind() const override { return kind_; }
  void copy(void* target, const void* source, std::size_t bytes) override { waiting_.push_back({target, source, bytes}); }
  void synchronize() override {
    for (const auto& [target, source, bytes] : waiting_) {
      std::memcpy(target, source, bytes);
      bytes_copied_ += bytes;
    }
    waiting_.clear();
  }
  double busy_seconds() const override { return 0; }
  std::size_t bytes_copied() const { return bytes_copied_; }

 private:
  struct Copy {
    void* target;
    const void* source;
    std::size_t bytes;
  };
  kernels::DeviceKind kind_;
  std::vector<Copy> waiting_;
  std::size_t bytes_copied_ = 0;
};

/// A kind that no device has: whoever meets it must believe that only the stream reaches its memory.
inline constexpr auto far_device = static_cast<kernels::DeviceKind>(255);

class PlainDevice final : public kernels::Device {
 public:
  explicit PlainDevice(std::size_t bytes_max = std::numeric_limits<std::size_t>::max(),
                       kernels::DeviceKind kind = kernels::DeviceKind::cpu)
      : bytes_max_(bytes_max), stream_(kind) {}
  ~PlainDevice() override { TROUPE_CHECK(bytes_used_ == 0, "a device outlives its memory"); }
  PlainDevice(const PlainDevice&) = delete;
  PlainDevice& operator=(const PlainDevice&) = delete;

  kernels::DeviceKind kind() const override { return stream_.kind(); }
  std::string description() const override { return "plain host memory"; }
  PlainStream& stream() override { return stream_; }
  /// Of a CPU; nobody keeps weights on a device that is far.
  Result<std::unique_ptr<kernels::WeightWriter>> weight_writer() override {
    TROUPE_CHECK(kind() == kernels::DeviceKind::cpu, "weights are kept where something computes");
    return kernels::host_weight_writer();
  }
  std::size_t bytes_used() const { return bytes_used_; }
  /// How often memory was asked for with success.
  int allocations() const { return allocations_; }

  Result<kernels::Memory> allocate(std::size_t bytes) override {
    if (bytes > bytes_max_ - bytes_used_) {
      return Error{ErrorCode::overloaded,
                   std::to_string(bytes) + " bytes were asked for, " + std::to_string(bytes_max_ - bytes_used_) + " are left"};
    }
    void* data = ::operator new(bytes, alignment);
    std::memset(data, 0, bytes);
    bytes_used_ += bytes;
    ++allocations_;
    return kernels::Memory(*this, data, bytes);
  }

 private:
  static constexpr std::align_val_t alignment{64};

  void release(void* data, std::size_t bytes) noexcept override {
    ::operator delete(data, alignment);
    bytes_used_ -= bytes;
  }

  std::size_t bytes_max_;
  std::size_t bytes_used_ = 0;
  int allocations_ = 0;
  PlainStream stream_;
};

}  // namespace troupe::testing
