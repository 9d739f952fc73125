#include "actors/faulty_replica.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <utility>

namespace troupe::actors {

/// Sequences that say nothing, and the count of all that came.
struct FaultyReplica::Stuck {
  std::atomic<std::uint64_t> came{0};
  mutable std::mutex mutex;
  std::map<std::uint64_t, OnEnd> waiting;
};

/// Hands on what a sequence says, each piece a while after the one before.
class FaultyReplica::Slow : public std::enable_shared_from_this<FaultyReplica::Slow> {
 public:
  Slow(Duration pace, std::shared_ptr<const Clock> clock, Delay delay, OnEmission on_emission, OnEnd on_end)
      : pace_(pace),
        clock_(std::move(clock)),
        delay_(std::move(delay)),
        on_emission_(std::move(on_emission)),
        on_end_(std::move(on_end)) {}

  void take(policy::Emission emission) {
    later([self = shared_from_this(), emission = std::move(emission)]() mutable { self->on_emission_(std::move(emission)); });
  }
  void take(SequenceEnd end) {
    later([self = shared_from_this(), end = std::move(end)]() mutable { self->on_end_(std::move(end)); });
  }

 private:
  void later(std::function<void()> work) {
    Duration wait{};
    {
      const std::scoped_lock lock(mutex_);
      const TimePoint now = clock_->now();
      last_ = std::max(last_, now) + pace_;
      wait = last_ - now;
    }
    delay_(wait, std::move(work));
  }

  Duration pace_;
  std::shared_ptr<const Clock> clock_;
  Delay delay_;
  OnEmission on_emission_;
  OnEnd on_end_;
  std::mutex mutex_;
  TimePoint last_{};
};

/// Puts something without form in the place of what a sequence says, and is sure of it. What is said is a function of the
/// request alone, so that a repeated attempt says the same. One of four, by the request's seed and prompt: letters in disorder,
/// one word over and over, bytes that are no text, nothing.
class FaultyReplica::Rubbish {
 public:
  explicit Rubbish(const schemas::EngineRequest& request) {
    std::uint64_t mixed = request.seed;
    for (const std::int32_t id : request.prompt) mixed = mixed * 31 + static_cast<std::uint64_t>(id);
    for (const policy::Message& message : request.messages) mixed = mixed * 31 + message.content.size();
    kind_ = mixed % 4;
  }

  policy::Emission instead_of(policy::Emission emission) const {
    std::fill(emission.log_probabilities.begin(), emission.log_probabilities.end(), 0.0F);
    switch (kind_) {
      case 0: emission.text = disordered(std::move(emission.text)); break;
      case 1: emission.text = emission.text.empty() ? std::string() : over_and_over(); break;
      case 2: emission.text = emission.text.empty() ? std::string() : std::string("\xef\xbf\xbd\xef\xbf\xbd"); break;
      default: emission.text.clear();
    }
    return emission;
  }

 private:
  static std::string over_and_over() {
    constexpr std::size_t times = 20;
    std::string text;
    for (std::size_t i = 0; i < times; ++i) text += "and so on ";
    return text;
  }
  /// Each letter becomes another; brackets and digits go, so that nothing is cited.
  static std::string disordered(std::string text) {
    for (char& c : text) {
      if (c >= 'a' && c <= 'z') c = static_cast<char>('a' + (c - 'a') * 7 % 26);
      if (c >= 'A' && c <= 'Z') c = static_cast<char>('A' + (c - 'A') * 11 % 26);
      if ((c >= '0' && c <= '9') || c == '[' || c == ']') c = '~';
    }
    return text;
  }

  std::uint64_t kind_ = 0;
};

FaultyReplica::FaultyReplica(std::shared_ptr<Replica> replica, policy::Fault fault, std::shared_ptr<const Clock> clock,
                             Delay delay)
    : replica_(std::move(replica)),
      fault_(fault),
      clock_(std::move(clock)),
      delay_(std::move(delay)),
      stuck_(std::make_shared<Stuck>()) {}

FaultyReplica::~FaultyReplica() = default;

policy::ReplicaView FaultyReplica::view() const {
  policy::ReplicaView view = replica_->view();
  view.fault = to_string(fault_);
  const std::scoped_lock lock(stuck_->mutex);
  view.running += static_cast<std::int32_t>(stuck_->waiting.size());
  return view;
}

Result<schemas::EnginePrepared> FaultyReplica::prepare(const schemas::EnginePrepare& request) const {
  return replica_->prepare(request);
}

bool FaultyReplica::begun() { return stuck_->came.fetch_add(1) >= fault_.after; }

void FaultyReplica::start(std::uint64_t number, const schemas::EngineRequest& request,
                          const std::vector<policy::Emission>& known, Duration time_left, OnEmission on_emission,
                          OnEnd on_end) {
  if (!begun()) return replica_->start(number, request, known, time_left, std::move(on_emission), std::move(on_end));
  switch (fault_.kind) {
    case policy::Fault::Kind::stuck: {
      const std::scoped_lock lock(stuck_->mutex);
      stuck_->waiting[number] = std::move(on_end);
      return;
    }
    case policy::Fault::Kind::dead: {
      SequenceEnd end;
      end.result.finish_reason = "failed";
      end.error = Error{ErrorCode::io, "the model is dead, on purpose (--fault " + std::string(to_string(view().tier)) + "=" +
                                           to_string(fault_) + ")"};
      // Not from inside of this call: whoever starts a sequence may not expect its end yet.
      return delay_(Duration::zero(), [on_end = std::move(on_end), end = std::move(end)] { on_end(end); });
    }
    case policy::Fault::Kind::slow: {
      auto slow = std::make_shared<Slow>(std::chrono::milliseconds(fault_.delay_ms), clock_, delay_, std::move(on_emission),
                                         std::move(on_end));
      return replica_->start(
          number, request, known, time_left, [slow](policy::Emission emission) { slow->take(std::move(emission)); },
          [slow](SequenceEnd end) { slow->take(std::move(end)); });
    }
    case policy::Fault::Kind::rubbish: {
      const Rubbish rubbish(request);
      return replica_->start(
          number, request, known, time_left,
          [rubbish, on_emission = std::move(on_emission)](policy::Emission emission) {
            on_emission(rubbish.instead_of(std::move(emission)));
          },
          [on_end = std::move(on_end)](SequenceEnd end) {
            if (!end.error) end.result.confidence = 1;
            on_end(std::move(end));
          });
    }
  }
}

void FaultyReplica::cancel(std::uint64_t number) {
  OnEnd on_end;
  {
    const std::scoped_lock lock(stuck_->mutex);
    const auto found = stuck_->waiting.find(number);
    if (found != stuck_->waiting.end()) on_end = std::move(stuck_->waiting.extract(found).mapped());
  }
  if (!on_end) return replica_->cancel(number);
  SequenceEnd end;
  end.result.finish_reason = "cancelled";
  end.error = Error{ErrorCode::cancelled, "the sequence was cancelled"};
  on_end(std::move(end));
}

}  // namespace troupe::actors
