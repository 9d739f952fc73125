// A thread that drives an engine, and the way into it from other threads.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/result.hpp"
#include "engine/engine.hpp"

namespace troupe::engine {

/// Owns the thread; stops it when it ends, whatever is still running. Listeners are called on the thread.
class EngineThread {
 public:
  /// `engine` and `clock` (the engine's) must outlive it and are used by nobody else meanwhile.
  EngineThread(Engine& engine, const Clock& clock);
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  /// Runs `work` on the thread between two steps, in the order of the calls. From any thread.
  void post(std::function<void(Engine&)> work);
  /// Runs `work` on the thread and returns what it returns. Not from the thread itself.
  template <class Work>
  auto call(Work work) {
    using Value = decltype(work(std::declval<Engine&>()));
    std::optional<Value> value;
    std::mutex mutex;
    std::condition_variable done;
    post([&](Engine& engine) {
      auto result = work(engine);
      const std::scoped_lock lock(mutex);
      value.emplace(std::move(result));
      done.notify_one();
    });
    std::unique_lock lock(mutex);
    done.wait(lock, [&] { return value.has_value(); });
    return *std::move(value);
  }

  Result<SequenceId> submit(GenerateRequest request, Listener& listener);
  void cancel(SequenceId sequence);

 private:
  /// Shared with the engine's wake function, which experts may call after this thread is gone.
  struct Inbox {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::function<void(Engine&)>> posted;
    bool woken = false;
    bool stopping = false;
  };

  void run();
  /// Waits until there is something to do, and does what was posted; false once it should stop.
  bool wait(bool progressed);

  Engine& engine_;
  const Clock& clock_;
  std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
  std::thread thread_;
};

}  // namespace troupe::engine
