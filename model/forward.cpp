#include "model/forward.hpp"

#include "base/check.hpp"
#include "model/activations.hpp"
#include "model/cpu_forward.hpp"
#ifdef TROUPE_CUDA
#include "model/cuda_forward.hpp"
#endif

namespace troupe::model {

Result<std::vector<std::unique_ptr<ForwardPass>>> create_passes(const ModelConfig& config, const Weights& weights,
                                                                const RopeTable& rope, kernels::Device& device,
                                                                const ForwardLimits& limits, std::int32_t count) {
#ifdef TROUPE_CUDA
  if (device.kind() == kernels::DeviceKind::cuda) return create_cuda_passes(config, weights, rope, device, limits, count);
#endif
  TROUPE_CHECK(device.kind() == kernels::DeviceKind::cpu, "a build without CUDA makes no GPU a device");
  std::vector<std::unique_ptr<ForwardPass>> passes;
  for (std::int32_t i = 0; i < count; ++i) {
    TROUPE_TRY(auto pass, CpuForwardPass::create(config, weights, rope, device, limits));
    passes.push_back(std::move(pass));
  }
  return passes;
}

std::size_t passes_bytes(const ModelConfig& config, kernels::DeviceKind kind, const ForwardLimits& limits, std::int32_t count,
                         [[maybe_unused]] std::int32_t context) {
#ifdef TROUPE_CUDA
  if (kind == kernels::DeviceKind::cuda) return cuda_passes_bytes(config, limits, count, context);
#endif
  TROUPE_CHECK(kind == kernels::DeviceKind::cpu, "a build without CUDA makes no GPU a device");
  return static_cast<std::size_t>(count) * Activations::bytes(config, limits);
}

}  // namespace troupe::model
