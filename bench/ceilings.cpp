#include "bench/ceilings.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace troupe::bench {
namespace {

constexpr int repetitions = 3;
constexpr std::size_t read_item_bytes = std::size_t{1} << 20;
constexpr int arithmetic_items_per_thread = 32;
constexpr std::size_t streams = 4;
constexpr std::size_t read_ahead_bytes = 1024;
constexpr std::int64_t arithmetic_steps = 10000;  // some tens of microseconds an item

// Each reads its bytes, a multiple of 1024, and returns something that depends on all of them. Four streams side by side, each
// asked for a kilobyte ahead: hardware prefetchers alone reach two thirds of that.
using Read = std::uint64_t (*)(const std::byte* data, std::size_t bytes);
// Each runs so many steps and returns how many operations that was; the sum keeps the results alive.
using Arithmetic = std::int64_t (*)(std::int64_t steps, float& sum);

std::uint64_t read_plain(const std::byte* data, std::size_t bytes) {
  std::uint64_t lanes[8] = {};
  for (std::size_t offset = 0; offset < bytes / streams; offset += sizeof(lanes)) {
    for (std::size_t stream = 0; stream < streams; ++stream) {
      const std::byte* line = data + stream * (bytes / streams) + offset;
      __builtin_prefetch(line + read_ahead_bytes);
      std::uint64_t words[8];
      std::memcpy(words, line, sizeof(words));
      for (int i = 0; i < 8; ++i) lanes[i] ^= words[i];
    }
  }
  std::uint64_t result = 0;
  for (const std::uint64_t lane : lanes) result ^= lane;
  return result;
}

std::int64_t arithmetic_plain(std::int64_t steps, float& sum) {
  constexpr int chains = 32;
  float values[chains];
  for (int i = 0; i < chains; ++i) values[i] = static_cast<float>(i);
  for (std::int64_t step = 0; step < steps; ++step) {
    for (float& value : values) value = __builtin_fmaf(value, 0.5F, 1.0F);
  }
  for (const float value : values) sum += value;
  return steps * chains * 2;
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) std::uint64_t read_avx2(const std::byte* data, std::size_t bytes) {
  __m256i low = _mm256_setzero_si256();
  __m256i high = _mm256_setzero_si256();
  for (std::size_t offset = 0; offset < bytes / streams; offset += 64) {
#pragma GCC unroll 4
    for (std::size_t stream = 0; stream < streams; ++stream) {
      const std::byte* line = data + stream * (bytes / streams) + offset;
      __builtin_prefetch(line + read_ahead_bytes);
      low = _mm256_xor_si256(low, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(line)));
      high = _mm256_xor_si256(high, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(line + 32)));
    }
  }
  alignas(32) std::uint64_t words[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(words), _mm256_xor_si256(low, high));
  return words[0] ^ words[1] ^ words[2] ^ words[3];
}

__attribute__((target("avx2,fma"))) std::int64_t arithmetic_avx2(std::int64_t steps, float& sum) {
  constexpr int chains = 12;  // latency of four or five, two a cycle
  __m256 values[chains];
  for (int i = 0; i < chains; ++i) values[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 half = _mm256_set1_ps(0.5F);
  const __m256 one = _mm256_set1_ps(1);
  for (std::int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) values[i] = _mm256_fmadd_ps(values[i], half, one);
  }
  for (const __m256 value : values) sum += _mm256_cvtss_f32(value);
  return steps * chains * 8 * 2;
}

__attribute__((target("avx512f"))) std::uint64_t read_avx512(const std::byte* data, std::size_t bytes) {
  __m512i lanes[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (std::size_t offset = 0; offset < bytes / streams; offset += 64) {
#pragma GCC unroll 4
    for (std::size_t stream = 0; stream < streams; ++stream) {
      const std::byte* line = data + stream * (bytes / streams) + offset;
      __builtin_prefetch(line + read_ahead_bytes);
      lanes[stream % 2] = _mm512_xor_si512(lanes[stream % 2], _mm512_loadu_si512(line));
    }
  }
  alignas(64) std::uint64_t words[8];
  _mm512_store_si512(words, _mm512_xor_si512(lanes[0], lanes[1]));
  std::uint64_t result = 0;
  for (const std::uint64_t word : words) result ^= word;
  return result;
}

__attribute__((target("avx512f"))) std::int64_t arithmetic_avx512(std::int64_t steps, float& sum) {
  constexpr int chains = 12;
  __m512 values[chains];
  for (int i = 0; i < chains; ++i) values[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 half = _mm512_set1_ps(0.5F);
  const __m512 one = _mm512_set1_ps(1);
  for (std::int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) values[i] = _mm512_fmadd_ps(values[i], half, one);
  }
  for (const __m512 value : values) sum += _mm512_cvtss_f32(value);
  return steps * chains * 16 * 2;
}

#endif

Read read_of(kernels::InstructionSet set) {
#if defined(__x86_64__)
  if (set == kernels::InstructionSet::avx512) return read_avx512;
  if (set == kernels::InstructionSet::avx2) return read_avx2;
#endif
  static_cast<void>(set);
  return read_plain;
}

Arithmetic arithmetic_of(kernels::InstructionSet set) {
#if defined(__x86_64__)
  if (set == kernels::InstructionSet::avx512) return arithmetic_avx512;
  if (set == kernels::InstructionSet::avx2) return arithmetic_avx2;
#endif
  static_cast<void>(set);
  return arithmetic_plain;
}

/// Seconds of the fastest of a few runs.
template <class Body>
double best_seconds(const Body& body) {
  double best = 1e300;
  for (int i = 0; i < repetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    body();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace

Result<Ceilings> Ceilings::create(kernels::CpuDevice& device, std::size_t bytes) {
  const std::size_t whole = std::max<std::size_t>(1, bytes / read_item_bytes) * read_item_bytes;
  TROUPE_TRY(kernels::Memory memory, device.allocate(whole));
  std::memset(memory.data(), 1, whole);  // untouched pages all share one page of zeros
  return Ceilings(device, std::move(memory));
}

double Ceilings::measure_read() {
  const Read read = read_of(device_->instruction_set());
  const auto* data = memory_.as<const std::byte>();
  std::atomic<std::uint64_t> seen{0};
  const double seconds = best_seconds([&] {
    device_->stream().pool().run(static_cast<int>(memory_.bytes() / read_item_bytes), [&](int item) {
      seen.fetch_xor(read(data + static_cast<std::size_t>(item) * read_item_bytes, read_item_bytes), std::memory_order_relaxed);
    });
  });
  return static_cast<double>(memory_.bytes()) / seconds;
}

double Ceilings::measure_arithmetic() {
  const Arithmetic arithmetic = arithmetic_of(device_->instruction_set());
  kernels::ThreadPool& pool = device_->stream().pool();
  std::atomic<std::int64_t> operations{0};
  std::atomic<int> results{0};
  const double seconds = best_seconds([&] {
    operations = 0;
    pool.run(pool.threads() * arithmetic_items_per_thread, [&](int) {
      float sum = 0;
      operations.fetch_add(arithmetic(arithmetic_steps, sum), std::memory_order_relaxed);
      results.fetch_add(sum > 0 ? 1 : 0, std::memory_order_relaxed);
    });
  });
  return static_cast<double>(operations) / seconds;
}

}  // namespace troupe::bench
