#include "kernels/thread_pool.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <limits>
#include <set>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace troupe::kernels {
namespace {

TEST(ThreadPool, RunsEveryItemExactlyOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int items : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<std::size_t>(items));
      pool.run(items, [&](int item) { ++runs[static_cast<std::size_t>(item)]; });
      for (const auto& count : runs) ASSERT_EQ(count, 1);
    }
  }
}

TEST(ThreadPool, ReturnsOnlyWhenAllItemsAreDone) {
  ThreadPool pool(3);
  std::vector<int> results(64);
  for (int round = 1; round <= 20000; ++round) {  // plain ints: what the items wrote must be visible here
    const int items = round % 64 + 1;
    pool.run(items, [&](int item) { results[static_cast<std::size_t>(item)] = round; });
    for (int item = 0; item < items; ++item) ASSERT_EQ(results[static_cast<std::size_t>(item)], round) << "item " << item;
  }
}

TEST(ThreadPool, AllThreadsTakePart) {
  constexpr int threads = 4;
  ThreadPool pool(threads);
  std::atomic<int> arrived{0};
  // Each item waits for all the others, so they only ever end if four threads run them.
  pool.run(threads, [&](int) {
    ++arrived;
    while (arrived < threads) std::this_thread::yield();
  });
  EXPECT_EQ(arrived, threads);
}

TEST(ThreadPool, WakesThreadsThatHaveGoneToSleep) {
  ThreadPool pool(2);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::atomic<int> arrived{0};
    pool.run(2, [&](int) {
      ++arrived;
      while (arrived < 2) std::this_thread::yield();
    });
    ASSERT_EQ(arrived, 2);
  }
}

TEST(ThreadPool, ServesOneCallerAfterAnother) {
  ThreadPool pool(2);
  std::atomic<int> runs{0};
  for (int caller = 0; caller < 5; ++caller) {
    std::thread([&] { pool.run(100, [&](int) { ++runs; }); }).join();
  }
  EXPECT_EQ(runs, 500);
}

TEST(ThreadPool, AnIdlePoolUsesNoProcessor) {
  ThreadPool pool(4);
  pool.run(100, [](int) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // far longer than workers spin
  timespec before{};
  timespec after{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  const double used =
      static_cast<double>(after.tv_sec - before.tv_sec) + 1e-9 * static_cast<double>(after.tv_nsec - before.tv_nsec);
  EXPECT_LT(used, 0.1);  // one spinning worker would use 0.2 s, three 0.6 s
}

#if defined(__x86_64__)
TEST(ThreadPool, ComputesWithDenormalsAndRoundingToNearestWhateverTheCallerHadSet) {
  ThreadPool pool(2);
  _mm_setcsr(_mm_getcsr() | 0x8040U | 0x6000U);  // flush to zero, denormals are zero, round toward zero
  std::atomic<int> arrived{0};
  std::vector<float> halves(2);
  std::vector<float> sums(2);
  pool.run(2, [&](int item) {
    ++arrived;
    while (arrived < 2) std::this_thread::yield();
    volatile float smallest_normal = std::numeric_limits<float>::min();
    volatile float one = 1;
    volatile float three_quarters_of_a_unit = 0x1.8p-24F;
    halves[static_cast<std::size_t>(item)] = smallest_normal / 2;
    sums[static_cast<std::size_t>(item)] = one + three_quarters_of_a_unit;
  });
  for (const float half : halves) EXPECT_EQ(half, 0x1p-127F);
  for (const float sum : sums) EXPECT_EQ(sum, 1 + 0x1p-23F);
}
#endif

TEST(ThreadPoolDeathTest, RefusesALoopInsideALoop) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        ThreadPool pool(2);
        pool.run(2, [&](int) { pool.run(2, [](int) {}); });
      },
      "one loop at a time");
}

}  // namespace
}  // namespace troupe::kernels
