// Follows a turn to its end over as many connections as it takes.
#pragma once

#include <cstdint>
#include <optional>

#include "clients/cpp/client.hpp"
#include "clients/cpp/link.hpp"

namespace troupe::clients {

struct FollowRequest {
  policy::TurnId turn;
  std::uint64_t from = 0;
  /// After it the turn is given up, whether or not a node answers; none: as long as one does.
  std::optional<TimePoint> deadline;
};

/// Calls `on_event` with each event once, in ascending order. If it throws, the reading ends and the exception goes on.
Result<Answer> follow_turn(Link& link, const FollowRequest& request, const OnEvent& on_event);

/// Cancels a turn, interrupted or not; tries for so long.
Result<void> cancel_turn(Link& link, const policy::TurnId& turn, Duration patience);

}  // namespace troupe::clients
