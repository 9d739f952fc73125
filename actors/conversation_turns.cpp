// What a conversation does for a turn, stage by stage, and how a turn ends; the stages that lead to a plan are in
// conversation_planning.cpp. Whatever the world may see of a stage is durable before the next begins; a stage that cannot go on
// now (a node is away) is tried again at the next tick.
#include <algorithm>
#include <utility>

#include "actors/conversation_actor.hpp"
#include "policy/citation.hpp"
#include "policy/citation_support.hpp"
#include "storage/conversations.hpp"

namespace troupe::actors {

std::uint64_t ConversationState::begin_step(LiveTurn& turn) {
  turn.busy = true;
  return ++turn.step;
}

LiveTurn* ConversationState::find_step(std::uint32_t number, std::uint64_t step) {
  return moving_ ? nullptr : find_write(number, step);
}

LiveTurn* ConversationState::find_write(std::uint32_t number, std::uint64_t step) {
  LiveTurn* turn = find_live(number);
  if (turn == nullptr || turn->step != step || !turn->busy) return nullptr;
  turn->busy = false;
  return turn;
}

void ConversationState::commit(LiveTurn& turn, storage::WriteBatch batch, std::function<void(LiveTurn&)> then) {
  const std::uint64_t step = begin_step(turn);
  ++writes_;
  context_->journal->commit(
      std::move(batch),
      resume(self_, std::function<void(Result<void>)>([this, number = turn.turn.id.number, step, then](Result<void> written) {
               --writes_;
               if (!written) return give_up(written.error());
               if (LiveTurn* live = find_write(number, step)) then(*live);
               send_when_written();
             })));
}

void ConversationState::advance(LiveTurn& turn) {
  if (turn.accepting || turn.stage == Stage::end || moving_) return;
  const bool writing = turn.stage == Stage::plan;
  if (turn.doom && !writing) return fail(turn, *turn.doom);
  if (&turn != live_.front().get()) return;
  if (turn.stage == Stage::queued) turn.stage = turn.turn.attempts.empty() ? Stage::summarize : Stage::generate;
  if (turn.call) return turn.call->drive();
  if (turn.busy) return;
  switch (turn.stage) {
    case Stage::queued: return;
    case Stage::summarize: return summarize(turn);
    case Stage::classify: return classify(turn);
    case Stage::rewrite: return rewrite(turn);
    case Stage::search: return search(turn);
    case Stage::route: return route(turn);
    case Stage::prepare: return prepare(turn);
    case Stage::plan: return;
    case Stage::generate: return generate(turn);
    case Stage::end: return;
  }
}

void ConversationState::generate(LiveTurn& turn) {
  if (!turn.generation) {
    const policy::AttemptPlan& plan = turn.turn.attempts.back().plan;
    Generation::Job job;
    job.key = {turn.turn.id, schemas::Purpose::answer, plan.attempt};
    job.epoch = epoch_;
    job.model = plan.model;
    job.request = {plan.prompt, plan.sampling, plan.seed, plan.tokens_max, turn.turn.ask.priority};
    job.deadline_ms = turn.turn.accepted_ms + turn.turn.ask.deadline_ms;
    turn.generation = std::make_unique<Generation>(context_, engine_link(self_), std::move(job), last_place_);
    if (std::exchange(runs_already_, 0) == turn.turn.id.number && last_place_) turn.generation->runs_at(*last_place_);
  }
  turn.generation->drive();
}

void ConversationState::on_generated(LiveTurn& turn, policy::AttemptResult result) {
  last_place_ = turn.generation->place();
  turn.generation.reset();
  const policy::AttemptPlan& plan = turn.turn.attempts.back().plan;
  if (turn.sources && turn.sources->size() == plan.passages.size()) return decide(turn, std::move(result));
  // The attempt was planned before a restart or elsewhere: what its sources say is read again.
  turn.sources.emplace();
  SourceQuery query;
  for (const policy::Passage& passage : plan.passages) {
    query.sections.push_back(passage.section);
    turn.sources->push_back({passage.name, ""});
  }
  if (query.sections.empty() || !services_.retriever) return decide(turn, std::move(result));
  turn.finished = std::move(result);
  const std::uint64_t step = begin_step(turn);
  self_->request(services_.retriever, service_timeout, std::move(query))
      .then(
          [this, number = turn.turn.id.number, step](const SourceTexts& found) {
            LiveTurn* live = find_step(number, step);
            if (live == nullptr) return;
            for (std::size_t i = 0; i < live->sources->size(); ++i) live->sources->at(i).text = found.texts.at(i);
            decide(*live, *std::exchange(live->finished, {}));
          },
          [this, number = turn.turn.id.number, step](caf::error&) {
            LiveTurn* live = find_step(number, step);
            if (live == nullptr) return;
            live->sources.reset();  // tick() generates again, and the same
            live->finished.reset();
          });
}

void ConversationState::decide(LiveTurn& turn, policy::AttemptResult result) {
  policy::Attempt& attempt = turn.turn.attempts.back();
  const policy::AttemptPlan& plan = attempt.plan;
  std::string answer;
  for (const policy::Emission& emission : result.emissions) answer += emission.text;
  answer = policy::trimmed(answer);
  const policy::Citations citations = policy::check_citations(answer, plan.passages);

  policy::RouteDecision route;
  route.rule = plan.rule;
  route.ladder.push_back({plan.tier, plan.confidence_min});
  route.ladder.insert(route.ladder.end(), plan.escalation.begin(), plan.escalation.end());
  route.held_back = plan.held_back;
  // An answer that its sources do not support is not to be trusted, whatever its probability.
  const auto failed = policy::failed_citation(answer, turn.turn.ask.question + " " + turn.turn.search, *turn.sources);
  const std::string failed_check = failed ? "the answer of " + std::string(to_string(plan.tier)) + " " + *failed : "";
  const policy::Decision decision = policy::after_attempt(route, plan, result.confidence, result.finish_reason, failed_check);
  if (decision.verdict == policy::Decision::Verdict::escalate) {
    result.superseded_why = decision.why;
    attempt.result = std::move(result);
    // After a restart nothing is known here but the plans, and the passages have to be found again.
    turn.route = route;
    turn.route.greedy = plan.sampling == policy::Sampling{};
    turn.next_tier = decision.next;
    turn.next_why = decision.why;
    turn.stage = turn.passages.empty() && !plan.passages.empty() ? Stage::search : Stage::prepare;
    return advance(turn);
  }
  attempt.result = std::move(result);
  if (decision.verdict == policy::Decision::Verdict::fail) {
    return fail(turn, {ErrorCode::unavailable, decision.why + "; " + context_->routing->when_all_failed});
  }
  policy::TurnOutcome outcome;
  outcome.committed = true;
  outcome.answer = answer;
  outcome.citations = citations.cited;
  outcome.attempt = plan.attempt;
  outcome.confidence = attempt.result->confidence;
  outcome.confident = decision.confident;
  if (!decision.confident) outcome.doubt = decision.why;
  commit_outcome(turn, std::move(outcome));
}

void ConversationState::fail(LiveTurn& turn, const Error& error) {
  turn.call.reset();
  if (turn.generation) {
    // What was shown of an attempt that is cut short stays what was shown.
    policy::AttemptResult result;
    result.emissions = turn.generation->emissions();
    result.finish_reason = to_string(error.code);
    turn.turn.attempts.back().result = std::move(result);
    turn.generation.reset();
  } else if (turn.finished) {
    turn.turn.attempts.back().result = *std::exchange(turn.finished, {});
  }
  policy::TurnOutcome outcome;
  outcome.code = to_string(error.code);
  outcome.message = error.message;
  commit_outcome(turn, std::move(outcome));
}

void ConversationState::commit_outcome(LiveTurn& turn, policy::TurnOutcome outcome) {
  turn.stage = Stage::end;
  policy::Turn ended = turn.turn;
  ended.outcome = std::move(outcome);
  ended.ended_ms = context_->wall->now_ms();
  storage::WriteBatch batch;
  batch.fence = storage::fence_of(id_, epoch_);
  for (const policy::Attempt& attempt : ended.attempts) {
    if (attempt.result && &attempt == &ended.attempts.back()) {
      batch.puts.push_back(storage::put_result(ended.id, attempt.plan.attempt, *attempt.result, epoch_));
    }
  }
  for (auto& put : storage::put_outcome(ended, epoch_)) batch.puts.push_back(std::move(put));
  commit(turn, std::move(batch), [this, ended](LiveTurn& live) {
    live.turn = ended;
    end(live);
  });
}

void ConversationState::show(LiveTurn& turn) {
  // A result that is not durable yet, nor what follows from it, is nobody's business.
  turn.log.append(policy::events_of(turn.turn));
  deliver(turn.log);
}

void ConversationState::end(LiveTurn& turn) {
  show(turn);
  for (auto& promise : std::exchange(turn.ending, {})) promise.deliver(schemas::HomeAccepted{turn.turn.id.number});
  if (turn.turn.outcome->committed) remember(turn.turn);
  last_used_ = context_->clock->now();
  ended_.push_front(std::move(turn.log));
  if (ended_.size() > ended_logs_max) ended_.pop_back();
  --context_->turns;
  std::erase_if(live_, [&](const auto& each) { return each.get() == &turn; });
  if (!live_.empty()) advance(*live_.front());
}

}  // namespace troupe::actors
