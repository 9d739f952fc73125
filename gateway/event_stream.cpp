#include "gateway/event_stream.hpp"

#include <algorithm>
#include <utility>

namespace troupe::gateway {

kj::Promise<void> EventStream::run(FrontBridge& bridge, const actors::Following& following) {
  reader_ = bridge.front().follow(
      following, credit, [inbox = bridge.inbox(), weak = weak_from_this()](Result<std::vector<policy::TurnEvent>> events) {
        auto batch = std::make_shared<Result<std::vector<policy::TurnEvent>>>(std::move(events));
        inbox->post([weak, batch] {
          if (const auto stream = weak.lock()) stream->take(std::move(*batch));
        });
      });
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
