#include "tests/gpu/handovers.hpp"

#include "kernels/cuda/ptx.cuh"
#include "tests/gpu/device_array.hpp"

namespace troupe::kernels::cuda {

namespace {

constexpr int rounds = 50;
constexpr int senders = 4;  // warps; as many receive
constexpr int elements = senders * 32;

struct Shared {
  alignas(16) std::int32_t data[2][elements];
  Barrier filled[2];
  Barrier emptied[2];
  std::int32_t filled_count;
  std::int32_t emptied_count;
};

__device__ int lane() { return static_cast<int>(threadIdx.x) % 32; }
__device__ std::uint32_t parity(int round) { return static_cast<std::uint32_t>(round / 2) & 1; }
/// What an element is in a round.
__device__ std::int32_t value_of(int round, int element) { return round * elements + element; }

__device__ void check(const Shared& shared, int place, int round, int* wrong) {
  const int element = elements - 1 - static_cast<int>(threadIdx.x) % elements;  // of another warp
  if (shared.data[place][element] != value_of(round, element)) atomicAdd(wrong, 1);
}

/// All threads write, all threads meet, all threads read.
struct ByBlockBarrier {
  static constexpr bool is_alone = true;
  static constexpr int arrivals = 1;
  static __device__ void both(Shared& shared, int round, int* wrong) {
    if (threadIdx.x < elements) shared.data[0][threadIdx.x] = value_of(round, static_cast<int>(threadIdx.x));
    __syncthreads();
    check(shared, 0, round, wrong);
    __syncthreads();
  }
};

/// The same, and nobody waits: what a tool must find.
struct ByNothing {
  static constexpr bool is_alone = true;
  static constexpr int arrivals = 1;
  static __device__ void both(Shared& shared, int round, int* wrong) {
    if (threadIdx.x < elements) shared.data[0][threadIdx.x] = value_of(round, static_cast<int>(threadIdx.x));
    check(shared, 0, round, wrong);
  }
};

/// One warp writes and raises a count with a release; others wait for it with acquires, and say by another count that they have
/// read. As decode_step's ring does for who has claimed a stage, and its scales.
struct ByCount {
  static constexpr bool is_alone = false;
  static constexpr int arrivals = 1;
  static __device__ void send(Shared& shared, int round, const std::int32_t* /*source*/) {
    if (threadIdx.x >= 32) return;
    await_count(&shared.emptied_count, round * senders);
    for (int i = lane(); i < elements; i += 32) shared.data[0][i] = value_of(round, i);
    __syncwarp();
    if (lane() == 0) store_release(&shared.filled_count, round + 1);
  }
  static __device__ void receive(Shared& shared, int round, int* wrong) {
    await_count(&shared.filled_count, round + 1);
    check(shared, 0, round, wrong);
    __syncwarp();
    __threadfence_block();
    if (lane() == 0) atomicAdd(&shared.emptied_count, 1);
  }
};

/// A warp's threads write, and one of them arrives at a barrier for all of them. As the experts' sums are handed over
/// (moe_few).
struct ByOneOfAWarp {
  static constexpr bool is_alone = false;
  static constexpr int arrivals = senders;
  static __device__ void send(Shared& shared, int round, const std::int32_t* /*source*/) {
    const int place = round % 2;
    shared.emptied[place].wait(parity(round) ^ 1);  // at once, for the first two
    shared.data[place][threadIdx.x] = value_of(round, static_cast<int>(threadIdx.x));
    __syncwarp();
    if (lane() == 0) shared.filled[place].arrive();
  }
  static __device__ void receive(Shared& shared, int round, int* wrong) {
    const int place = round % 2;
    shared.filled[place].wait(parity(round));
    check(shared, place, round, wrong);
    __syncwarp();
    if (lane() == 0) shared.emptied[place].arrive();
  }
};

/// One thread announces a warp's bytes at a barrier, each of the warp's threads copies some of them there; another warp arrives
/// too. As keys and values come into decode_step's ring.
struct ByCopiesOfAWarp {
  static constexpr bool is_alone = false;
  static constexpr int arrivals = 2;
  static __device__ void send(Shared& shared, int round, const std::int32_t* source) {
    const int place = round % 2;
    if (threadIdx.x >= 64) return;
    shared.emptied[place].wait(parity(round) ^ 1);
    if (threadIdx.x == 32) shared.filled[place].arrive();
    if (threadIdx.x >= 32) return;
    if (lane() == 0) shared.filled[place].arrive_expecting(elements * sizeof(std::int32_t));
    __syncwarp();
    copy_bulk(&shared.data[place][lane() * 4], source + round * elements + lane() * 4, 16, shared.filled[place]);
  }
  static __device__ void receive(Shared& shared, int round, int* wrong) { ByOneOfAWarp::receive(shared, round, wrong); }
};

template <class HandOver>
__global__ void hand_over(const std::int32_t* source, int* wrong) {
  __shared__ Shared shared;
  if (threadIdx.x == 0) {
    for (int place = 0; place < 2; ++place) {
      shared.filled[place].init(HandOver::arrivals);
      shared.emptied[place].init(senders);
    }
    shared.filled_count = 0;
    shared.emptied_count = 0;
    fence_barrier_init();
  }
  __syncthreads();
  for (int round = 0; round < rounds; ++round) {
    if constexpr (HandOver::is_alone) {
      HandOver::both(shared, round, wrong);
    } else if (threadIdx.x < elements) {
      HandOver::send(shared, round, source);
    } else {
      HandOver::receive(shared, round, wrong);
    }
  }
}

template <class HandOver>
int run() {
  std::vector<std::int32_t> values(static_cast<std::size_t>(rounds * elements));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int32_t>(i);
  DeviceArray<std::int32_t> source(values.size());
  source.write(values);
  DeviceArray<int> wrong(1);
  wrong.write({0});
  hand_over<HandOver><<<1, 2 * elements>>>(source.data(), wrong.data());
  check_cuda(cudaDeviceSynchronize());
  return wrong.read().front();
}

}  // namespace

const std::vector<NamedHandOver>& hand_overs() {
  static const std::vector<NamedHandOver> all{
      {"nothing", true, &run<ByNothing>},
      {"block-barrier", false, &run<ByBlockBarrier>},
      {"count", false, &run<ByCount>},
      {"one-of-a-warp", false, &run<ByOneOfAWarp>},
      {"copies-of-a-warp", false, &run<ByCopiesOfAWarp>},
  };
  return all;
}

}  // namespace troupe::kernels::cuda
