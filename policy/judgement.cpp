#include "policy/judgement.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string_view>

#include "policy/citation.hpp"
#include "policy/citation_support.hpp"
#include "policy/early_stop.hpp"
#include "policy/form.hpp"
#include "policy/stage_fallback.hpp"
#include "policy/uncited_claim.hpp"

namespace troupe::policy {

namespace {

/// Whether the last attempt's answer says the same as that of the tier before.
bool agrees_with_the_one_before(const Turn& turn, std::string_view answer) {
  const Tier own = turn.attempts.back().plan.tier;
  const auto before =
      std::find_if(turn.attempts.rbegin(), turn.attempts.rend(), [own](const Attempt& each) { return each.plan.tier != own; });
  if (before == turn.attempts.rend() || !before->result) return false;
  return same_answer(text_of(*before->result), answer);
}

/// What an answer does not pass.
std::optional<FailedCitation> failed_check(const Turn& turn, std::string_view answer, const Hearing& hearing) {
  const AttemptPlan& plan = turn.attempts.back().plan;
  const std::string question = turn.ask.question + " " + turn.search;
  auto failed = failed_citation(answer, question, hearing.sources);
  if ((failed && !failed->only_words) || !plan.held_back) return failed;
  std::optional<std::string> claim;
  if (plan.task == to_string(Task::answer)) {
    claim = uncited_claim(answer, question, hearing.sources, hearing.said_before);
  } else if (hearing.could_cite) {
    claim = unheard_value(answer, question + "\n" + hearing.said_before);
  }
  if (claim) return FailedCitation{*std::move(claim)};
  return failed;
}

}  // namespace

RouteDecision route_of(const AttemptPlan& plan) {
  RouteDecision route;
  route.rule = plan.rule;
  route.ladder.push_back({plan.tier, plan.confidence_min, plan.second_opinion, plan.uncited_min});
  route.ladder.insert(route.ladder.end(), plan.escalation.begin(), plan.escalation.end());
  route.held_back = plan.held_back;
  route.greedy = plan.sampling == Sampling{};
  route.sampling = plan.sampling;
  return route;
}

void follow_route(const RouteDecision& route, const Sampling& asked, AttemptPlan& plan) {
  plan.rule = route.rule;
  plan.held_back = route.held_back;
  if (!route.greedy) plan.sampling = route.sampling.value_or(asked);
  for (auto rung = route.ladder.begin(); rung != route.ladder.end(); ++rung) {
    if (rung->tier != plan.tier) continue;
    plan.confidence_min = rung->confidence_min;
    plan.second_opinion = rung->second_opinion;
    plan.uncited_min = rung->uncited_min;
    plan.escalation.assign(std::next(rung), route.ladder.end());
  }
}

std::string conversation_of(const ContextParts& parts) {
  std::string text = parts.summary;
  for (const Exchange& exchange : parts.recent) text += "\n" + exchange.question + "\n" + exchange.answer;
  return text;
}

bool is_uncited(const AttemptPlan& plan, std::string_view answer) {
  return plan.task == to_string(Task::answer) && !plan.passages.empty() && check_citations(answer, plan.passages).cited.empty();
}

Judgement judge(const RoutingPolicy& policy, Turn& turn, const Hearing& hearing) {
  Attempt& attempt = turn.attempts.back();
  const AttemptPlan& plan = attempt.plan;
  AttemptResult& result = *attempt.result;
  result.cost = plan.price.of(result.prompt_tokens, result.generated_tokens);
  Judgement judgement;
  judgement.answer = trimmed(text_of(result));
  judgement.confidence = policy.calibration[place_of(plan.tier)].of(result.confidence);
  const std::string of = "the answer of " + std::string(to_string(plan.tier)) + " ";
  const Trouble trouble = trouble_of(result.finish_reason);
  const bool ended = trouble != Trouble::late && trouble != Trouble::failed && !stopped_early(result);
  if (const auto wrong = ended ? malformed_text(judgement.answer) : std::nullopt) {
    judgement.malformed = true;
    result.failed_check = of + *wrong;
  } else if (const auto failed = ended ? failed_check(turn, judgement.answer, hearing) : std::nullopt) {
    // An answer that its sources do not support is not to be trusted, whatever its probability.
    judgement.unsupported = !failed->only_words || judgement.confidence < plan.confidence_min;
    result.failed_check = of + failed->what;
  }
  judgement.decision = after_attempt(route_of(plan), plan, judgement.confidence, result.finish_reason, result.failed_check,
                                     agrees_with_the_one_before(turn, judgement.answer), is_uncited(plan, judgement.answer));
  return judgement;
}

bool quote_instead(const RoutingPolicy& policy, std::span<const PassageText> sources, Attempt& attempt, TurnOutcome& outcome) {
  const auto text = sources.empty() ? std::nullopt : quote_of(policy, sources.front().text);
  if (!text) return false;
  // What the model said is not the answer, and nobody sees it.
  attempt.result->superseded_why = "nobody is sure of an answer; the best source is quoted instead";
  outcome.answer = *text;
  outcome.citations = check_citations(*text, attempt.plan.passages).cited;
  return true;
}

TurnOutcome outcome_of(const RoutingPolicy& policy, const Judgement& judgement, std::span<const PassageText> sources,
                       Attempt& attempt) {
  TurnOutcome outcome;
  outcome.committed = true;
  outcome.answer = judgement.answer;
  outcome.citations = check_citations(judgement.answer, attempt.plan.passages).cited;
  outcome.attempt = attempt.plan.attempt;
  outcome.confidence = judgement.confidence;
  outcome.confident = judgement.decision.confident;
  if (!outcome.confident) {
    outcome.doubt = judgement.decision.why;
    if (attempt.plan.held_back && !quote_instead(policy, sources, attempt, outcome) && judgement.unsupported &&
        !policy.when_unsupported.empty()) {
      attempt.result->superseded_why = "nothing supports the answer; that is said instead";
      outcome.answer = policy.when_unsupported;
      outcome.citations.clear();
    }
  }
  return outcome;
}

}  // namespace troupe::policy
