#include "gateway/event_stream.hpp"

#include <algorithm>
#include <utility>

namespace troupe::gateway {

/// What the front says in its threads, on its way to the stream. Whoever ends without a last word (an actor that failed) has
/// said that by it.
class EventStream::Told {
 public:
  Told(std::shared_ptr<TaskInbox> inbox, std::weak_ptr<EventStream> stream)
      : inbox_(std::move(inbox)), stream_(std::move(stream)) {}
  ~Told() {
    if (!ended_) pass_on(Error{ErrorCode::unavailable, "the node has lost the reading; follow the turn again"});
  }
  Told(const Told&) = delete;
  Told& operator=(const Told&) = delete;
  void pass_on(Result<std::vector<policy::TurnEvent>> events) {
    ended_ = !events || (!events->empty() && events->back().last());
    inbox_->post([weak = stream_, batch = std::make_shared<Result<std::vector<policy::TurnEvent>>>(std::move(events))] {
      if (const auto stream = weak.lock()) stream->take(std::move(*batch));
    });
  }

 private:
  std::shared_ptr<TaskInbox> inbox_;
  std::weak_ptr<EventStream> stream_;
  bool ended_ = false;
};

kj::Promise<void> EventStream::run(FrontBridge& bridge, const actors::Following& following) {
  const auto told = std::make_shared<Told>(bridge.inbox(), weak_from_this());
  reader_ = bridge.front().follow(following, credit,
                                  [told](Result<std::vector<policy::TurnEvent>> events) { told->pass_on(std::move(events)); });
  return pump();
}

void EventStream::take(Result<std::vector<policy::TurnEvent>> events) {
  if (events) {
    queue_.insert(queue_.end(), std::make_move_iterator(events->begin()), std::make_move_iterator(events->end()));
  } else {
    error_ = std::move(events).error();
  }
  KJ_IF_MAYBE (waiter, waiter_) {
    auto wake = kj::mv(*waiter);
    waiter_ = nullptr;
    wake->fulfill();
  }
}

kj::Promise<void> EventStream::pump() {
  if (!queue_.empty()) {
    return send().then([this]() -> kj::Promise<void> {
      if (ended_ || unacknowledged_ >= schemas::ClientLimits::events) return acknowledge();
      return pump();
    });
  }
  if (error_) return kj::READY_NOW;
  auto wake = kj::newPromiseAndFulfiller<void>();
  waiter_ = kj::mv(wake.fulfiller);
  return wake.promise.then([this] { return pump(); });
}

kj::Promise<void> EventStream::send() {
  const std::size_t room = schemas::ClientLimits::events - unacknowledged_;
  const auto count = static_cast<unsigned>(std::min(room, queue_.size()));
  auto request = client_.eventsRequest();
  auto events = request.initEvents(count);
  for (unsigned i = 0; i < count; ++i) {
    const policy::TurnEvent& event = queue_.front();
    schemas::write(events[i], event);
    last_number_ = event.number;
    ended_ = event.last();
    queue_.pop_front();
  }
  sent_ += count;
  unacknowledged_ += count;
  return request.send();
}

kj::Promise<void> EventStream::acknowledge() {
  auto request = client_.acknowledgeRequest();
  request.setNumber(last_number_);
  return request.send().then([this](auto&&) -> kj::Promise<void> {
    if (ended_) return kj::READY_NOW;
    reader_->more(std::exchange(unacknowledged_, 0));
    return pump();
  });
}

}  // namespace troupe::gateway
