// The way of weights from the host to the GPU: through a few page-locked buffers, each filled by several threads while the one
// before is on its way, and from there to where the GPU's kernels want them.
#pragma once

#include <array>
#include <memory>

#include "kernels/cuda/device.hpp"
#include "kernels/thread_pool.hpp"
#include "kernels/weight_writer.hpp"

namespace troupe::kernels::cuda {

/// Owns its buffers, and waits for what is on its way when it ends.
class CudaWeightWriter final : public WeightWriter {
 public:
  static Result<std::unique_ptr<WeightWriter>> create(CudaDevice& device);
  ~CudaWeightWriter() override;
  CudaWeightWriter(const CudaWeightWriter&) = delete;
  CudaWeightWriter& operator=(const CudaWeightWriter&) = delete;

  void pack_rows(const PackRows& arguments) override;
  void fill_random(const FillRandom& arguments) override;
  void copy(void* target, const void* source, std::size_t bytes) override;
  void finish() override { device_.stream().synchronize(); }

 private:
  static constexpr std::size_t buffer_bytes = std::size_t{32} << 20;
  static constexpr int buffers = 3;

  struct Buffer {
    Memory host;  ///< page-locked
    Memory device;
    Event used;
  };

  explicit CudaWeightWriter(CudaDevice& device);
  /// A buffer that is no longer on its way, filled.
  Buffer& fill(const void* source, std::size_t bytes);

  CudaDevice& device_;
  ThreadPool threads_;
  std::array<Buffer, buffers> buffers_;
  std::size_t next_ = 0;
};

}  // namespace troupe::kernels::cuda
