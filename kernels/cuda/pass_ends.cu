#include "kernels/cuda/pass_ends.hpp"

#include <algorithm>

#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/ptx.cuh"

namespace troupe::kernels::cuda {

namespace {

constexpr int threads = 256;
constexpr int begin_blocks_max = 32;

__device__ std::uint64_t nanoseconds_now() {
  std::uint64_t now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  return now;
}

__global__ void __launch_bounds__(threads) take_description(const PassBegin p) {
  let_next_begin();
  const std::size_t thread = blockIdx.x * std::size_t{threads} + threadIdx.x;
  const std::size_t stride = gridDim.x * std::size_t{threads};
  const auto* const from = reinterpret_cast<const uint4*>(p.from);
  auto* const to = reinterpret_cast<uint4*>(p.to);
  for (std::size_t i = thread; i < p.bytes / sizeof(uint4); i += stride) to[i] = __ldcv(from + i);
  const auto each = static_cast<std::size_t>(p.blocks_each);
  for (std::size_t i = thread; i < static_cast<std::size_t>(p.sequences) * each; i += stride)
    p.blocks[i / each * static_cast<std::size_t>(p.blocks_stride) + i % each] = __ldcv(p.all_blocks + i);
  wait_for_previous();
  if (thread == 0) p.report->begun = nanoseconds_now();
}

__global__ void __launch_bounds__(threads) give_results(const PassEnd p) {
  let_next_begin();
  wait_for_previous();
  static_assert(sizeof(SampledRow) % sizeof(std::uint32_t) == 0);
  const std::size_t words = static_cast<std::size_t>(p.rows) * (sizeof(SampledRow) / sizeof(std::uint32_t));
  const auto* const from = reinterpret_cast<const std::uint32_t*>(p.from);
  auto* const to = reinterpret_cast<std::uint32_t*>(p.to);
  for (std::size_t i = threadIdx.x; i < words; i += threads) to[i] = from[i];
  if (threadIdx.x == 0) p.report->ended = nanoseconds_now();
  __syncthreads();
  if (threadIdx.x == 0) {  // what the others have written before they came here is released, too
    asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(&p.report->ended_count), "r"(p.count) : "memory");
  }
}

}  // namespace

cudaError_t begin_pass(cudaStream_t stream, const PassBegin& arguments) {
  const std::size_t pieces = arguments.bytes / sizeof(uint4) +
                             static_cast<std::size_t>(arguments.sequences) * static_cast<std::size_t>(arguments.blocks_each);
  const std::size_t blocks = std::clamp<std::size_t>(pieces / threads, 1, begin_blocks_max);
  return launch(stream, {dim3(static_cast<unsigned>(blocks)), threads}, take_description, arguments);
}

cudaError_t end_pass(cudaStream_t stream, const PassEnd& arguments) {
  return launch(stream, {dim3(1), threads}, give_results, arguments);
}

}  // namespace troupe::kernels::cuda
