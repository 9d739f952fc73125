// A turn's events on their way from the loop's thread to the caller's. The node is told that events have arrived only when the
// caller has dealt with them, so a slow caller holds the node back and nothing piles up between.
#pragma once

#include <kj/async.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "policy/turn.hpp"
#include "schemas/client_codec.hpp"

namespace troupe::clients {

class Reading {
 public:
  // The loop's thread.

  /// False if there are more events than a node may send before they are acknowledged, or nobody reads any more.
  bool push(std::vector<policy::TurnEvent> events);
  /// Fulfilled when the caller has dealt with the event of that number.
  kj::Promise<void> when_consumed(std::uint64_t number);
  /// Grows with everything that arrives.
  std::uint64_t arrivals() const { return arrivals_; }

  // The caller's thread.

  /// What has come, after at most `time`; empty if nothing has.
  std::vector<policy::TurnEvent> take(Duration time);
  void consumed(std::uint64_t number);
  void close();

 private:
  static constexpr std::size_t events_max = 4 * schemas::ClientLimits::events;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<policy::TurnEvent> events_;
  std::size_t unconsumed_ = 0;
  std::optional<std::uint64_t> consumed_;  // the latest number
  bool closed_ = false;
  std::uint64_t arrivals_ = 0;  // of the loop's thread
  std::uint64_t awaited_ = 0;
  std::optional<kj::Own<kj::CrossThreadPromiseFulfiller<void>>> waiter_;
};

/// What the node calls.
schemas::client::EventReader::Client make_event_reader(std::shared_ptr<Reading> reading);

}  // namespace troupe::clients
