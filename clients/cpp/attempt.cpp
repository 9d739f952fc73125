#include "clients/cpp/attempt.hpp"

#include <utility>

namespace troupe::clients {

kj::Maybe<kj::Promise<void>> Attempt::watch_caller() {
  auto left = kj::newPromiseAndCrossThreadFulfiller<void>();
  const std::lock_guard lock(mutex_);
  if (abandoned_) return nullptr;
  leave_ = kj::mv(left.fulfiller);
  return kj::mv(left.promise);
}

void Attempt::finish(std::optional<Error> problem) {
  std::optional<kj::Own<kj::CrossThreadPromiseFulfiller<void>>> unused;
  const std::lock_guard lock(mutex_);
  finished_ = true;
  problem_ = std::move(problem);
  unused.swap(leave_);
  changed_.notify_all();
}

bool Attempt::wait(Duration time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [&] { return finished_; });
}

void Attempt::abandon() {
  std::optional<kj::Own<kj::CrossThreadPromiseFulfiller<void>>> leave;
  {
    const std::lock_guard lock(mutex_);
    abandoned_ = true;
    leave.swap(leave_);
  }
  if (leave) (*leave)->fulfill();
}

}  // namespace troupe::clients
