// A Hopper GPU as a device: its memory, a stream, and staging through page-locked host memory.
//
// An error of the GPU cannot be mended from inside the process: after most of them (a wild access, an uncorrectable error of
// its memory) every later call fails too, and what its memory holds is lost. So `device_failed` says what happened and ends the
// process; whoever supervises it starts it again, and its turns are taken up as after any other death.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "kernels/device.hpp"

struct CUstream_st;
struct CUevent_st;

namespace troupe::kernels::cuda {

/// Exit status of a process whose GPU has failed.
inline constexpr int device_failed_status = 70;

/// Ends the process if `status`, a cudaError_t, is not success. `what` was being done: "launching a pass".
void check_device(int status, const char* what);

/// Why this GPU is none that this build can compute on, or nothing; errors are check_gpu's (kernels/usable_gpu.hpp).
Result<void> find_gpu(int ordinal = 0);

class CudaStream final : public Stream {
 public:
  CudaStream();
  ~CudaStream() override;
  CudaStream(const CudaStream&) = delete;
  CudaStream& operator=(const CudaStream&) = delete;

  DeviceKind kind() const override { return DeviceKind::cuda; }
  void copy(void* target, const void* source, std::size_t bytes) override;
  void synchronize() override;
  /// Whether all that it was given to do is done.
  bool is_idle() const;
  double busy_seconds() const override { return busy_seconds_; }

  CUstream_st* handle() const { return stream_; }
  /// What a pass has measured of itself.
  void add_busy_seconds(double seconds) { busy_seconds_ += seconds; }

 private:
  CUstream_st* stream_ = nullptr;
  double busy_seconds_ = 0;
};

/// Marks a place in a stream. Owns the mark.
class Event {
 public:
  Event();
  Event(Event&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  Event& operator=(Event&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event();

  void record(const CudaStream& stream);
  /// Returns once everything before the mark has happened; at once if it was never recorded.
  void wait() const;

 private:
  CUevent_st* event_ = nullptr;
};

class CudaDevice final : public Device {
 public:
  /// Errors are find_gpu's.
  static Result<std::unique_ptr<CudaDevice>> create(int ordinal = 0);
  ~CudaDevice() override;

  DeviceKind kind() const override { return DeviceKind::cuda; }
  std::string description() const override { return description_; }
  /// `overloaded` says how much there is.
  Result<Memory> allocate(std::size_t bytes) override;
  CudaStream& stream() override { return stream_; }
  CudaStream& side_stream() override { return side_stream_; }
  /// Page-locked.
  Result<Memory> allocate_host(std::size_t bytes) override;
  Result<std::unique_ptr<WeightWriter>> weight_writer() override;
  std::optional<std::size_t> free_bytes() const override;
  /// Makes it the calling thread's GPU, which every thread that launches kernels does first.
  void use() const;

 private:
  CudaDevice(int ordinal, std::string description);
  void release(void* data, std::size_t bytes) noexcept override;

  int ordinal_;
  std::string description_;
  CudaStream stream_;
  CudaStream side_stream_;
};

/// The stream of a device of kind cuda.
CudaStream& cuda_stream(Stream& stream);

}  // namespace troupe::kernels::cuda
