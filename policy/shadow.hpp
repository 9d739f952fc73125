// How a turn is answered once more: under which policy, from what, when there is room for it, and how the two answers compare.
// Decisions only; actors/shadow_actor.hpp does it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "policy/cluster_view.hpp"
#include "policy/routing.hpp"
#include "policy/shadow_record.hpp"

namespace troupe::policy {

/// An experiment, and the policy that answers instead.
struct ShadowArm {
  ShadowExperiment experiment;
  RoutingPolicy policy;
};

/// `own`: the policy that the experiment stands in; `other`: what is in the file that it names, if it names one. Errors:
/// `invalid_argument` if that has experiments of its own, since shadows have no shadows.
Result<ShadowArm> make_arm(const RoutingPolicy& own, const ShadowExperiment& experiment,
                           const std::optional<RoutingPolicy>& other);

/// What the client's answer was made from. The shadow reads the same.
struct ShadowInput {
  Turn turn;           ///< that has ended, without token ids and emissions
  ContextParts parts;  ///< with all passages that were found
  std::vector<Passage> passages;
  bool could_cite = false;  ///< of Hearing
};

/// The turn without what only its own attempts need.
Turn without_tokens(Turn turn);

/// Who answers the shadow. Every tier is taken for served (`is_served` looks). The turn has an attempt.
Result<RouteDecision> shadow_route(const ShadowArm& arm, const Turn& turn);

/// What a node may spend on shadows.
struct ShadowLimits {
  std::size_t running_max = 2;
  std::size_t waiting_max = 32;
  std::int64_t wait_max_ms = 30'000;  ///< then a waiting one is dropped
  std::int64_t time_max_ms = 60'000;  ///< then a running one has failed
};

/// Whether a shadow may begin that asks `tier` first: not while a client's question waits for that tier on every replica of it.
/// An absent tier is no reason to wait.
bool has_room(const std::vector<NodeView>& nodes, Tier tier);
bool is_served(const std::vector<NodeView>& nodes, Tier tier);

/// What a turn that has ended, a client's or a shadow, came to.
ShadowAnswer answer_of(const Turn& turn);
/// Both ended, and committed.
ShadowRecord compare(const std::string& experiment, const Turn& client, const Turn& shadow);
/// The shadow came to nothing. `shadow`: as far as it came; null if it was not begun.
ShadowRecord not_compared(const std::string& experiment, const Turn& client, const Turn* shadow, ShadowFate fate,
                          const std::string& why);

}  // namespace troupe::policy
