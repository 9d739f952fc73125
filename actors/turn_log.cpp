#include "actors/turn_log.hpp"

#include <algorithm>
#include <utility>

namespace troupe::actors {

void TurnLog::append(policy::TurnEvent event) {
  if (events_.empty() || event.number > events_.back().number) events_.push_back(std::move(event));
}

void TurnLog::append(std::vector<policy::TurnEvent> events) {
  for (policy::TurnEvent& event : events) append(std::move(event));
}

std::vector<policy::TurnEvent>::const_iterator TurnLog::find(std::uint64_t number) const {
  return std::lower_bound(events_.begin(), events_.end(), number,
                          [](const policy::TurnEvent& event, std::uint64_t least) { return event.number < least; });
}

bool TurnLog::more(const schemas::ReaderId& id, std::uint64_t from, std::uint32_t credit, bool again, TimePoint now) {
  const auto known = readers_.find(id);
  if (known == readers_.end() && readers_.size() >= readers_max) return false;
  Reader reader{from, credit, now};
  if (known != readers_.end() && !again && known->second.next > from) {
    reader.next = known->second.next;
    const auto on_their_way = static_cast<std::uint64_t>(find(reader.next) - find(from));
    reader.credit = on_their_way < credit ? credit - static_cast<std::uint32_t>(on_their_way) : 0;
  }
  readers_[id] = reader;
  return true;
}

std::vector<schemas::ReaderId> TurnLog::readers() const {
  std::vector<schemas::ReaderId> all;
  for (const auto& [reader, state] : readers_) all.push_back(reader);
  return all;
}

void TurnLog::leave_silent(TimePoint since) {
  std::erase_if(readers_, [&](const auto& entry) { return entry.second.heard < since; });
}

std::vector<TurnLog::Delivery> TurnLog::take_deliveries() {
  std::vector<Delivery> deliveries;
  for (auto entry = readers_.begin(); entry != readers_.end();) {
    auto& [id, reader] = *entry;
    const auto first = find(reader.next);
    const auto size =
        std::min({static_cast<std::size_t>(events_.end() - first), std::size_t{reader.credit}, events_at_once_max});
    bool done = complete() && first == events_.end();  // it asks for what comes after the end: there is nothing
    if (size > 0) {
      Delivery delivery{id.node, {id.number, turn_, reader.next, {first, first + static_cast<std::ptrdiff_t>(size)}}};
      reader.next = delivery.events.events.back().number + 1;
      reader.credit -= static_cast<std::uint32_t>(size);
      done = delivery.events.events.back().last();
      deliveries.push_back(std::move(delivery));
    }
    entry = done ? readers_.erase(entry) : std::next(entry);
  }
  return deliveries;
}

}  // namespace troupe::actors
