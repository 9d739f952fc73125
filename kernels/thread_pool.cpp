#include "kernels/thread_pool.hpp"

#include <atomic>
#include <cfenv>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/check.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace troupe::kernels {

void set_float_environment() {
#if defined(__x86_64__)
  _mm_setcsr(0x1F80);  // all exceptions masked, round to nearest, neither flush-to-zero nor denormals-are-zero
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" : : "r"(std::uint64_t{0}));
#else
  std::fesetenv(FE_DFL_ENV);
#endif
}

namespace {

constexpr auto spin_time = std::chrono::microseconds(50);
constexpr int pauses_between_clock_reads = 32;

void pause_briefly() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

/// Waits until `value` is no longer `old`: spinning first, then asleep.
void wait_while_equal(const std::atomic<int>& value, int old) {
  for (const auto deadline = std::chrono::steady_clock::now() + spin_time; std::chrono::steady_clock::now() < deadline;) {
    for (int i = 0; i < pauses_between_clock_reads; ++i) {
      if (value.load(std::memory_order_acquire) != old) return;
      pause_briefly();
    }
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

// A loop is described by plain fields that are written before its items can be claimed and stay until all of them are
// done. `claims` holds (number of the loop, items not yet claimed) in one word, so a worker that comes late claims an item of
// the loop that runs now or none at all, and nobody ever has to wait for a worker that is still asleep.
struct ThreadPool::State {
  explicit State(int threads) {
    workers.reserve(static_cast<std::size_t>(threads) - 1);
    try {
      for (int i = 1; i < threads; ++i) workers.emplace_back([this] { work(); });
    } catch (...) {
      stop();
      throw;
    }
  }
  ~State() { stop(); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  void stop() {
    stopping.store(true, std::memory_order_relaxed);
    wake();
    for (std::thread& worker : workers) worker.join();
    workers.clear();
  }

  void wake() {
    starts.fetch_add(1);
    starts.notify_all();
  }

  void work() {
    set_float_environment();
    for (int seen = 0;;) {
      wait_while_equal(starts, seen);
      seen = starts.load(std::memory_order_acquire);
      if (stopping.load(std::memory_order_relaxed)) return;
      take_part();
    }
  }

  /// How many items were left when one was claimed, that one included; 0 if there was none.
  std::uint32_t claim() {
    std::uint64_t now = claims.load(std::memory_order_acquire);
    while (static_cast<std::uint32_t>(now) != 0) {
      if (claims.compare_exchange_weak(now, now - 1, std::memory_order_acq_rel, std::memory_order_acquire)) break;
    }
    return static_cast<std::uint32_t>(now);
  }

  /// Runs items until none is left to claim. The loop cannot end before those that were run here are reported.
  void take_part() {
    int finished = 0;
    while (const std::uint32_t left = claim()) {
      call(context, items - static_cast<int>(left));
      ++finished;
    }
    if (finished > 0 && unfinished.fetch_sub(finished) == finished) unfinished.notify_one();
  }

  // Written by the thread that calls run(), between loops.
  void (*call)(const void*, int) = nullptr;
  const void* context = nullptr;
  int items = 0;
  std::uint64_t loop = 0;

  alignas(64) std::atomic<std::uint64_t> claims{0};
  alignas(64) std::atomic<int> unfinished{0};
  alignas(64) std::atomic<int> starts{0};
  std::atomic<bool> stopping{false};
  std::atomic<bool> running{false};
  std::vector<std::thread> workers;
};

ThreadPool::ThreadPool(int threads) {
  TROUPE_CHECK(threads >= 1, "a pool has at least the caller's thread");
  state_ = std::make_unique<State>(threads);
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::threads() const { return static_cast<int>(state_->workers.size()) + 1; }

void ThreadPool::run_erased(int items, void (*call)(const void*, int), const void* context) {
  State& state = *state_;
  TROUPE_CHECK(!state.running.exchange(true, std::memory_order_acquire), "one loop at a time, and none inside another");
  set_float_environment();
  if (items <= 1 || state.workers.empty()) {
    for (int item = 0; item < items; ++item) call(context, item);
  } else {
    state.call = call;
    state.context = context;
    state.items = items;
    state.unfinished.store(items, std::memory_order_relaxed);
    state.claims.store(++state.loop << 32 | static_cast<std::uint32_t>(items), std::memory_order_release);
    state.wake();
    state.take_part();
    for (int left = state.unfinished.load(std::memory_order_acquire); left != 0;
         left = state.unfinished.load(std::memory_order_acquire)) {
      wait_while_equal(state.unfinished, left);
    }
  }
  state.running.store(false, std::memory_order_release);
}

}  // namespace troupe::kernels
