// All that an engine sees of an accelerator: memory on it, and a stream on which copies and operations run in order.
// The operations themselves are in this folder, one a file; each takes the stream that it runs on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/result.hpp"

namespace troupe::kernels {

enum class DeviceKind : std::uint8_t { cpu, cuda };

/// Whether the host reads and writes such a device's memory as its own. Else only the device's stream reaches it.
constexpr bool host_readable(DeviceKind kind) { return kind == DeviceKind::cpu; }

class Device;
class WeightWriter;

/// One allocation on a device; owns it, and gives it back when it ends. The device must outlive it.
class Memory {
 public:
  Memory() = default;
  Memory(Device& device, void* data, std::size_t bytes) : device_(&device), data_(data), bytes_(bytes) {}
  Memory(Memory&& other) noexcept { swap(other); }
  Memory& operator=(Memory&& other) noexcept {
    swap(other);
    return *this;
  }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory();

  std::size_t bytes() const { return bytes_; }
  void* data() const { return data_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void swap(Memory& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }

  Device* device_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

/// Runs copies and operations one after the other. Used by one thread at a time.
class Stream {
 public:
  virtual ~Stream() = default;
  virtual DeviceKind kind() const = 0;
  /// Device to device, host to device or device to host; both ranges stay valid until `synchronize()` returns.
  virtual void copy(void* target, const void* source, std::size_t bytes) = 0;
  /// Returns once everything that was put on the stream has happened.
  virtual void synchronize() = 0;
  /// Seconds spent inside operations since the stream was made: what is left of a step's time is overhead.
  virtual double busy_seconds() const = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual DeviceKind kind() const = 0;
  /// For people: "cpu, avx2, 2 threads".
  virtual std::string description() const = 0;
  /// At least 64-byte aligned and zeroed. `overloaded` if there is not enough memory.
  virtual Result<Memory> allocate(std::size_t bytes) = 0;
  virtual Stream& stream() = 0;
  /// For copies that need not wait for what the stream computes, nor it for them. On a CPU there is only one.
  virtual Stream& side_stream() { return stream(); }
  /// Host memory that copies to and from the device are fastest with; errors as `allocate`.
  virtual Result<Memory> allocate_host(std::size_t bytes) { return allocate(bytes); }
  /// For loading; `overloaded` if there is no memory for its buffers.
  virtual Result<std::unique_ptr<WeightWriter>> weight_writer() = 0;
  /// What can still be allocated; nothing where that is not for the device to say: a CPU's memory is everybody's.
  virtual std::optional<std::size_t> free_bytes() const { return std::nullopt; }

 private:
  friend class Memory;
  virtual void release(void* data, std::size_t bytes) noexcept = 0;
};

inline Memory::~Memory() {
  if (device_ != nullptr) device_->release(data_, bytes_);
}

}  // namespace troupe::kernels
