// The CPU as a device: host memory, a pool of compute threads, and one instruction set for all operations.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "kernels/device.hpp"
#include "kernels/targets.hpp"
#include "kernels/thread_pool.hpp"

namespace troupe::kernels {

struct CpuOptions {
  /// Empty: the best that this processor has. One that it lacks is `unsupported`.
  std::optional<InstructionSet> instruction_set = {};
  /// Compute threads, the caller's included; 0: one per processor that this process may use.
  int threads = 0;
  /// Replaces the instruction set's operations. Only tests set it, to prove that they would notice a wrong kernel.
  const CpuOps* operations = nullptr;
};

/// The CPU's stream: an operation runs on the pool and has happened when its call returns.
class CpuStream final : public Stream {
 public:
  CpuStream(ThreadPool& pool, const CpuOps& operations) : pool_(pool), operations_(operations) {}

  DeviceKind kind() const override { return DeviceKind::cpu; }
  void copy(void* target, const void* source, std::size_t bytes) override;
  void synchronize() override {}
  double busy_seconds() const override { return busy_seconds_; }

  ThreadPool& pool() { return pool_; }
  const CpuOps& operations() const { return operations_; }

  /// Measures one operation; every launcher holds one while it runs.
  class Timing {
   public:
    explicit Timing(CpuStream& stream);
    ~Timing();
    Timing(const Timing&) = delete;
    Timing& operator=(const Timing&) = delete;

   private:
    CpuStream& stream_;
    std::int64_t start_;
  };

 private:
  ThreadPool& pool_;
  const CpuOps& operations_;
  double busy_seconds_ = 0;
};

class CpuDevice final : public Device {
 public:
  static Result<std::unique_ptr<CpuDevice>> create(const CpuOptions& options = {});

  DeviceKind kind() const override { return DeviceKind::cpu; }
  std::string description() const override;
  Result<Memory> allocate(std::size_t bytes) override;
  CpuStream& stream() override { return stream_; }
  Result<std::unique_ptr<WeightWriter>> weight_writer() override;
  InstructionSet instruction_set() const { return instruction_set_; }

 private:
  CpuDevice(InstructionSet instruction_set, int threads, const CpuOps& operations);
  void release(void* data, std::size_t bytes) noexcept override;

  InstructionSet instruction_set_;
  ThreadPool pool_;
  CpuStream stream_;
};

}  // namespace troupe::kernels
