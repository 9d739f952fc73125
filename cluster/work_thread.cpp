#include "cluster/work_thread.hpp"

namespace troupe::cluster {

WorkThread::WorkThread() : thread_([this] { loop(); }) {}

void WorkThread::stop() {
  decltype(work_) dropped;  // what it holds ends outside of the lock
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
    dropped.swap(work_);
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void WorkThread::run(Duration after, std::function<void()> work) {
  const TimePoint now = SystemClock().now();
  const TimePoint at = after > TimePoint::max() - now ? TimePoint::max() : now + after;
  bool first = false;
  {
    const std::scoped_lock lock(mutex_);
    if (ending_) return;
    const auto place = work_.emplace(std::pair(at, given_++), std::move(work)).first;
    first = place == work_.begin();
  }
  if (first) changed_.notify_one();
}

void WorkThread::loop() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (work_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto first = work_.begin();
    if (const TimePoint at = first->first.first; at > SystemClock().now()) {
      changed_.wait_until(lock, at);
      continue;
    }
    auto work = std::move(first->second);
    work_.erase(first);
    lock.unlock();
    work();
    work = nullptr;  // what it holds ends outside of the lock
    lock.lock();
  }
}

}  // namespace troupe::cluster
