// Time as something that is passed in, so that tests and the simulation decide what time it is.
#pragma once

#include <chrono>
#include <cstdint>

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

/// What calendars show: milliseconds since 1970. For what must outlive a process; it may jump.
class WallClock {
 public:
  virtual ~WallClock() = default;
  virtual std::int64_t now_ms() const = 0;
};

class SystemWallClock final : public WallClock {
 public:
  std::int64_t now_ms() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  }
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
