#include "tests/gpu/tensor_core_sums.hpp"

#include "kernels/cuda/mma.cuh"
#include "kernels/cuda/wgmma.cuh"
#include "tests/gpu/device_array.hpp"

namespace troupe::kernels::cuda {

namespace {

constexpr int step_depth = 16;
constexpr int left_rows = 64;
constexpr int threads = 128;

/// Copies `step_depth`-wide pieces of rows, from `first` on, into the tile that wgmma reads; the rest of the tile is not read.
__device__ void load_step(bf16* tile, const PlainRows& source, int rows, int first) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * step_depth; i += threads) {
    const int row = i / step_depth;
    const int input = i % step_depth;
    tile[swizzled(row, input)] = source.data[row * source.depth + first + input];
  }
}

template <int N>
__global__ void __launch_bounds__(threads) wgmma_sums(PlainRows left, PlainRows right, Start start, float* output) {
  extern __shared__ __align__(1024) std::byte shared[];
  bf16* const left_tile = reinterpret_cast<bf16*>(shared);
  bf16* const right_tile = left_tile + left_rows * panel_inputs;
  float sums[N / 2];
  for (float& sum : sums) sum = 0;
  for (int first = 0; first < left.depth; first += step_depth) {
    __syncthreads();
    load_step(left_tile, left, left_rows, first);
    load_step(right_tile, right, N, first);
    fence_proxy_async();
    __syncthreads();
    wgmma_fence();
    Wgmma<N>::step(sums, tile_descriptor(left_tile), tile_descriptor(right_tile), start == Start::zeros || first > 0);
    wgmma_commit();
    wgmma_wait<0>();
  }
  const int thread = static_cast<int>(threadIdx.x);
  const int row = thread / 32 * 16 + thread % 32 / 4;
  const int column = thread % 4 * 2;
  for (int j = 0; j < N / 8; ++j) {
    for (int i = 0; i < 4; ++i) output[(row + i / 2 * 8) * N + j * 8 + column + i % 2] = sums[4 * j + i];
  }
}

__device__ std::uint32_t pair_at(const PlainRows& rows, int row, int input) {
  return *reinterpret_cast<const std::uint32_t*>(rows.data + row * rows.depth + input);
}

/// A warp for each tile of 16 by 8.
__global__ void __launch_bounds__(32) mma_sums(PlainRows left, PlainRows right, float* output) {
  const int lane = static_cast<int>(threadIdx.x);
  const int row = static_cast<int>(blockIdx.x) * 16 + lane / 4;
  const int column = static_cast<int>(blockIdx.y) * 8;
  float sums[4] = {};
  for (int first = 0; first < left.depth; first += step_depth) {
    const int input = first + lane % 4 * 2;
    const std::uint32_t a[4] = {pair_at(left, row, input), pair_at(left, row + 8, input), pair_at(left, row, input + 8),
                                pair_at(left, row + 8, input + 8)};
    mma(sums, a, pair_at(right, column + lane / 4, input), pair_at(right, column + lane / 4, input + 8));
  }
  for (int i = 0; i < 4; ++i) output[(row + i / 2 * 8) * right.rows + column + lane % 4 * 2 + i % 2] = sums[i];
}

template <int N>
std::vector<float> run_wgmma(const PlainRows& left, const PlainRows& right, Start start) {
  constexpr int shared_bytes = (left_rows + N) * panel_inputs * 2;
  DeviceArray<float> output(static_cast<std::size_t>(left_rows) * N);
  output.fill_bytes(0xFF);
  wgmma_sums<N><<<1, threads, shared_bytes>>>(left, right, start, output.data());
  check_cuda(cudaGetLastError());
  return output.read();
}

}  // namespace

std::vector<float> sums_of_wgmma(int n, const PlainRows& left, const PlainRows& right, Start start) {
  if (left.rows != left_rows || right.rows < n || left.depth != right.depth || left.depth % step_depth != 0)
    throw std::runtime_error("these rows are no operands of wgmma");
  switch (n) {
    case 8: return run_wgmma<8>(left, right, start);
    case 16: return run_wgmma<16>(left, right, start);
    case 32: return run_wgmma<32>(left, right, start);
    case 64: return run_wgmma<64>(left, right, start);
    case 128: return run_wgmma<128>(left, right, start);
    case 192: return run_wgmma<192>(left, right, start);
    case 256: return run_wgmma<256>(left, right, start);
    default: throw std::runtime_error("wgmma.cuh has no instruction of this many columns");
  }
}

std::vector<float> sums_of_mma(const PlainRows& left, const PlainRows& right) {
  if (left.rows % 16 != 0 || right.rows % 8 != 0 || left.depth != right.depth || left.depth % step_depth != 0)
    throw std::runtime_error("these rows are no operands of mma.sync");
  DeviceArray<float> output(static_cast<std::size_t>(left.rows) * static_cast<std::size_t>(right.rows));
  output.fill_bytes(0xFF);
  mma_sums<<<dim3(static_cast<unsigned>(left.rows / 16), static_cast<unsigned>(right.rows / 8)), 32>>>(left, right,
                                                                                                       output.data());
  check_cuda(cudaGetLastError());
  return output.read();
}

}  // namespace troupe::kernels::cuda
