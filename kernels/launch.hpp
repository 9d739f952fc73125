// What the launchers share: from a stream to its device's kind, and from rows to ranges for the pool's threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/check.hpp"
#include "kernels/cpu_device.hpp"

namespace troupe::kernels {

inline CpuStream& cpu_stream(Stream& stream) {
  TROUPE_CHECK(stream.kind() == DeviceKind::cpu, "an operation runs on a device that it is written for");
  return static_cast<CpuStream&>(stream);
}

/// Simple operations (an exponential is about four) below which waking a thread costs more than it saves: some microseconds.
inline constexpr std::int64_t range_work_min = 32768;

/// Calls body(Range) over [0, rows), in the calling thread alone if there is little work.
template <class Body>
void spread_rows(ThreadPool& pool, std::int32_t rows, std::int64_t work_per_row, const Body& body) {
  constexpr int ranges_per_thread = 4;  // ranges end at different times; small ones level that out
  const std::int64_t ranges =
      std::min({rows * work_per_row / range_work_min, std::int64_t{pool.threads()} * ranges_per_thread, std::int64_t{rows}});
  if (ranges <= 1 || pool.threads() == 1) {
    pool.run(1, [&](int) { body(Range{0, rows}); });
    return;
  }
  pool.run(static_cast<int>(ranges), [&](int range) {
    body(Range{static_cast<std::int32_t>(rows * range / ranges), static_cast<std::int32_t>(rows * (range + 1) / ranges)});
  });
}

}  // namespace troupe::kernels
