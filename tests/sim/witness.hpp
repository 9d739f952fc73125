// What all clients of a run were told, and what they may rely on: checked as they hear it, and once more when the run is over.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "policy/ask.hpp"
#include "policy/pins.hpp"
#include "policy/turn.hpp"
#include "tests/sim/cluster.hpp"

namespace troupe::sim {

/// A turn that somebody was told of.
struct KnownTurn {
  policy::Ask ask;
  std::string client;
  std::size_t question = 0;                           ///< place in the client's list
  std::map<std::uint64_t, policy::TurnEvent> events;  ///< that any reader has had, by number
  bool may_be_cancelled = false;                      ///< somebody did what cancels a turn
  std::uint32_t pins_min = 0;                         ///< the version of the pins that its client knew of when it asked
};

class Witness {
 public:
  explicit Witness(SimCluster& cluster) : cluster_(cluster) {}

  /// A client was told which turn its question is. The same key is the same turn, another key is another one.
  void accepted(const std::string& client, std::size_t question, const policy::Ask& ask, const policy::TurnId& turn);
  /// A client was told what is pinned after a change: the change is in it, on the disk, and nobody is told otherwise.
  void pinned(const policy::ConversationId& conversation, const policy::PinChange& change, const policy::Pins& pins);
  /// A client does what may end the turn as cancelled.
  void may_cancel(const policy::TurnId& turn) { turns_[turn].may_be_cancelled = true; }
  /// A reader was given an event. All readers are given the same under one number, and what it follows from is on the disk.
  void saw(const policy::TurnId& turn, const policy::TurnEvent& event);

  const std::map<policy::TurnId, KnownTurn>& turns() const { return turns_; }
  /// The newest pins that somebody was told of.
  const std::map<policy::ConversationId, policy::Pins>& pins() const { return pins_; }
  SimCluster& cluster() { return cluster_; }

 private:
  void check_durable(const policy::TurnId& turn, const policy::TurnEvent& event);

  SimCluster& cluster_;
  std::map<policy::TurnId, KnownTurn> turns_;
  std::map<std::pair<policy::ConversationId, std::string>, policy::TurnId> by_key_;
  std::map<policy::ConversationId, policy::Pins> pins_;
};

/// For a person.
std::string describe(const policy::TurnEvent& event);

}  // namespace troupe::sim
