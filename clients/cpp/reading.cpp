#include "clients/cpp/reading.hpp"

#include <kj/debug.h>

#include <utility>

namespace troupe::clients {

namespace {

class EventReaderServer final : public schemas::client::EventReader::Server {
 public:
  explicit EventReaderServer(std::shared_ptr<Reading> reading) : reading_(std::move(reading)) {}

  kj::Promise<void> events(EventsContext context) override {
    const auto list = context.getParams().getEvents();
    KJ_REQUIRE(list.size() <= schemas::ClientLimits::events, "too many events at once", list.size());
    std::vector<policy::TurnEvent> events;
    for (const auto each : list) {
      auto event = schemas::read_checked(each);
      // An event of a kind that this version does not know is nothing to it; the turn goes on.
      if (!event && event.error().code == ErrorCode::unsupported) continue;
      KJ_REQUIRE(event.has_value(), "an event is malformed", event.error().message.c_str());
      events.push_back(std::move(*event));
    }
    KJ_REQUIRE(reading_->push(std::move(events)), "the reader has left, or was sent more than it acknowledged");
    return kj::READY_NOW;
  }

  kj::Promise<void> acknowledge(AcknowledgeContext context) override {
    context.allowCancellation();
    return reading_->when_consumed(context.getParams().getNumber());
  }

 private:
  std::shared_ptr<Reading> reading_;
};

}  // namespace

bool Reading::push(std::vector<policy::TurnEvent> events) {
  ++arrivals_;
  const std::lock_guard lock(mutex_);
  if (closed_ || unconsumed_ + events.size() > events_max) return false;
  unconsumed_ += events.size();
  events_.insert(events_.end(), std::make_move_iterator(events.begin()), std::make_move_iterator(events.end()));
  changed_.notify_all();
  return true;
}

kj::Promise<void> Reading::when_consumed(std::uint64_t number) {
  ++arrivals_;
  auto wake = kj::newPromiseAndCrossThreadFulfiller<void>();
  {
    const std::lock_guard lock(mutex_);
    const bool nothing_left = unconsumed_ == 0 || (consumed_ && *consumed_ >= number);
    if (!nothing_left && !closed_) {
      awaited_ = number;
      waiter_ = kj::mv(wake.fulfiller);
      return kj::mv(wake.promise);
    }
  }
  return kj::READY_NOW;
}

std::vector<policy::TurnEvent> Reading::take(Duration time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [&] { return !events_.empty(); });
  return std::exchange(events_, {});
}

void Reading::consumed(std::uint64_t number) {
  std::optional<kj::Own<kj::CrossThreadPromiseFulfiller<void>>> waiter;
  {
    const std::lock_guard lock(mutex_);
    --unconsumed_;
    consumed_ = number;
    if (waiter_ && (number >= awaited_ || unconsumed_ == 0)) waiter.swap(waiter_);
  }
  if (waiter) (*waiter)->fulfill();
}

void Reading::close() {
  std::optional<kj::Own<kj::CrossThreadPromiseFulfiller<void>>> waiter;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    waiter.swap(waiter_);
  }
  if (waiter) (*waiter)->fulfill();
}

schemas::client::EventReader::Client make_event_reader(std::shared_ptr<Reading> reading) {
  return kj::heap<EventReaderServer>(std::move(reading));
}

}  // namespace troupe::clients
