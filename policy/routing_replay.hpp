// What another policy would have done with a turn that is recorded: its route, and how far up the ladder it would have gone by
// what the record says of each tier's answer. What nobody asked of a tier then, nobody knows now.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "policy/routing.hpp"

namespace troupe::policy {

struct RouteTrace {
  enum class End : std::uint8_t {
    confident,  ///< with an answer that the policy takes for good
    unsure,     ///< with one that is marked, or replaced by a quote
    failed,
    unknown,  ///< at a tier whose answer the record does not have, or only the beginning of, or that still runs
  };
  std::string rule;         ///< or `out_of_scope_rule`; empty: the policy refuses the question
  std::vector<Tier> tiers;  ///< that were asked, in order; at `unknown` the last is the one that is not recorded
  End end = End::unknown;
  double cost = 0;  ///< of the attempts that are recorded, by the policy's prices
  std::string why;  ///< of the route, or of the refusal
  friend bool operator==(const RouteTrace&, const RouteTrace&) = default;
};
std::string_view to_string(RouteTrace::End end);

/// The question as the router saw it; every tier is taken for served. None if the turn has no attempt.
std::optional<RouteFacts> facts_of(const Turn& turn);

/// What happened, in the same words.
RouteTrace recorded_trace(const Turn& turn);

/// What `policy` would have done. Tokens are taken to be the same whatever the policy samples, so that greedy answers are
/// foretold exactly, and sampled ones as they were drawn then.
RouteTrace replay(const RoutingPolicy& policy, const Turn& turn);

}  // namespace troupe::policy
