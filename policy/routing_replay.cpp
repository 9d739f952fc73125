#include "policy/routing_replay.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "policy/early_stop.hpp"
#include "policy/judgement.hpp"
#include "policy/stage_fallback.hpp"

namespace troupe::policy {

namespace {

using End = RouteTrace::End;

/// The last ended attempt of the tier; an earlier one was lost.
const Attempt* attempt_of(const Turn& turn, Tier tier) {
  const auto found = std::find_if(turn.attempts.rbegin(), turn.attempts.rend(), [&](const Attempt& attempt) {
    return attempt.plan.tier == tier && attempt.result && attempt.result->finish_reason != "lost";
  });
  return found == turn.attempts.rend() ? nullptr : &*found;
}

/// Answers whose texts were not exported are not taken to agree.
bool agree(const Attempt* before, const Attempt& attempt) {
  if (before == nullptr) return false;
  const std::string text = text_of(*attempt.result);
  return !text.empty() && same_answer(text_of(*before->result), text);
}

/// What the policy would have taken the question for; without a recorded confidence, what it was taken for.
std::string label_of(const Intent& intent, const Turn& turn) {
  if (turn.kind.empty() || !turn.kind_confidence) return turn.kind;
  return intent.judge(turn.kind_said.empty() ? turn.kind : turn.kind_said, turn.kind_confidence).label;
}

}  // namespace

std::string_view to_string(RouteTrace::End end) {
  switch (end) {
    case End::confident: return "confident";
    case End::unsure: return "unsure";
    case End::failed: return "failed";
    case End::unknown: return "unknown";
  }
  return "unknown";
}

std::optional<RouteFacts> facts_of(const Turn& turn) {
  if (turn.attempts.empty()) return std::nullopt;
  const AttemptPlan& plan = turn.attempts.front().plan;
  RouteFacts facts;
  facts.requested = turn.ask.tier;
  facts.assurance = turn.ask.assurance;
  facts.priority = turn.ask.priority;
  facts.latency_budget_ms = turn.ask.latency_budget_ms;
  facts.prompt_tokens = plan.context_tokens;
  facts.grounded = plan.task == to_string(Task::answer);
  if (!turn.kind.empty()) facts.kind = turn.kind;
  facts.kind_confidence = turn.kind_confidence;
  facts.tenant = turn.ask.tenant;
  facts.retrieval_confidence = turn.retrieval_confidence;
  facts.tokens_max = turn.ask.tokens_max;
  facts.served = {tiers.begin(), tiers.end()};
  return facts;
}

RouteTrace recorded_trace(const Turn& turn) {
  RouteTrace trace;
  if (turn.outcome) trace.rule = turn.outcome->rule;
  for (const Attempt& attempt : turn.attempts) {
    trace.rule = attempt.plan.rule;
    if (trace.tiers.empty()) trace.why = attempt.plan.why;
    if (trace.tiers.empty() || trace.tiers.back() != attempt.plan.tier) trace.tiers.push_back(attempt.plan.tier);
    if (attempt.result) trace.cost += attempt.result->cost;
  }
  if (!turn.outcome) return trace;
  trace.end = !turn.outcome->committed ? End::failed : turn.outcome->confident ? End::confident : End::unsure;
  return trace;
}

RouteTrace replay(const RoutingPolicy& policy, const Turn& turn) {
  RouteTrace trace;
  const std::string label = label_of(policy.intent, turn);
  if (!label.empty() && answer_out_of_scope(policy.intent, turn.ask, label)) {
    trace.rule = out_of_scope_rule;
    trace.why = "the question is taken for " + label + ", which no model is asked about";
    trace.end = label == unknown_label ? End::unsure : End::confident;
    return trace;
  }
  auto facts = facts_of(turn);
  if (!facts) {
    trace.rule = "some other";
    trace.why = "no attempt of it is recorded";
    return trace;
  }
  if (facts->kind) facts->kind = label;
  const auto decision = route(policy, *facts);
  if (!decision) {
    trace.end = End::failed;
    trace.why = decision.error().message;
    return trace;
  }
  trace.rule = decision->rule;
  trace.why = decision->why;
  const Attempt* before = nullptr;
  for (std::optional<Tier> tier = decision->start(); tier;) {
    trace.tiers.push_back(*tier);
    const Attempt* const attempt = attempt_of(turn, *tier);
    if (attempt == nullptr) return trace;
    const AttemptResult& result = *attempt->result;
    const auto rung =
        std::find_if(decision->ladder.begin(), decision->ladder.end(), [&](const Rung& each) { return each.tier == *tier; });
    AttemptPlan plan = attempt->plan;
    plan.confidence_min = rung->confidence_min;
    plan.second_opinion = rung->second_opinion;
    plan.uncited_min = rung->uncited_min;
    plan.held_back = decision->held_back;
    trace.cost += policy.price[place_of(*tier)].of(result.prompt_tokens, result.generated_tokens);
    if (const Trouble trouble = trouble_of(result.finish_reason); trouble != Trouble::none && trouble != Trouble::oversized) {
      // What it said is not looked at again: it had no form, or had not come.
      BrokenAttempt broken;
      broken.tier = *tier;
      broken.later = {std::next(rung), decision->ladder.end()};
      broken.held_back = decision->held_back;
      broken.said = !text_of(result).empty();
      broken.quotable = !plan.passages.empty() && !policy.when_unsure.empty();
      const AfterTrouble after = after_trouble(policy.contracts[place_of(Stage::reasoning)].fallback, broken);
      before = attempt;
      tier = after.next;
      if (!tier) trace.end = after.fallback == Fallback::refuse ? End::failed : End::unsure;
      continue;
    }
    const double confidence = policy.calibration[place_of(*tier)].of(result.confidence);
    if (stopped_early(result)) {
      // Its beginning says enough if this policy would have stopped it too, even if not at the same token.
      plan.escalation = {std::next(rung), decision->ladder.end()};
      const bool stops = std::isfinite(least_log_probability_sum(policy, plan)) && confidence < plan.confidence_min;
      if (!stops) return trace;
    }
    // The check of citations is not the policy's, and what it said is recorded: here are no sources to repeat it with.
    const Decision after = after_attempt(*decision, plan, confidence, result.finish_reason, result.failed_check,
                                         agree(before, *attempt), is_uncited(plan, trimmed(text_of(result))));
    before = attempt;
    tier = after.next;
    if (after.verdict == Decision::Verdict::fail) trace.end = End::failed;
    if (after.verdict == Decision::Verdict::commit) trace.end = after.confident ? End::confident : End::unsure;
  }
  return trace;
}

}  // namespace troupe::policy
