// How kernels of a step are launched: one may begin while the one before it ends (programmatic dependent launch; see
// wait_for_previous), alone or inside a graph.
#pragma once

#include <cstdint>

#include <cuda_runtime.h>

namespace troupe::kernels::cuda {

/// Multiprocessors of the current device; all of a machine's GPUs are taken to be of one kind.
inline int processors() {
  static const int count = [] {
    int device = 0;
    int value = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, device);
    return value;
  }();
  return count;
}

struct LaunchShape {
  dim3 blocks;
  int threads = 0;
  int shared_bytes = 0;
  int cluster = 1;  ///< blocks in x that run at the same time
};

template <class... Parameters, class... Arguments>
cudaError_t launch(cudaStream_t stream, const LaunchShape& shape, void (*kernel)(Parameters...),
                   const Arguments&... arguments) {
  if (shape.shared_bytes > 48 * 1024) {
    const cudaError_t raised = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                                    cudaFuncAttributeMaxDynamicSharedMemorySize, shape.shared_bytes);
    if (raised != cudaSuccess) return raised;
  }
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[0].val.programmaticStreamSerializationAllowed = 1;
  attributes[1].id = cudaLaunchAttributeClusterDimension;
  attributes[1].val.clusterDim.x = static_cast<unsigned>(shape.cluster);
  attributes[1].val.clusterDim.y = 1;
  attributes[1].val.clusterDim.z = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.blocks;
  config.blockDim = dim3(static_cast<unsigned>(shape.threads));
  config.dynamicSmemBytes = static_cast<std::size_t>(shape.shared_bytes);
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = shape.cluster > 1 ? 2 : 1;
  return cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
}

/// How many clusters of so many blocks can be there at the same time; 0 if it cannot be told.
template <class... Parameters>
int most_clusters(void (*kernel)(Parameters...), int threads, int shared_bytes, int cluster) {
  cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes);
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = static_cast<unsigned>(cluster);
  attribute.val.clusterDim.y = 1;
  attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>(cluster));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<std::size_t>(shared_bytes);
  config.attrs = &attribute;
  config.numAttrs = 1;
  int clusters = 0;
  return cudaOccupancyMaxActiveClusters(&clusters, kernel, &config) == cudaSuccess ? clusters : 0;
}

}  // namespace troupe::kernels::cuda
