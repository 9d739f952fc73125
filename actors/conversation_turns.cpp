// What a conversation does for a turn, stage by stage, and how a turn ends; the stages that lead to a plan are in
// conversation_planning.cpp. Whatever the world may see of a stage is durable before the next begins; a stage that cannot go on
// now (a node is away) is tried again at the next tick.
#include <algorithm>
#include <utility>

#include "actors/conversation_actor.hpp"
#include "policy/judgement.hpp"
#include "policy/stage_fallback.hpp"
#include "storage/conversations.hpp"

namespace troupe::actors {

namespace {

/// A home ends a turn at its deadline, with what has been shown of it; an engine ends the run only if that has not come about.
constexpr std::int64_t engine_grace_ms = 500;

/// A draft whose corpus could not be searched rests on nothing that could be cited.
void mark_without_passages(const policy::Turn& turn, policy::TurnOutcome& outcome) {
  const auto lacks = [](const policy::StageEntry& each) { return each.fallback == policy::Fallback::without_passages; };
  const auto entry = std::find_if(turn.stages.begin(), turn.stages.end(), lacks);
  if (entry == turn.stages.end() || !outcome.confident) return;
  outcome.confident = false;
  outcome.doubt = entry->why + ", so the answer has no sources";
}

policy::TurnEvent event_of(const policy::AttemptPlan& plan, policy::Emission emission) {
  const auto number = plan.event_number + 1 + static_cast<std::uint64_t>(emission.first_index);
  return {number, policy::TokensEvent{plan.attempt, emission.first_index, std::move(emission.ids), std::move(emission.text)}};
}

}  // namespace

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
  // What is on its way to the disk may be durable, and is known here before anything follows.
  const bool writing = turn.stage == Stage::plan || (turn.stage == Stage::summarize && turn.busy && !summarizing_);
  if (turn.doom && !writing) return fail(turn, *turn.doom);
  if (&turn != live_.front().get()) return;
  if (turn.stage == Stage::queued) {
    turn.stage = turn.turn.attempts.empty() ? Stage::summarize : Stage::generate;
    if (turn.stage == Stage::generate && turn.turn.attempts.back().plan.model.remote()) {
      auto shown = policy::cut_short(turn.turn.attempts.back().plan, std::exchange(turn.pieces, {}), "lost");
      return supersede_lost(turn, std::move(shown), "its home was lost while the remote model answered");
    }
  }
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
  begin_stage(turn, policy::Stage::reasoning);
  if (turn.finished) return read_sources(turn);  // the retriever did not reply
  if (!turn.generation) {
    const policy::AttemptPlan& plan = turn.turn.attempts.back().plan;
    Generation::Job job;
    job.key = {turn.turn.id, schemas::Purpose::answer, plan.attempt};
    job.epoch = epoch_;
    job.model = plan.model;
    job.request = {plan.prompt,
                   plan.sampling,
                   plan.seed,
                   plan.tokens_max,
                   turn.turn.ask.priority,
                   plan.messages,
                   plan.log_probability_sum_min};
    job.deadline_ms = turn.turn.accepted_ms + turn.turn.ask.deadline_ms + engine_grace_ms;
    turn.generation = std::make_unique<Generation>(context_, engine_link(self_), std::move(job), last_place_);
    if (std::exchange(runs_already_, 0) == turn.turn.id.number && last_place_) turn.generation->runs_at(*last_place_);
  }
  turn.generation->drive();
  if (turn.generation->lost()) lose(turn);
}

void ConversationState::on_generated(LiveTurn& turn, policy::AttemptResult result, std::string trouble) {
  last_place_ = turn.generation->place();
  turn.generation.reset();
  turn.unwritten.clear();  // what follows makes all of it durable
  turn.finished = std::move(result);
  turn.trouble = std::move(trouble);
  read_sources(turn);
}

void ConversationState::read_sources(LiveTurn& turn) {
  const policy::AttemptPlan& plan = turn.turn.attempts.back().plan;
  if (turn.sources && turn.sources->size() == plan.passages.size()) return decide(turn);
  // The attempt was planned before a restart or elsewhere. What was found then is kept, but for turns of an older troupe: then
  // the corpus is asked.
  std::vector<policy::PassageText> sources;
  SourceQuery query;
  for (const policy::Passage& passage : plan.passages) {
    const auto found = std::ranges::find(turn.passages, passage.section,
                                         [](const FoundPassage& each) -> const std::string& { return each.passage.section; });
    sources.push_back({passage.name, found == turn.passages.end() ? std::string() : found->text});
    query.sections.push_back(passage.section);
  }
  if (sources.empty() || turn.passages_kept) {
    turn.sources = std::move(sources);
    return decide(turn);
  }
  const std::uint64_t step = begin_step(turn);
  self_->request(services_.retriever, service_timeout, std::move(query))
      .then(
          [this, number = turn.turn.id.number, step, sources](const SourceTexts& found) {
            LiveTurn* live = find_step(number, step);
            if (live == nullptr) return;
            live->sources = sources;
            for (std::size_t i = 0; i < sources.size(); ++i) live->sources->at(i).text = found.texts.at(i);
            decide(*live);
          },
          [this, number = turn.turn.id.number, step](caf::error&) { find_step(number, step); });  // tick() asks again
}

void ConversationState::lose(LiveTurn& turn) {
  const std::string why = turn.generation->lost()->message;
  auto shown = turn.generation->cut_short(turn.turn.attempts.back().plan, "lost");
  turn.generation.reset();
  supersede_lost(turn, std::move(shown), why);
}

void ConversationState::supersede(LiveTurn& turn, policy::RouteDecision route, policy::Tier next, const std::string& why) {
  // After a restart nothing is known of a turn that an older troupe began but its plans: its passages have to be found again.
  const policy::AttemptPlan& plan = turn.turn.attempts.back().plan;
  turn.turn.attempts.back().result->superseded_why = why;
  turn.unwritten.clear();
  turn.route = std::move(route);
  turn.next_tier = next;
  turn.next_why = why;
  turn.stage = turn.passages.empty() && !plan.passages.empty() ? Stage::search : Stage::prepare;
  advance(turn);
}

void ConversationState::supersede_lost(LiveTurn& turn, policy::AttemptResult result, const std::string& why) {
  policy::Attempt& attempt = turn.turn.attempts.back();
  attempt.result = std::move(result);
  policy::StageEntry entry = entry_of(attempt);
  entry.why = why;
  tell(turn, std::move(entry));
  supersede(turn, policy::route_of(attempt.plan), attempt.plan.tier, why + "; it is asked again");
}

void ConversationState::keep_pieces(LiveTurn& turn, std::vector<policy::Emission> pieces) {
  std::move(pieces.begin(), pieces.end(), std::back_inserter(turn.unwritten));
  if (turn.writing_pieces || turn.unwritten.empty()) return;
  turn.writing_pieces = true;
  const std::int32_t attempt = turn.turn.attempts.back().plan.attempt;
  auto written = std::make_shared<std::vector<policy::Emission>>(std::exchange(turn.unwritten, {}));
  storage::WriteBatch batch;
  batch.fence = storage::fence_of(id_, epoch_);
  batch.puts.push_back(storage::put_pieces(turn.turn.id, attempt, *written, epoch_));
  ++writes_;
  context_->journal->commit(std::move(batch),
                            resume(self_, std::function<void(Result<void>)>(
                                              [this, number = turn.turn.id.number, attempt, written](const Result<void>& done) {
                                                --writes_;
                                                if (!done) return give_up(done.error());
                                                send_when_written();
                                                LiveTurn* live = find_live(number);
                                                if (live == nullptr || moving_) return;
                                                live->writing_pieces = false;
                                                const policy::AttemptPlan& plan = live->turn.attempts.back().plan;
                                                if (plan.attempt == attempt) {
                                                  for (policy::Emission& piece : *written)
                                                    live->log.append(event_of(plan, std::move(piece)));
                                                  deliver(live->log);
                                                }
                                                keep_pieces(*live, {});
                                              })));
}

void ConversationState::decide(LiveTurn& turn) {
  using Verdict = policy::Decision::Verdict;
  using policy::Trouble;
  policy::Attempt& attempt = turn.turn.attempts.back();
  attempt.result = std::exchange(turn.finished, std::nullopt);
  const policy::Hearing hearing{*turn.sources, policy::conversation_of(parts_of(turn, 0)), could_cite(turn)};
  policy::Judgement judgement = policy::judge(*context_->routing, turn.turn, hearing);
  std::string what = std::exchange(turn.trouble, {});
  policy::StageEntry entry = entry_of(attempt);
  if (entry.trouble == Trouble::failed) {
    what += (what.empty() ? "" : "; ") + std::string(to_string(attempt.plan.tier)) + " failed";
  }
  if (entry.trouble == Trouble::late || entry.trouble == Trouble::failed) {
    return after_trouble(turn, std::move(entry), what, judgement.confidence);
  }
  if (judgement.malformed) {
    entry.trouble = Trouble::malformed;
    entry.why = attempt.result->failed_check;
    if (attempt.plan.held_back || judgement.answer.empty()) {
      attempt.result->finish_reason = policy::malformed_reason;
      return after_trouble(turn, std::move(entry), attempt.result->failed_check, judgement.confidence);
    }
  } else if (entry.trouble == Trouble::oversized) {
    entry.why = "cut off after " + std::to_string(attempt.plan.tokens_max) + " tokens, at the limit";
  }
  policy::Decision& decision = judgement.decision;
  if (!what.empty()) decision.why = what + "; " + decision.why;
  policy::TurnOutcome outcome;
  if (decision.verdict == Verdict::commit) {
    outcome = policy::outcome_of(*context_->routing, judgement, *turn.sources, attempt);
  }
  const std::string nobody_left = "nobody else was left to be asked";
  if (!entry.held()) {
    if (turn.late) entry.why += "; late, and waited for, since " + nobody_left;
    const bool replaced = !attempt.result->superseded_why.empty();
    entry.fallback = decision.verdict == Verdict::escalate ? policy::Fallback::escalate
                     : replaced                            ? policy::Fallback::quote
                                                           : policy::Fallback::mark;
  } else if (turn.late) {
    entry.trouble = Trouble::late;
    entry.fallback = policy::Fallback::wait;
    entry.why = nobody_left;
  }
  tell(turn, std::move(entry));
  turn.clock.reset();
  if (decision.verdict == Verdict::escalate) {
    return supersede(turn, policy::route_of(attempt.plan), *decision.next, decision.why);
  }
  if (decision.verdict == Verdict::fail) {
    return fail(turn, {ErrorCode::unavailable, decision.why + "; " + context_->routing->when_all_failed});
  }
  mark_without_passages(turn.turn, outcome);
  commit_outcome(turn, std::move(outcome));
}

void ConversationState::fail(LiveTurn& turn, const Error& error) {
  tell_end(turn, error);
  turn.call.reset();
  turn.unwritten.clear();
  if (turn.generation || !turn.pieces.empty()) {
    // What was shown of an attempt that is cut short stays what was shown.
    policy::Attempt& attempt = turn.turn.attempts.back();
    const std::string_view reason = to_string(error.code);
    attempt.result = turn.generation ? turn.generation->cut_short(attempt.plan, reason)
                                     : policy::cut_short(attempt.plan, std::exchange(turn.pieces, {}), reason);
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
  if (turn.turn.outcome->committed) {
    offer_to_shadows(turn);
    remember(turn.turn);
  }
  last_used_ = context_->clock->now();
  ended_.push_front(std::move(turn.log));
  if (ended_.size() > ended_logs_max) ended_.pop_back();
  --context_->turns;
  std::erase_if(live_, [&](const auto& each) { return each.get() == &turn; });
  if (!live_.empty()) advance(*live_.front());
}

void ConversationState::offer_to_shadows(LiveTurn& turn) {
  if (turn.turn.attempts.empty()) return;
  std::shared_ptr<const policy::ShadowInput> input;
  for (std::size_t arm = 0; arm < context_->shadows.size(); ++arm) {
    const policy::ShadowExperiment& experiment = context_->shadows[arm].experiment;
    if (!policy::is_about(experiment, turn.turn.ask) || !policy::is_drawn(experiment, turn.turn.id)) continue;
    if (!input) input = std::make_shared<const policy::ShadowInput>(shadow_input(turn));
    self_->send(services_.shadow, ShadowWork{arm, epoch_, input});
  }
}

}  // namespace troupe::actors
