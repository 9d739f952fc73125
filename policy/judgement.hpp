// What an attempt that has ended is worth, what follows on it, and how a turn ends with it: for whoever has attempts made, a
// conversation for its client or a shadow (shadow.hpp). So both are held to the same checks.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "policy/routing.hpp"

namespace troupe::policy {

/// The route that an attempt was made under, from its rung on.
RouteDecision route_of(const AttemptPlan& plan);

/// What the plan of an attempt by `plan.tier` takes from its route: sampling, what it must reach, what may follow. `asked`: how
/// the client wants it sampled.
void follow_route(const RouteDecision& route, const Sampling& asked, AttemptPlan& plan);

/// What an answer is held against.
struct Hearing {
  std::span<const PassageText> sources;  ///< what the plan's passages say
  std::string said_before;               ///< all that the model was told of what came before the question
  /// There are documents that could have been cited, also by an answer from the conversation alone.
  bool could_cite = false;
};
/// The summary and the recent exchanges, as text.
std::string conversation_of(const ContextParts& parts);

/// Whether an answer was to be given from passages, and cites none of them.
bool is_uncited(const AttemptPlan& plan, std::string_view answer);

struct Judgement {
  std::string answer;
  double confidence = 0;   ///< calibrated
  bool malformed = false;  ///< it has not the form of an answer (form.hpp): its failed check says why
  /// Nothing supports it. Other words than its sources' alone may be a paraphrase, if the model is sure of them.
  bool unsupported = false;
  Decision decision;
};

/// Judges the turn's last attempt, which has a result: its cost and its failed check become part of that.
Judgement judge(const RoutingPolicy& policy, Turn& turn, const Hearing& hearing);

/// Says what the best source says, in the place of an answer that nobody is sure of, and marks the attempt as superseded; false
/// if the policy has no words for that, or there is nothing to quote.
bool quote_instead(const RoutingPolicy& policy, std::span<const PassageText> sources, Attempt& attempt, TurnOutcome& outcome);

/// How the turn ends if the last attempt's answer stands. An answer that was held back and that nobody is sure of is replaced
/// by a quote, or if nothing supports it by `when_unsupported`, if the policy has words for that; then the attempt is marked as
/// superseded.
TurnOutcome outcome_of(const RoutingPolicy& policy, const Judgement& judgement, std::span<const PassageText> sources,
                       Attempt& attempt);

}  // namespace troupe::policy
