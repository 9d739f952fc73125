#include "tests/gpu/noise.hpp"

#include "tests/gpu/device_array.hpp"

namespace troupe::kernels::cuda {

namespace {

/// Calls `put(index, number)` for each index below count.
template <class Put>
__global__ void fill(std::size_t count, std::uint32_t seed, float scale, Put put) {
  const std::size_t stride = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = blockIdx.x * static_cast<std::size_t>(blockDim.x) + threadIdx.x; i < count; i += stride)
    put(i, __float2bfloat16(noise(i, seed) * scale));
}

struct PutPlain {
  bf16* data;
  __device__ void operator()(std::size_t index, bf16 number) const { data[index] = number; }
};
struct PutTiles {
  WeightTiles weights;
  bf16* data;
  __device__ void operator()(std::size_t index, bf16 number) const {
    const auto inputs = static_cast<std::size_t>(weights.inputs);
    data[weights.offset(static_cast<int>(index / inputs), static_cast<int>(index % inputs))] = number;
  }
};
struct PutRows {
  RowTiles rows;
  __device__ void operator()(std::size_t index, bf16 number) const {
    const auto inputs = static_cast<std::size_t>(rows.inputs);
    rows.data[rows.offset(static_cast<int>(index / inputs), static_cast<int>(index % inputs))] = number;
  }
};

template <class Put>
void fill_all(std::size_t count, std::uint32_t seed, float scale, const Put& put) {
  fill<<<2048, 256>>>(count, seed, scale, put);
  check_cuda(cudaGetLastError());
  check_cuda(cudaDeviceSynchronize());
}

}  // namespace

void fill_noise(bf16* data, std::size_t count, std::uint32_t seed, float scale) {
  fill_all(count, seed, scale, PutPlain{data});
}

void fill_noise(const WeightTiles& weights, bf16* data, std::uint32_t seed, float scale) {
  fill_all(static_cast<std::size_t>(weights.outputs) * static_cast<std::size_t>(weights.inputs), seed, scale,
           PutTiles{weights, data});
}

void fill_noise(const RowTiles& rows_of_tiles, int rows, std::uint32_t seed, float scale) {
  fill_all(static_cast<std::size_t>(rows) * static_cast<std::size_t>(rows_of_tiles.inputs), seed, scale,
           PutRows{rows_of_tiles});
}

}  // namespace troupe::kernels::cuda
