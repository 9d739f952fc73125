// A thread on which work is done after a while: real time's counterpart of a simulation's schedule.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/clock.hpp"

namespace troupe::actors {

class DelayThread {
 public:
  DelayThread();
  /// What is not due yet is dropped.
  ~DelayThread();
  DelayThread(const DelayThread&) = delete;
  DelayThread& operator=(const DelayThread&) = delete;

  /// Any thread. Of works that are due at the same moment the first to be added comes first; each should be quick.
  void add(Duration after, std::function<void()> work);

 private:
  using Due = std::pair<TimePoint, std::uint64_t>;
  void run();

  SystemClock clock_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Due, std::function<void()>> waiting_;
  std::uint64_t added_ = 0;
  bool ending_ = false;
  std::thread thread_;  ///< last: it uses all others
};

}  // namespace troupe::actors
