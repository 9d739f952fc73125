#include "policy/turn.hpp"

#include <utility>

namespace troupe::policy {

namespace {

bool was_superseded(const Attempt& attempt) { return attempt.result && !attempt.result->superseded_why.empty(); }

/// A superseded attempt's number has been passed by readers before the turn ends, so what it held back never shows, whatever
/// the outcome says.
bool shows_tokens(const Turn& turn, const Attempt& attempt) {
  if (!attempt.plan.held_back) return true;
  return turn.outcome && turn.outcome->committed && turn.outcome->attempt == attempt.plan.attempt && !was_superseded(attempt);
}

void add_tokens(const AttemptPlan& plan, const std::vector<Emission>& emissions, std::vector<TurnEvent>& events) {
  for (const Emission& emission : emissions) {
    const std::uint64_t number = plan.event_number + 1 + static_cast<std::uint64_t>(emission.first_index);
    events.push_back({number, TokensEvent{plan.attempt, emission.first_index, emission.ids, emission.text}});
  }
}

CommittedEvent committed(const Turn& turn) {
  CommittedEvent event{.outcome = *turn.outcome, .node = {}};
  for (const Attempt& attempt : turn.attempts) {
    const bool answered = attempt.plan.attempt == turn.outcome->attempt;
    if (answered) event.tier = attempt.plan.tier;
    if (!attempt.result) continue;
    if (answered) event.node = attempt.result->node;
    event.prompt_tokens += attempt.result->prompt_tokens;
    event.reused_tokens += attempt.result->reused_tokens;
    event.generated_tokens += attempt.result->generated_tokens;
    event.seconds += attempt.result->seconds;
  }
  return event;
}

std::uint64_t last_number(const Turn& turn) {
  if (turn.attempts.empty()) return 1;
  const Attempt& last = turn.attempts.back();
  return number_after(last.plan) + (was_superseded(last) ? 1 : 0);
}

}  // namespace

std::string text_of(const AttemptResult& result) {
  std::string text;
  for (const Emission& emission : result.emissions) text += emission.text;
  return text;
}

AttemptResult cut_short(const AttemptPlan& plan, std::vector<Emission> emissions, std::string_view finish_reason) {
  AttemptResult result;
  result.finish_reason = finish_reason;
  const std::int64_t read =
      plan.model.remote() ? estimated_tokens(plan.messages) : static_cast<std::int64_t>(plan.prompt.size());
  result.prompt_tokens = static_cast<std::int32_t>(read);
  for (const Emission& emission : emissions) result.generated_tokens += static_cast<std::int32_t>(emission.ids.size());
  result.emissions = std::move(emissions);
  result.cost = plan.price.of(result.prompt_tokens, result.generated_tokens);
  return result;
}

std::uint64_t number_after(const AttemptPlan& plan) {
  // An answer may end in text that no token of its own brought: the replacement for a character that stayed incomplete.
  constexpr std::uint64_t text_without_token = 1;
  return plan.event_number + 1 + static_cast<std::uint64_t>(plan.tokens_max) + text_without_token;
}

std::uint64_t next_attempt_number(const Turn& turn) {
  return turn.attempts.empty() ? 1 : number_after(turn.attempts.back().plan) + 1;
}

std::vector<TurnEvent> events_of(const Turn& turn, const std::vector<Emission>& running) {
  std::vector<TurnEvent> events{{0, AcceptedEvent{turn.ask.question}}};
  for (const Attempt& attempt : turn.attempts) {
    const AttemptPlan& plan = attempt.plan;
    events.push_back({plan.event_number, AttemptEvent{plan.attempt, plan.tier, plan.why}});
    const bool last = &attempt == &turn.attempts.back();
    if (shows_tokens(turn, attempt)) {
      if (attempt.result) {
        add_tokens(plan, attempt.result->emissions, events);
      } else if (last) {
        add_tokens(plan, running, events);
      }
    }
    if (was_superseded(attempt)) {
      events.push_back({number_after(plan), SupersededEvent{plan.attempt, attempt.result->superseded_why}});
    }
  }
  if (!turn.outcome) return events;
  if (turn.outcome->committed) {
    events.push_back({last_number(turn), committed(turn)});
  } else {
    events.push_back({last_number(turn), FailedEvent{turn.outcome->code, turn.outcome->message}});
  }
  return events;
}

}  // namespace troupe::policy
