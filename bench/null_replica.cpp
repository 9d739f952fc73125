#include "bench/null_replica.hpp"

#include <algorithm>
#include <utility>

namespace troupe::bench {

NullReplica::NullReplica(policy::Tier tier) {
  view_.tier = tier;
  view_.model_name = "null";
  view_.model = {"null", "null"};
  view_.context_max = 1 << 20;
  thread_ = std::thread([this] { run(); });
}

NullReplica::~NullReplica() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

policy::ReplicaView NullReplica::view() const {
  const std::scoped_lock lock(mutex_);
  policy::ReplicaView view = view_;
  view.running = static_cast<std::int32_t>(sequences_.size());
  return view;
}

Result<schemas::EnginePrepared> NullReplica::prepare(const schemas::EnginePrepare& request) const {
  schemas::EnginePrepared prepared;
  prepared.prompt.assign(request.parts.question.size() + 1, 1);
  prepared.model = view_.model;
  prepared.context_max = view_.context_max;
  return prepared;
}

void NullReplica::start(std::uint64_t number, const schemas::EngineRequest& request, const std::vector<policy::Emission>& known,
                        Duration /*time_left*/, OnEmission on_emission, OnEnd on_end) {
  std::size_t begun = 0;
  for (const policy::Emission& emission : known) begun += emission.ids.size();
  {
    const std::scoped_lock lock(mutex_);
    sequences_[number] = {static_cast<std::int32_t>(begun), request.tokens_max, {}, std::move(on_emission), std::move(on_end)};
  }
  changed_.notify_all();
}

void NullReplica::cancel(std::uint64_t number) {
  const std::scoped_lock lock(mutex_);
  sequences_.erase(number);
}

void NullReplica::set_step(Duration step) {
  const std::scoped_lock lock(mutex_);
  step_ = step;
}

TimePoint NullReplica::step(TimePoint now) {
  TimePoint next = TimePoint::max();
  for (auto entry = sequences_.begin(); entry != sequences_.end();) {
    Sequence& sequence = entry->second;
    if (sequence.due <= now) {
      sequence.on_emission({sequence.next, {sequence.next}, {0.0F}, " tok"});
      ++sequence.next;
      sequence.due = now + step_;
    }
    if (sequence.next == sequence.tokens_max) {
      actors::SequenceEnd end;
      end.result.finish_reason = "length";
      end.result.confidence = 1;
      end.result.generated_tokens = sequence.next;
      sequence.on_end(std::move(end));
      entry = sequences_.erase(entry);
    } else {
      next = std::min(next, sequence.due);
      ++entry;
    }
  }
  return next;
}

void NullReplica::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (sequences_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const TimePoint now = std::chrono::steady_clock::now();
    const TimePoint next = step(now);
    if (next > now && next != TimePoint::max()) {
      changed_.wait_until(lock, next);
    } else {
      lock.unlock();  // others come and go between two steps
      lock.lock();
    }
  }
}

}  // namespace troupe::bench
