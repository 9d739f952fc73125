// A thread that runs pieces of work in the order of their times: how an in-process fabric gets time of its own where nothing
// else (a simulation, a test) drives it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/clock.hpp"

namespace troupe::cluster {

/// Has `work` run later, at the earliest `after` from now, and never inside of the call. May be called from any thread, also
/// from work that is running. Work of the same time runs in the order that it was given in, one piece at a time.
using Schedule = std::function<void(Duration after, std::function<void()> work)>;

class WorkThread {
 public:
  WorkThread();
  ~WorkThread() { stop(); }
  WorkThread(const WorkThread&) = delete;
  WorkThread& operator=(const WorkThread&) = delete;

  /// Waits for the work that is running; the rest, and what comes later, is dropped.
  void stop();
  void run(Duration after, std::function<void()> work);

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> work_;  ///< bounded by those who give it
  std::uint64_t given_ = 0;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace troupe::cluster
