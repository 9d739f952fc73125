// Hopper's instructions that C++ has no words for: barriers in shared memory, bulk copies, launches that overlap.
#pragma once

#include <cstdint>

namespace troupe::kernels::cuda {

__device__ __forceinline__ std::uint32_t shared_address(const void* pointer) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(pointer));
}

/// The thread's number in its block, read anew: what is computed from it is computed where it is wanted, and does not take
/// registers from all that a long loop does beside.
__device__ __forceinline__ unsigned thread_read_anew() {
  unsigned thread;
  asm volatile("mov.u32 %0, %%tid.x;" : "=r"(thread));
  return thread;
}

/// Which of its block's warps a warp is. The compiler then knows that its lanes take the same ways, which saves it what brings
/// lanes together and has them take turns: some 50 cycles in each turn of a loop.
__device__ __forceinline__ int warp_of_block() { return __shfl_sync(0xFFFFFFFF, static_cast<int>(threadIdx.x / 32), 0); }

/// Counts arrivals and bytes; a phase ends when both are complete (mbarrier). In shared memory.
class Barrier {
 public:
  __device__ void init(std::uint32_t arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(address()), "r"(arrivals) : "memory");
  }
  __device__ __forceinline__ void arrive() {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(address()) : "memory");
  }
  /// Arrives, and has the phase wait for so many bytes more.
  __device__ __forceinline__ void arrive_expecting(std::uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address()), "r"(bytes) : "memory");
  }
  /// Whether the phase of this parity has ended.
  __device__ __forceinline__ bool has_ended(std::uint32_t parity) {
    std::uint32_t ended;
    asm volatile("{\n.reg .pred p;\nmbarrier.test_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
                 : "=r"(ended)
                 : "r"(address()), "r"(parity)
                 : "memory");
    return ended != 0;
  }
  /// The same, after so many waits that the hardware ends by itself after a while.
  __device__ __forceinline__ bool ends_within(std::uint32_t parity, int waits) {
    std::uint32_t ended;
    asm volatile(
        "{\n.reg .pred p;\n.reg .pred q;\n.reg .s32 left;\nmov.s32 left, %3;\nagain:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "@p bra done;\nsub.s32 left, left, 1;\nsetp.gt.s32 q, left, 0;\n@q bra again;\ndone:\nselp.u32 %0, 1, 0, p;\n}"
        : "=r"(ended)
        : "r"(address()), "r"(parity), "r"(waits)
        : "memory");
    return ended != 0;
  }
  /// Returns once the phase of this parity has ended.
  __device__ __forceinline__ void wait(std::uint32_t parity) {
    asm volatile(
        "{\n.reg .pred p;\nagain:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n"
        "@p bra done;\nbra again;\ndone:\n}" ::"r"(address()),
        "r"(parity)
        : "memory");
  }

  /// Has the phase wait for the thread's copies (copy_async) that are on their way, beside all that it waits for anyway.
  __device__ __forceinline__ void await_copies() {
    asm volatile("cp.async.mbarrier.arrive.shared::cta.b64 [%0];" ::"r"(address()) : "memory");
  }

 private:
  __device__ __forceinline__ std::uint32_t address() const { return shared_address(this); }
  std::uint64_t state_;
};

/// From a shared_address, 16-byte aligned.
__device__ __forceinline__ float4 load_shared(std::uint32_t address) {
  float4 value;
  asm volatile("ld.shared.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(value.x), "=f"(value.y), "=f"(value.z), "=f"(value.w)
               : "r"(address)
               : "memory");
  return value;
}

// A count in shared memory that one thread of the block raises, and others look at: unlike a barrier's parity it does not
// matter to them how far it has got since.

__device__ __forceinline__ void store_release(std::int32_t* target, std::int32_t value) {
  asm volatile("st.release.cta.shared::cta.s32 [%0], %1;" ::"r"(shared_address(target)), "r"(value) : "memory");
}
__device__ __forceinline__ std::int32_t load_acquire_shared(const std::int32_t* source) {
  std::int32_t value;
  asm volatile("ld.acquire.cta.shared::cta.s32 %0, [%1];" : "=r"(value) : "r"(shared_address(source)) : "memory");
  return value;
}
/// Returns once the count has reached a value. By all lanes of a warp. `Pause` nanoseconds, or about as many, between looks.
template <int Pause = 20>
__device__ __forceinline__ void await_count(const std::int32_t* count, std::int32_t value) {
  while (load_acquire_shared(count) < value) {
    if constexpr (Pause > 0) __nanosleep(Pause);
  }
}

/// True in one thread of a warp, always the same one. A warp together. Unlike a comparison of the thread's number it tells the
/// compiler that what follows is one thread's, which needs no loop over threads around each copy.
__device__ __forceinline__ bool is_elected() {
  std::uint32_t elected;
  asm volatile("{\n.reg .pred p;\nelect.sync _|p, 0xFFFFFFFF;\nselp.u32 %0, 1, 0, p;\n}" : "=r"(elected));
  return elected != 0;
}

/// Makes initialised barriers visible to the copy engine.
__device__ __forceinline__ void fence_barrier_init() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
/// Between ordinary writes to shared memory and the copy engine or the tensor cores that read them.
__device__ __forceinline__ void fence_proxy_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/// The same for memory of any kind, after other blocks have written it.
__device__ __forceinline__ void fence_proxy_async_all() { asm volatile("fence.proxy.async;" ::: "memory"); }

/// Copies a multiple of 16 bytes from global to shared memory, both 16-byte aligned, and counts them at the barrier.
__device__ __forceinline__ void copy_bulk(void* target, const void* source, std::uint32_t bytes, Barrier& barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(shared_address(target)),
      "l"(source), "r"(bytes), "r"(shared_address(&barrier))
      : "memory");
}
/// The same for what is read once: it shall not push other things out of the L2 cache. `target` is a shared_address.
__device__ __forceinline__ void copy_bulk_once(std::uint32_t target, const void* source, std::uint32_t bytes,
                                               Barrier& barrier) {
  std::uint64_t policy;
  asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(
          target),
      "l"(source), "r"(bytes), "r"(shared_address(&barrier)), "l"(policy)
      : "memory");
}
__device__ __forceinline__ void copy_bulk_once(void* target, const void* source, std::uint32_t bytes, Barrier& barrier) {
  copy_bulk_once(shared_address(target), source, bytes, barrier);
}
/// Brings a multiple of 16 bytes of global memory, 16-byte aligned, into the L2 cache.
__device__ __forceinline__ void prefetch_bulk(const void* source, std::uint32_t bytes) {
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(source), "r"(bytes) : "memory");
}

/// Copies a multiple of 16 bytes from shared to global memory, both 16-byte aligned.
__device__ __forceinline__ void write_bulk(void* target, const void* source, std::uint32_t bytes) {
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(target), "r"(shared_address(source)),
               "r"(bytes)
               : "memory");
}
/// What the thread has written with write_bulk since the last time is a group.
__device__ __forceinline__ void end_writes() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }
/// Returns once the shared memory of all of the thread's groups is read.
__device__ __forceinline__ void wait_for_writes_read() { asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory"); }

/// A warp stores four 8 x 8 tiles of bf16 in shared memory, transposed: lane i holds of each the elements 2 (i % 4) and the
/// next of row i / 4, and says where column i % 8 of tile i / 8 goes (16 bytes, aligned).
__device__ __forceinline__ void store_transposed(void* target, std::uint32_t first, std::uint32_t second, std::uint32_t third,
                                                 std::uint32_t fourth) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(target)),
               "r"(first), "r"(second), "r"(third), "r"(fourth)
               : "memory");
}

/// Stores 8 bytes in global memory at once, where the compiler might make two stores of them.
__device__ __forceinline__ void store_together(void* target, std::uint32_t first, std::uint32_t second) {
  asm volatile("st.global.v2.b32 [%0], {%1, %2};" ::"l"(target), "r"(first), "r"(second) : "memory");
}
/// Loads what nobody writes while the kernel runs, here and not where the compiler sees its first use.
__device__ __forceinline__ float load_at_once(const float* source) {
  float value;
  asm volatile("ld.global.nc.f32 %0, [%1];" : "=f"(value) : "l"(source));
  return value;
}
/// Copies 16 bytes from global to shared memory, both 16-byte aligned; they are there once wait_for_copies says so to the
/// thread that copied.
__device__ __forceinline__ void copy_async(void* target, const void* source) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(target)), "l"(source) : "memory");
}
/// The same where `there`, and 16 bytes of zeros otherwise; the source is one in either case, but not read then.
__device__ __forceinline__ void copy_async_or_zeros(void* target, const void* source, bool there) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(target)), "l"(source), "r"(there ? 16 : 0)
               : "memory");
}
/// What the thread has copied since the last time is a group.
__device__ __forceinline__ void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Returns once of the thread's groups at most so many, the last ones, are on their way.
template <int Groups>
__device__ __forceinline__ void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Groups) : "memory");
}

// Counters in global memory, by which blocks tell each other that something is written.

__device__ __forceinline__ void add_release(std::int32_t* counter, std::int32_t value) {
  asm volatile("red.release.gpu.global.add.s32 [%0], %1;" ::"l"(counter), "r"(value) : "memory");
}
/// Returns what the counter was. Whoever brings it to its end has seen what all others had written.
__device__ __forceinline__ std::int32_t add_acquire_release(std::int32_t* counter, std::int32_t value) {
  std::int32_t before;
  asm volatile("atom.acq_rel.gpu.global.add.s32 %0, [%1], %2;" : "=r"(before) : "l"(counter), "r"(value) : "memory");
  return before;
}
__device__ __forceinline__ std::int32_t load_acquire(const std::int32_t* counter) {
  std::int32_t now;
  asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(now) : "l"(counter) : "memory");
  return now;
}
/// What others should have written and is not there after so many looks (seconds) is a bug; it ends the program instead of
/// hanging it.
inline constexpr int looks_max = 1 << 23;
__device__ __forceinline__ void trap() { asm volatile("trap;"); }
/// Returns once the counter has reached a value.
__device__ __forceinline__ void wait_until(const std::int32_t* counter, std::int32_t value) {
  for (int looks = 0; looks < looks_max; ++looks) {
    if (load_acquire(counter) >= value) return;
  }
  trap();
}

// Clusters: blocks that run at the same time and reach each other's shared memory.

__device__ __forceinline__ void cluster_sync() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}
/// In two steps: what a thread did before it arrived is seen by those who have waited. Threads that have ended count as
/// arrived.
__device__ __forceinline__ void cluster_arrive() { asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory"); }
__device__ __forceinline__ void cluster_wait() { asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory"); }
__device__ __forceinline__ std::uint32_t cluster_rank() {
  std::uint32_t rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
/// Where another block of the cluster has what this one has at `pointer` in its shared memory.
template <class Type>
__device__ __forceinline__ Type* in_block(Type* pointer, std::uint32_t block) {
  std::uint64_t address;
  asm("mapa.u64 %0, %1, %2;" : "=l"(address) : "l"(pointer), "r"(block));
  return reinterpret_cast<Type*>(address);
}
/// Arrives at the barrier that another block of the cluster has in this one's place.
__device__ __forceinline__ void arrive_in(Barrier& barrier, std::uint32_t block) {
  asm volatile(
      "{\n.reg .b32 remote;\nmapa.shared::cluster.u32 remote, %0, %1;\n"
      "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote];\n}" ::"r"(shared_address(&barrier)),
      "r"(block)
      : "memory");
}
/// The same of a shared_address; computed here, not where it is used.
__device__ __forceinline__ std::uint32_t address_in_block(std::uint32_t own, std::uint32_t block) {
  std::uint32_t address;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(own), "r"(block));
  return address;
}
/// Stores four numbers in the shared memory of a block of the cluster, and counts their 16 bytes at its barrier; both as
/// address_in_block says.
__device__ __forceinline__ void store_async(std::uint32_t target, std::uint32_t barrier, float4 value) {
  asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(target),
               "f"(value.x), "f"(value.y), "f"(value.z), "f"(value.w), "r"(barrier)
               : "memory");
}
/// The same at `target` and its barrier where another block has what this one has there.
__device__ __forceinline__ void store_async(float4* target, Barrier& barrier, std::uint32_t block, float4 value) {
  store_async(address_in_block(shared_address(target), block), address_in_block(shared_address(&barrier), block), value);
}
/// Registers that each thread of the warpgroup may use from here on.
template <int Registers>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}
template <int Registers>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}

/// Programmatic dependent launch: what the kernel before this one in the stream wrote is visible after `wait_for_previous`;
/// the one after this one may begin once every block has called `let_next_begin`, or has ended.
__device__ __forceinline__ void wait_for_previous() { asm volatile("griddepcontrol.wait;" ::: "memory"); }
__device__ __forceinline__ void let_next_begin() { asm volatile("griddepcontrol.launch_dependents;" ::: "memory"); }

}  // namespace troupe::kernels::cuda
