// One reader's stream of a turn's events, from Front to a client. Dropping it ends the reading.
#pragma once

#include <kj/async.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "gateway/front_bridge.hpp"
#include "schemas/client_codec.hpp"

namespace troupe::gateway {

/// Lives in the loop's thread. What is on its way to the client or waits here is at most `credit` events, whatever the client
/// does: Front is asked for more only when the client has acknowledged.
class EventStream : public std::enable_shared_from_this<EventStream> {
 public:
  static constexpr std::uint32_t credit = 2 * schemas::ClientLimits::events;

  explicit EventStream(schemas::client::EventReader::Client reader) : client_(kj::mv(reader)) {}

  /// Begins to read and sends until the turn has ended or there are no more events (`error`). The promise fails if the
  /// client's reader does. `this` must be owned by a shared_ptr that outlives the promise.
  kj::Promise<void> run(FrontBridge& bridge, const actors::Following& following);
  /// Events that were sent.
  std::uint64_t count() const { return sent_; }
  const std::optional<Error>& error() const { return error_; }

 private:
  class Told;
  void take(Result<std::vector<policy::TurnEvent>> events);
  kj::Promise<void> pump();
  kj::Promise<void> send();
  kj::Promise<void> acknowledge();

  schemas::client::EventReader::Client client_;
  std::unique_ptr<actors::Reader> reader_;
  std::deque<policy::TurnEvent> queue_;
  std::optional<Error> error_;
  kj::Maybe<kj::Own<kj::PromiseFulfiller<void>>> waiter_;
  std::uint64_t sent_ = 0;
  std::uint32_t unacknowledged_ = 0;
  std::uint64_t last_number_ = 0;
  bool ended_ = false;  // the turn's last event was sent
};

}  // namespace troupe::gateway
