#include "kernels/open_device.hpp"

#include <utility>

#ifdef TROUPE_CUDA
#include "kernels/cuda/device.hpp"
#endif

namespace troupe::kernels {

namespace {

#ifdef TROUPE_CUDA
Result<std::unique_ptr<Device>> open_gpu(std::int32_t ordinal) {
  TROUPE_TRY(auto device, cuda::CudaDevice::create(ordinal));
  return std::unique_ptr<Device>(std::move(device));
}
#else
Result<std::unique_ptr<Device>> open_gpu(std::int32_t /*ordinal*/) {
  return Error{ErrorCode::unsupported, "this build has no kernels for GPUs: CUDA 13's compiler was not there when it was made"};
}
#endif

}  // namespace

bool built_with_cuda() {
#ifdef TROUPE_CUDA
  return true;
#else
  return false;
#endif
}

Result<OpenedDevice> open_device(const DeviceOptions& options) {
  OpenedDevice opened;
  if (options.wish != DeviceWish::cpu) {
    auto gpu = open_gpu(options.gpu);
    if (gpu) {
      opened.device = *std::move(gpu);
      return opened;
    }
    if (options.wish == DeviceWish::cuda) return Error(std::move(gpu).error());
    if (gpu.error().code != ErrorCode::unavailable && built_with_cuda()) opened.why = gpu.error().message;
  }
  TROUPE_TRY(opened.device, CpuDevice::create(options.cpu));
  return opened;
}

}  // namespace troupe::kernels
