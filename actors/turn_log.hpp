// The events of one turn and who reads them. Plain code: it says what can be sent to whom, and the conversation sends it. The
// events are kept once, however many read them and however slowly.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/clock.hpp"
#include "policy/turn.hpp"
#include "schemas/cluster_messages.hpp"

namespace troupe::actors {

class TurnLog {
 public:
  static constexpr std::size_t readers_max = 256;
  static constexpr std::size_t events_at_once_max = 256;

  explicit TurnLog(policy::TurnId turn) : turn_(turn) {}

  /// Numbers ascend; an event that is there already is ignored.
  void append(policy::TurnEvent event);
  void append(std::vector<policy::TurnEvent> events);
  const policy::TurnId& turn() const { return turn_; }
  const std::vector<policy::TurnEvent>& events() const { return events_; }
  bool complete() const { return !events_.empty() && events_.back().last(); }

  /// What a reader wants from now on: `credit` events from number `from` on. Those of them that it was sent are on their way,
  /// and count, unless it says that they were lost (`again`). False if there are too many readers.
  bool more(const schemas::ReaderId& reader, std::uint64_t from, std::uint32_t credit, bool again, TimePoint now);
  void leave(const schemas::ReaderId& reader) { readers_.erase(reader); }
  /// Forgets readers that have not been heard of since.
  void leave_silent(TimePoint since);
  bool read() const { return !readers_.empty(); }
  std::vector<schemas::ReaderId> readers() const;

  struct Delivery {
    policy::NodeId node;
    schemas::ReaderEvents events;
  };
  /// All that readers may have now and have not been sent. A reader of a complete log that was sent the last event is
  /// forgotten.
  std::vector<Delivery> take_deliveries();

 private:
  struct Reader {
    std::uint64_t next = 0;
    std::uint32_t credit = 0;
    TimePoint heard{};
  };
  std::vector<policy::TurnEvent>::const_iterator find(std::uint64_t number) const;

  policy::TurnId turn_;
  std::vector<policy::TurnEvent> events_;
  std::map<schemas::ReaderId, Reader> readers_;
};

}  // namespace troupe::actors
