// Whether the stages of a turn keep their contracts, and what takes the place of what they do not deliver. What is looked for
// is policy/'s (contract.hpp, form.hpp, stage_fallback.hpp). A stage is found late at a tick; what follows is durable with the
// next plan or the outcome before anybody sees it, so that nobody who takes the turn up again asks the clock anew.
#include <algorithm>
#include <chrono>
#include <utility>

#include "actors/conversation_actor.hpp"
#include "policy/citation.hpp"
#include "policy/form.hpp"
#include "policy/judgement.hpp"

namespace troupe::actors {

namespace {

using policy::Fallback;
using policy::StageEntry;
using policy::Trouble;

Trouble trouble_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::deadline_exceeded: return Trouble::late;
    case ErrorCode::too_large: return Trouble::oversized;
    default: return Trouble::failed;
  }
}

std::string waited(Duration time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()) + " ms";
}

/// What a stage took, so far as its model's reply says.
StageEntry entry_of_call(policy::Stage stage, const policy::AttemptResult& result) {
  StageEntry entry;
  entry.stage = stage;
  entry.prompt_tokens = result.prompt_tokens;
  entry.answer_tokens = result.generated_tokens;
  return entry;
}

}  // namespace

const policy::Contract& ConversationState::contract_of(policy::Stage stage) const {
  return context_->routing->contracts[policy::place_of(stage)];
}

void ConversationState::begin_stage(LiveTurn& turn, policy::Stage stage) {
  if (turn.clock && turn.clock->stage == stage) return;
  const policy::Ask& ask = turn.turn.ask;
  const auto tiers = ask.tier ? std::int64_t{1} : std::ssize(context_->routing->portfolio);
  std::int64_t followers = 0;
  switch (stage) {
    case policy::Stage::summary: followers = tiers + 2; break;
    case policy::Stage::intent: followers = tiers + 1; break;
    case policy::Stage::retrieval: followers = tiers; break;
    case policy::Stage::reasoning:
      followers = turn.stage == Stage::route ? tiers - 1 : std::ssize(broken_attempt(turn, "").later);
      break;
  }
  const policy::Contract& contract = contract_of(stage);
  const bool batch = ask.priority == policy::Priority::batch;
  const std::int64_t time_ms = policy::time_for(contract, left_ms(turn), followers, batch);
  const TimePoint now = context_->clock->now();
  turn.clock = StageClock{stage, now, now + std::chrono::milliseconds(time_ms)};
  if (batch || time_ms < contract.deadline_ms) turn.clock->over = policy::TimeOver::part;
  turn.late = false;
}

std::int64_t ConversationState::left_ms(const LiveTurn& turn) const {
  return turn.turn.accepted_ms + turn.turn.ask.deadline_ms - context_->wall->now_ms();
}

void ConversationState::tell(LiveTurn& turn, StageEntry entry) {
  const TimePoint now = context_->clock->now();
  if (turn.clock) {
    const Duration took = now - std::exchange(turn.clock->began, now);
    entry.milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
  }
  context_->contracts.count(entry);
  if (!entry.held()) {
    context_->log(
        LogLevel::info, "contract broken",
        {{"turn", to_string(turn.turn.id)}, {"stage", std::string(to_string(entry.stage))}, {"why", sentence_of(entry)}});
  }
  if (turn.turn.stages.size() < schemas::RecordLimits::stages_max) turn.turn.stages.push_back(std::move(entry));
}

void ConversationState::keep_contract(LiveTurn& turn) {
  if (!turn.clock || turn.doom || context_->clock->now() < turn.clock->until) return;
  switch (turn.stage) {
    case Stage::summarize: return late_summary(turn);
    case Stage::classify:
    case Stage::rewrite: return late_intent(turn);
    case Stage::search: return late_search(turn);
    case Stage::route:
    case Stage::prepare:
    case Stage::generate: return late_attempt(turn);
    case Stage::queued:
    case Stage::plan:
    case Stage::end: return;
  }
}

std::optional<std::string> ConversationState::long_unserved(const LiveTurn& turn, policy::Tier tier) const {
  const TimePoint now = context_->clock->now();
  const Duration unserved = now - context_->cluster.load()->served[policy::place_of(tier)];
  const Duration contract = std::chrono::milliseconds(contract_of(turn.clock->stage).deadline_ms);
  if (unserved < std::max(contract, turn.clock->until - turn.clock->began)) return std::nullopt;
  return "no node serves tier " + std::string(to_string(tier)) + ", and none has for " + waited(unserved);
}

void ConversationState::tell_end(LiveTurn& turn, const Error& error) {
  if (!turn.clock || error.code == ErrorCode::cancelled) return;
  StageEntry entry;
  entry.stage = turn.clock->stage;
  if (turn.stage == Stage::generate) entry.attempt = turn.turn.attempts.back().plan.attempt;
  entry.trouble = trouble_of(error.code);
  entry.fallback = Fallback::refuse;
  entry.why = error.message;
  tell(turn, std::move(entry));
  turn.clock.reset();
}

// Intent.

ModelCall::Reply ConversationState::checked_reply(LiveTurn& turn, schemas::Purpose purpose,
                                                  const Result<ModelCall::Reply>& reply) {
  StageEntry entry;
  entry.stage = policy::Stage::intent;
  if (!reply) {
    entry.trouble = trouble_of(reply.error().code);
    entry.why = reply.error().message;
  } else {
    entry = entry_of_call(policy::Stage::intent, reply->result);
    const bool classifies = purpose == schemas::Purpose::classify;
    const bool cut_off = reply->result.finish_reason == "length";
    if (const auto wrong = policy::malformed_text(reply->text)) {
      entry.trouble = Trouble::malformed;
      entry.why = "the reply " + *wrong;
    } else if (classifies && cut_off) {
      // The beginning of one label may be another.
      entry.trouble = Trouble::oversized;
      entry.why = "the kind of question was cut off after " + std::to_string(entry.answer_tokens) + " tokens";
    } else if (classifies && !context_->routing->intent.read(reply->text, reply->result.confidence).confidence) {
      constexpr std::size_t shown_max = 60;
      entry.trouble = Trouble::malformed;
      entry.why = "the reply \"" + std::string(policy::beginning_of(policy::trimmed(reply->text), shown_max)) +
                  "\" is no kind of question";
    } else if (cut_off) {
      entry.trouble = Trouble::oversized;
      entry.why = "the question that is to stand alone was cut off after " + std::to_string(entry.answer_tokens) + " tokens";
    }
  }
  const bool held = entry.held();
  if (!held) entry.fallback = Fallback::unknown;
  tell(turn, std::move(entry));
  return held ? *reply : ModelCall::Reply();
}

void ConversationState::late_intent(LiveTurn& turn) {
  if (!turn.call) return;
  const std::string waits_for = turn.call->waits_for();
  const auto place = turn.call->place();
  if (turn.clock->over == policy::TimeOver::contract) turn.call->tell_late();
  give_up_intent(turn, "no reply after " + waited(context_->clock->now() - turn.clock->began) +
                           (place ? " from " + place->node.value : std::string()) +
                           (waits_for.empty() ? std::string() : ": " + waits_for));
}

void ConversationState::give_up_unserved_intent(LiveTurn& turn, policy::Tier tier) {
  if (turn.call->waits_for().empty()) return;
  if (auto why = long_unserved(turn, tier)) give_up_intent(turn, *std::move(why));
}

void ConversationState::give_up_intent(LiveTurn& turn, std::string why) {
  turn.call.reset();
  StageEntry entry;
  entry.stage = policy::Stage::intent;
  entry.trouble = Trouble::late;
  entry.fallback = Fallback::unknown;
  entry.why = std::move(why);
  tell(turn, std::move(entry));
  const auto go_on = std::move(turn.on_reply);
  go_on(turn, {});
}

// Retrieval.

void ConversationState::check_passages(LiveTurn& turn) {
  const policy::Contract& contract = contract_of(policy::Stage::retrieval);
  StageEntry entry;
  entry.stage = policy::Stage::retrieval;
  entry.prompt_tokens = estimate_tokens(turn.turn.search);
  std::size_t kept = 0;
  for (; kept < turn.passages.size(); ++kept) {
    const std::int32_t tokens = entry.answer_tokens + estimate_tokens(turn.passages[kept].text);
    if (contract.answer_tokens_max && tokens > *contract.answer_tokens_max) break;
    entry.answer_tokens = tokens;
  }
  if (kept < turn.passages.size()) {
    entry.trouble = Trouble::oversized;
    entry.why = std::to_string(turn.passages.size() - kept) + " of " + std::to_string(turn.passages.size()) +
                " passages exceed " + std::to_string(*contract.answer_tokens_max) + " tokens";
    turn.passages.resize(kept);
  } else if (contract.prompt_tokens_max && entry.prompt_tokens > *contract.prompt_tokens_max) {
    entry.trouble = Trouble::oversized;
    entry.why = "a search for " + std::to_string(entry.prompt_tokens) + " tokens, at most " +
                std::to_string(*contract.prompt_tokens_max) + " are looked for";
  }
  if (!entry.held()) entry.fallback = Fallback::shorten;
  // A search after a restart only finds again what the turn was routed by.
  if (turn.turn.attempts.empty()) tell(turn, std::move(entry));
}

void ConversationState::late_search(LiveTurn& turn) {
  ++turn.step;  // whatever it still finds comes too late
  turn.busy = false;
  const bool goes_on = turn.turn.ask.assurance == policy::Assurance::draft &&
                       contract_of(policy::Stage::retrieval).fallback == Fallback::without_passages;
  StageEntry entry;
  entry.stage = policy::Stage::retrieval;
  entry.prompt_tokens = estimate_tokens(turn.turn.search);
  entry.trouble = Trouble::late;
  entry.fallback = goes_on ? Fallback::without_passages : Fallback::refuse;
  const std::string why = "the corpus was not searched within " + waited(context_->clock->now() - turn.clock->began);
  entry.why = why + (turn.waits_for.empty() ? "" : ": " + std::exchange(turn.waits_for, {}));
  tell(turn, std::move(entry));
  if (!goes_on) {
    turn.clock.reset();
    return fail(turn,
                {ErrorCode::unavailable, why + ", so an answer could not be cited; " + context_->routing->when_all_failed});
  }
  turn.passages.clear();
  turn.grounded = false;
  turn.stage = turn.next_tier ? Stage::prepare : Stage::route;
  advance(turn);
}

// The summary.

void ConversationState::late_summary(LiveTurn& turn) {
  if (turn.busy && !summarizing_) return;  // it is being written
  if (contract_of(policy::Stage::summary).fallback == Fallback::wait) {
    turn.late = true;
    turn.clock->until = TimePoint::max();
    return;
  }
  if (summarizing_) self_->send(services_.summarizer, SummaryForget{*std::exchange(summarizing_, std::nullopt)});
  ++turn.step;
  turn.busy = false;
  without_summary(turn, Trouble::late, "no summary after " + waited(context_->clock->now() - turn.clock->began));
}

void ConversationState::without_summary(LiveTurn& turn, Trouble trouble, const std::string& why) {
  StageEntry entry;
  entry.stage = policy::Stage::summary;
  entry.trouble = trouble;
  entry.fallback = Fallback::keep;
  entry.why = why;
  tell(turn, std::move(entry));
  turn.stage = Stage::classify;
  advance(turn);
}

std::optional<SummaryText> ConversationState::checked_summary(LiveTurn& turn, SummaryText text, std::size_t folded) {
  constexpr std::size_t around_an_exchange = 24;  ///< who says it
  std::size_t source_bytes = summary_.text.size();
  for (std::size_t i = 0; i < folded; ++i) {
    source_bytes += recent_[i].exchange.question.size() + recent_[i].exchange.answer.size() + around_an_exchange;
  }
  StageEntry entry = entry_of_call(policy::Stage::summary, text.result);
  if (const auto wrong = policy::malformed_summary(text.reply, source_bytes)) {
    entry.trouble = Trouble::malformed;
    entry.fallback = Fallback::keep;
    entry.why = "the summary " + *wrong;
  } else if (text.result.finish_reason == "length") {
    entry.trouble = Trouble::oversized;
    entry.fallback = Fallback::shorten;
    entry.why = "the summary was cut off after " + std::to_string(entry.answer_tokens) + " tokens";
    text.text = policy::whole_sentences(text.text);
  } else if (turn.late) {
    entry.trouble = Trouble::late;
    entry.fallback = Fallback::wait;
    entry.why = "it took longer than its contract allows";
  }
  const bool keep = entry.fallback == Fallback::keep;
  tell(turn, std::move(entry));
  if (keep) return std::nullopt;
  return text;
}

// Reasoning.

policy::BrokenAttempt ConversationState::broken_attempt(const LiveTurn& turn, std::string_view what) const {
  policy::BrokenAttempt broken;
  broken.what = what;
  const policy::Attempt* const last = turn.turn.attempts.empty() ? nullptr : &turn.turn.attempts.back();
  broken.quotable = last != nullptr && !last->plan.passages.empty() && !context_->routing->when_unsure.empty();
  if (turn.stage == Stage::generate && last != nullptr) {
    broken.tier = last->plan.tier;
    broken.later = last->plan.escalation;
    broken.held_back = last->plan.held_back;
    const auto& emissions = turn.generation ? turn.generation->emissions() : std::vector<policy::Emission>();
    broken.said = std::any_of(emissions.begin(), emissions.end(), [](const auto& each) { return !each.text.empty(); });
    return broken;
  }
  if (!turn.next_tier) return broken;
  broken.tier = *turn.next_tier;
  broken.held_back = turn.route.held_back;
  const auto& ladder = turn.route.ladder;
  const auto rung = std::find_if(ladder.begin(), ladder.end(), [&](const auto& each) { return each.tier == *turn.next_tier; });
  if (rung != ladder.end()) broken.later = {std::next(rung), ladder.end()};
  // What the last attempt's sources say is read when it ends; without them nothing can be quoted.
  broken.quotable = broken.quotable && turn.sources && turn.sources->size() == last->plan.passages.size();
  return broken;
}

policy::AfterTrouble ConversationState::after_broken(const LiveTurn& turn, std::string_view what) const {
  return policy::after_trouble(contract_of(policy::Stage::reasoning).fallback, broken_attempt(turn, what));
}

bool ConversationState::skip_tier(LiveTurn& turn, Trouble trouble, const std::string& what) {
  const policy::AfterTrouble after = after_broken(turn, what);
  if (after.fallback != Fallback::escalate) return false;
  ++turn.step;
  turn.busy = false;
  StageEntry entry;
  entry.stage = policy::Stage::reasoning;
  entry.trouble = trouble;
  entry.fallback = Fallback::escalate;
  entry.why = what;
  tell(turn, std::move(entry));
  turn.waits_for.clear();
  turn.next_tier = after.next;
  turn.next_why = after.why;
  turn.clock.reset();
  advance(turn);
  return true;
}

void ConversationState::late_attempt(LiveTurn& turn) {
  if (turn.stage == Stage::route) {
    if (turn.busy) return;
    turn.late = true;  // now it is routed to whoever is to answer, there or not; and then that one is late
    return route(turn);
  }
  if (turn.stage == Stage::generate && (!turn.generation || turn.finished)) return;  // it has ended
  const policy::Contract& contract = contract_of(policy::Stage::reasoning);
  const policy::BrokenAttempt seen = broken_attempt(turn, "");
  if (policy::is_waited_for(contract.fallback, seen, turn.clock->over)) return wait_on(turn);
  const std::string time = waited(context_->clock->now() - turn.clock->began);
  const std::string tier(to_string(seen.tier));
  if (turn.stage == Stage::generate) {
    if (turn.clock->over == policy::TimeOver::contract) turn.generation->tell_late();
    auto result = turn.generation->cut_short(turn.turn.attempts.back().plan, policy::late_reason);
    return on_generated(turn, std::move(result), tier + " had not answered after " + time);
  }
  give_up_attempt(turn, tier + " could not be asked within " + time + (turn.waits_for.empty() ? "" : ": " + turn.waits_for));
}

void ConversationState::give_up_unserved_attempt(LiveTurn& turn) {
  const auto why = long_unserved(turn, *turn.next_tier);
  if (!why) return;
  const Fallback next = after_broken(turn, *why).fallback;
  if (next != Fallback::escalate && next != Fallback::quote) return;  // nothing takes its place
  give_up_attempt(turn, std::string(to_string(*turn.next_tier)) + " was not asked: " + *why);
}

void ConversationState::give_up_attempt(LiveTurn& turn, const std::string& what) {
  if (skip_tier(turn, Trouble::late, what)) return;
  ++turn.step;
  turn.busy = false;
  StageEntry entry;
  entry.stage = policy::Stage::reasoning;
  entry.trouble = Trouble::late;
  if (after_broken(turn, what).fallback == Fallback::quote) {
    return after_trouble(turn, std::move(entry), what, turn.turn.attempts.back().result->confidence);
  }
  entry.fallback = Fallback::refuse;
  entry.why = what;
  tell(turn, std::move(entry));
  turn.clock.reset();
  fail(turn, {ErrorCode::unavailable, what + "; " + context_->routing->when_all_failed});
}

void ConversationState::wait_on(LiveTurn& turn) {
  constexpr bool all_of_it = true;
  const bool over = turn.clock->over == policy::TimeOver::turn;
  const std::int64_t time_ms = policy::time_for(contract_of(policy::Stage::reasoning), left_ms(turn), 0, all_of_it);
  turn.late = true;
  // When that has passed, too, the turn's own deadline ends it.
  turn.clock->until = over ? TimePoint::max() : context_->clock->now() + std::chrono::milliseconds(time_ms);
  turn.clock->over = policy::TimeOver::turn;
  if (!over && left_ms(turn) <= 0) late_attempt(turn);  // of a short turn both times pass between two ticks
}

StageEntry ConversationState::entry_of(const policy::Attempt& attempt) const {
  StageEntry entry = entry_of_call(policy::Stage::reasoning, *attempt.result);
  entry.attempt = attempt.plan.attempt;
  entry.trouble = policy::trouble_of(attempt.result->finish_reason);
  return entry;
}

void ConversationState::after_trouble(LiveTurn& turn, StageEntry entry, const std::string& what, double confidence) {
  policy::Attempt& attempt = turn.turn.attempts.back();
  const std::string answer(policy::trimmed(text_of(*attempt.result)));
  policy::BrokenAttempt broken = broken_attempt(turn, what);
  broken.said = !answer.empty();
  broken.quotable =
      broken.quotable && !turn.sources->empty() && policy::quote_of(*context_->routing, turn.sources->front().text).has_value();
  const policy::AfterTrouble after = policy::after_trouble(contract_of(policy::Stage::reasoning).fallback, broken);
  entry.fallback = after.fallback;
  entry.why = what;
  tell(turn, std::move(entry));
  turn.clock.reset();
  if (after.fallback == Fallback::escalate) return supersede(turn, policy::route_of(attempt.plan), *after.next, after.why);
  policy::TurnOutcome outcome;
  outcome.committed = true;
  outcome.attempt = attempt.plan.attempt;
  outcome.confidence = confidence;
  outcome.doubt = after.why;
  outcome.answer = answer;
  outcome.citations = policy::check_citations(answer, attempt.plan.passages).cited;
  if (after.fallback == Fallback::mark) return commit_outcome(turn, std::move(outcome));
  if (after.fallback == Fallback::quote && policy::quote_instead(*context_->routing, *turn.sources, attempt, outcome)) {
    return commit_outcome(turn, std::move(outcome));
  }
  fail(turn, {ErrorCode::unavailable, after.why + "; " + context_->routing->when_all_failed});
}

}  // namespace troupe::actors
