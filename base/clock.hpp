// Time as something that is passed in, so that tests and the simulation decide what time it is.
#pragma once

#include <chrono>

namespace troupe {

using Duration = std::chrono::nanoseconds;
/// A moment of one clock. Moments of different clocks, or of different processes, are not comparable.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
};

/// The machine's monotonic clock.
class SystemClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
};

/// A clock that stands still until it is told to move. Not synchronised.
class ManualClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  void advance(Duration by) { now_ += by; }

 private:
  TimePoint now_{};
};

}  // namespace troupe
