#include "engine/engine_thread.hpp"

#include <utility>

namespace troupe::engine {

EngineThread::EngineThread(Engine& engine, const Clock& clock) : engine_(engine), clock_(clock) {
  engine_.on_wake([inbox = inbox_] {
    const std::scoped_lock lock(inbox->mutex);
    inbox->woken = true;
    inbox->changed.notify_one();
  });
  thread_ = std::thread([this] { run(); });
}

EngineThread::~EngineThread() {
  {
    const std::scoped_lock lock(inbox_->mutex);
    inbox_->stopping = true;
    inbox_->changed.notify_one();
  }
  thread_.join();
}

void EngineThread::post(std::function<void(Engine&)> work) {
  const std::scoped_lock lock(inbox_->mutex);
  inbox_->posted.push_back(std::move(work));
  inbox_->changed.notify_one();
}

Result<SequenceId> EngineThread::submit(GenerateRequest request, Listener& listener) {
  return call([&](Engine& engine) { return engine.submit(std::move(request), listener); });
}

void EngineThread::cancel(SequenceId sequence) {
  post([sequence](Engine& engine) { engine.cancel(sequence); });
}

bool EngineThread::wait(bool progressed) {
  const auto deadline = engine_.next_deadline();
  std::deque<std::function<void(Engine&)>> work;
  {
    std::unique_lock lock(inbox_->mutex);
    const auto due = [&] { return progressed || inbox_->woken || inbox_->stopping || !inbox_->posted.empty(); };
    if (deadline) {
      inbox_->changed.wait_for(lock, *deadline - clock_.now(), due);
    } else {
      inbox_->changed.wait(lock, due);
    }
    if (inbox_->stopping) return false;
    inbox_->woken = false;
    work.swap(inbox_->posted);
  }
  for (const auto& each : work) each(engine_);
  return true;
}

void EngineThread::run() {
  bool progressed = true;
  while (wait(progressed)) progressed = engine_.step().progressed;
}

}  // namespace troupe::engine
