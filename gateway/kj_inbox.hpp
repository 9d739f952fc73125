// The way from any thread into a KJ event loop. Many posts make one wake-up: the loop takes everything that has come at once.
#pragma once

#include <kj/async.h>

#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace troupe::gateway {

/// Messages must be plain values: one that comes too late is destroyed in the thread that posted it.
template <class Message>
class KjInbox {
 public:
  /// From any thread; never waits for the loop. After `close` the message is dropped.
  void post(Message message) {
    std::optional<Waker> waker;
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return;
      messages_.push_back(std::move(message));
      waker = std::exchange(waker_, std::nullopt);
    }
    if (waker) (*waker)->fulfill();  // outside of the lock: it may have to wait for the loop's own
  }

  /// In the loop's thread, once: calls `handle(message)` for each message in the order of the posts, until the promise is
  /// dropped. The inbox must outlive the promise.
  template <class Handle>
  kj::Promise<void> run(Handle handle) {
    std::vector<Message> batch;
    auto wake = kj::newPromiseAndCrossThreadFulfiller<void>();
    {
      const std::lock_guard lock(mutex_);
      batch.swap(messages_);
      if (batch.empty()) waker_ = kj::mv(wake.fulfiller);
    }
    if (batch.empty())
      return wake.promise.then([this, handle = std::move(handle)]() mutable { return run(std::move(handle)); });
    for (Message& message : batch) handle(std::move(message));
    // Sockets have their turn between batches, so that a busy poster cannot starve them.
    return kj::evalLast([this, handle = std::move(handle)]() mutable { return run(std::move(handle)); });
  }

  /// In the loop's thread, before the loop ends.
  void close() {
    std::vector<Message> dropped;
    const std::lock_guard lock(mutex_);
    closed_ = true;
    waker_.reset();
    dropped.swap(messages_);
  }

 private:
  using Waker = kj::Own<kj::CrossThreadPromiseFulfiller<void>>;

  std::mutex mutex_;
  std::vector<Message> messages_;
  std::optional<Waker> waker_;  // armed while the loop waits
  bool closed_ = false;
};

}  // namespace troupe::gateway
