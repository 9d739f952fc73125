#include "actors/delay_thread.hpp"

namespace troupe::actors {

DelayThread::DelayThread() : thread_([this] { run(); }) {}

DelayThread::~DelayThread() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void DelayThread::add(Duration after, std::function<void()> work) {
  {
    const std::scoped_lock lock(mutex_);
    waiting_.emplace(Due{clock_.now() + after, added_++}, std::move(work));
  }
  changed_.notify_all();
}

void DelayThread::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (waiting_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const TimePoint due = waiting_.begin()->first.first;
    if (const TimePoint now = clock_.now(); now < due) {
      changed_.wait_for(lock, due - now);
      continue;
    }
    const auto work = std::move(waiting_.extract(waiting_.begin()).mapped());
    lock.unlock();
    work();
    lock.lock();
  }
}

}  // namespace troupe::actors
