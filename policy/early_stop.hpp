// When the rest of an answer is not worth generating. An answer's confidence is the product of its tokens' probabilities, so it
// only falls while the answer grows: once it is below what the rule asks, the attempt will be superseded whatever it goes on to
// say. It stops there if nobody would have used what it says. Where is decided before its first token, from the policy and the
// plan, and is part of the plan; engine/answer.hpp finds the token, from the tokens alone.
#pragma once

#include <string>
#include <string_view>

#include "policy/routing.hpp"

namespace troupe::policy {

/// The finish reason of an attempt that stopped early, as engine/request.hpp has it.
inline constexpr std::string_view unsure_reason = "unsure";
bool stopped_early(const AttemptResult& result);
/// "stopped after 9 tokens: can no longer reach 0.8", for a person.
std::string sentence_of_stop(const AttemptPlan& plan, const AttemptResult& result);

/// A raw confidence of which the calibration makes less than `right`, as every smaller one, and hardly any greater one; 0 if
/// there is none, or if no raw confidence reaches `right`.
double raw_confidence_below(const Calibration& calibration, double right);

/// The plan's `log_probability_sum_min`, from all that else is in it. A little less than what an answer needs, so that one that
/// would be confident is never stopped, however sums and exponentials round.
///
/// -infinity, which completes the attempt, where its text may be wanted though it is unsure: it is shown as it comes; no tier
/// follows; it is a second opinion, or another is held against it; or the contract of reasoning does not go on to the next tier
/// where an answer has no form, which only the whole answer shows. And if the model is remote, since it does not stop.
double least_log_probability_sum(const RoutingPolicy& policy, const AttemptPlan& plan);

}  // namespace troupe::policy
