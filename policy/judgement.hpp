// What an attempt that has ended is worth, what follows on it, and how a turn ends with it: for whoever has attempts made, a
// conversation for its client or a shadow (shadow.hpp). So both are held to the same checks.
#pragma once

#include <span>
#include <string>

#include "policy/routing.hpp"

namespace troupe::policy {

/// The route that an attempt was made under, from its rung on.
RouteDecision route_of(const AttemptPlan& plan);

/// What the plan of an attempt by `plan.tier` takes from its route: sampling, what it must reach, what may follow. `asked`: how
/// the client wants it sampled.
void follow_route(const RouteDecision& route, const Sampling& asked, AttemptPlan& plan);

struct Judgement {
  std::string answer;
  double confidence = 0;   ///< calibrated
  bool malformed = false;  ///< it has not the form of an answer (form.hpp): its failed check says why
  Decision decision;
};

/// Judges the turn's last attempt, which has a result: its cost and its failed check become part of that. `sources`: what the
/// plan's passages say.
Judgement judge(const RoutingPolicy& policy, Turn& turn, std::span<const PassageText> sources);

/// Says what the best source says, in the place of an answer that nobody is sure of, and marks the attempt as superseded; false
/// if the policy has no words for that, or there is nothing to quote.
bool quote_instead(const RoutingPolicy& policy, std::span<const PassageText> sources, Attempt& attempt, TurnOutcome& outcome);

/// How the turn ends if the last attempt's answer stands. An answer that was held back and that nobody is sure of is replaced
/// by a quote, if the policy has words for that; then the attempt is marked as superseded.
TurnOutcome outcome_of(const RoutingPolicy& policy, const Judgement& judgement, std::span<const PassageText> sources,
                       Attempt& attempt);

}  // namespace troupe::policy
