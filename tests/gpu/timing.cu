#include "tests/gpu/timing.hpp"

#include <algorithm>
#include <cstdint>

namespace troupe::kernels::cuda {

namespace {

constexpr int warm_ups = 2;
constexpr int runs = 9;

class Event {
 public:
  Event() { check_cuda(cudaEventCreate(&event_)); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { cudaEventDestroy(event_); }
  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

__device__ std::uint32_t mixed(const uint4& four) { return four.x ^ four.y ^ four.z ^ four.w; }

/// The sink keeps the compiler from leaving out the loads.
__global__ void __launch_bounds__(512) read_once(const uint4* data, std::size_t count, std::uint32_t* sink) {
  const std::size_t stride = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  std::uint32_t mix = 0;
  std::size_t i = blockIdx.x * static_cast<std::size_t>(blockDim.x) + threadIdx.x;
  for (; i + 3 * stride < count; i += 4 * stride) {
    const uint4 a = __ldcs(data + i);
    const uint4 b = __ldcs(data + i + stride);
    const uint4 c = __ldcs(data + i + 2 * stride);
    const uint4 d = __ldcs(data + i + 3 * stride);
    mix ^= mixed(a) ^ mixed(b) ^ mixed(c) ^ mixed(d);
  }
  for (; i < count; i += stride) mix ^= mixed(__ldcs(data + i));
  if (mix == 0x12345) *sink = mix;
}

/// What compresses badly.
__global__ void fill_words(std::uint32_t* data, std::size_t count) {
  const std::size_t stride = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = blockIdx.x * static_cast<std::size_t>(blockDim.x) + threadIdx.x; i < count; i += stride)
    data[i] = static_cast<std::uint32_t>(i * 2654435761U) ^ static_cast<std::uint32_t>(i >> 7U);
}

}  // namespace

Graph::Graph(const Stream& stream, const std::function<void(cudaStream_t)>& work) {
  check_cuda(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeRelaxed));
  try {
    work(stream.get());
  } catch (...) {
    cudaStreamEndCapture(stream.get(), &graph_);
    cudaGraphDestroy(graph_);
    throw;
  }
  check_cuda(cudaStreamEndCapture(stream.get(), &graph_));
  check_cuda(cudaGraphInstantiate(&executable_, graph_, 0));
}

Graph::~Graph() {
  cudaGraphExecDestroy(executable_);
  cudaGraphDestroy(graph_);
}

double median_seconds(const Stream& stream, const std::function<void()>& begin) {
  const Event before;
  const Event after;
  std::vector<double> seconds;
  for (int run = 0; run < warm_ups + runs; ++run) {
    check_cuda(cudaEventRecord(before.get(), stream.get()));
    begin();
    check_cuda(cudaEventRecord(after.get(), stream.get()));
    check_cuda(cudaEventSynchronize(after.get()));
    float milliseconds = 0;
    check_cuda(cudaEventElapsedTime(&milliseconds, before.get(), after.get()));
    if (run >= warm_ups) seconds.push_back(static_cast<double>(milliseconds) / 1e3);
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[runs / 2];
}

double read_ceiling() {
  constexpr std::size_t bytes = std::size_t{4} << 30U;
  const DeviceArray<uint4> data(bytes / sizeof(uint4));
  const DeviceArray<std::uint32_t> sink(1);
  const Stream stream;
  fill_words<<<2048, 256>>>(reinterpret_cast<std::uint32_t*>(data.data()), bytes / 4);
  check_cuda(cudaDeviceSynchronize());
  int processors = 0;
  check_cuda(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0));
  double best = 0;
  for (const int blocks_each : {2, 4, 8, 16}) {
    const double seconds = median_seconds(stream, [&] {
      read_once<<<static_cast<unsigned>(processors * blocks_each), 512, 0, stream.get()>>>(data.data(), data.count(),
                                                                                           sink.data());
      check_cuda(cudaGetLastError());
    });
    best = std::max(best, static_cast<double>(bytes) / seconds);
  }
  return best;
}

}  // namespace troupe::kernels::cuda
