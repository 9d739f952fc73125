// How a turn gets its plan: the summary that it reads, what the question is about, who answers, and the prompt as that model's
// tokens.
#include <algorithm>
#include <utility>

#include "actors/conversation_actor.hpp"
#include "actors/indexed_corpus.hpp"
#include "policy/context.hpp"
#include "policy/early_stop.hpp"
#include "policy/form.hpp"
#include "policy/judgement.hpp"
#include "storage/conversations.hpp"

namespace troupe::actors {

namespace {
constexpr Duration summary_timeout = std::chrono::seconds(60);
/// Escalations are two; more come only of nodes that are lost again and again while they speak to a remote model.
constexpr std::size_t attempts_max = 16;
constexpr std::int32_t rewrite_tokens_max = 96;
}  // namespace

// The summary. Which one a turn reads is a function of the committed turns before it, so one that is late is waited for.

void ConversationState::summarize(LiveTurn& turn) {
  std::vector<policy::TurnSize> sizes;
  for (const Recent& recent : recent_) sizes.push_back({recent.number, recent.tokens});
  const auto keep = static_cast<std::size_t>(context_->routing->recent_turns);
  const std::size_t fold = policy::fold_at_once(sizes, policy::plan_fold(sizes, context_->routing->recent_tokens, keep));
  if (fold == 0) {
    turn.stage = Stage::classify;
    return advance(turn);
  }
  begin_stage(turn, policy::Stage::summary);
  if (contract_of(policy::Stage::summary).fallback != policy::Fallback::wait) {
    if (const auto why = long_unserved(turn, context_->routing->smallest())) {
      return without_summary(turn, policy::Trouble::late, *why);
    }
  }
  SummaryWork work;
  work.key = {{id_, recent_[fold - 1].number}, schemas::Purpose::summarize, static_cast<std::int32_t>(summary_.version)};
  work.epoch = epoch_;
  for (std::size_t i = 0; i < fold; ++i) work.exchanges.push_back(policy::shortened(recent_[i].exchange));
  const auto shown = policy::concerned(memory_, work.exchanges);
  work.before = policy::text_of(shown);
  const std::uint64_t step = begin_step(turn);
  summarizing_ = work.key;
  self_->request(services_.summarizer, summary_timeout, std::move(work))
      .then(
          [this, number = turn.turn.id.number, step, shown, fold](const SummaryText& text) {
            LiveTurn* live = find_step(number, step);
            if (live == nullptr) return;
            summarizing_.reset();
            on_summary(*live, text, shown, fold);
          },
          [this, number = turn.turn.id.number, step](caf::error& error) {
            LiveTurn* live = find_step(number, step);
            if (live == nullptr) return;
            summarizing_.reset();
            const Error why = from_caf(error, "summarising earlier turns");
            if (why.code == ErrorCode::unavailable || why.code == ErrorCode::overloaded) return;  // tick() tries again
            const bool large = why.code == ErrorCode::too_large;
            without_summary(*live, large ? policy::Trouble::oversized : policy::Trouble::failed, why.message);
          });
}

void ConversationState::on_summary(LiveTurn& turn, const SummaryText& reply, const std::vector<policy::MemoryEntry>& shown,
                                   std::size_t folded) {
  const auto kept = checked_summary(turn, reply, folded);
  if (!kept) {
    turn.stage = Stage::classify;
    return advance(turn);
  }
  const SummaryText& text = *kept;
  policy::Summary next = policy::fold(memory_, shown, text.text, recent_[folded - 1].number, context_->routing->summary_tokens);
  next.version = summary_.version + 1;
  next.first_turn = recent_.front().number;
  next.tier = text.tier;
  next.model = text.model;
  record_.summary_version = next.version;
  storage::WriteBatch batch;
  batch.fence = storage::fence_of(id_, epoch_);
  batch.puts.push_back(storage::put_summary(id_, next, epoch_));
  batch.puts.push_back(storage::put_conversation(record_, epoch_));
  commit(turn, std::move(batch), [this, next, folded](LiveTurn& live) {
    summary_ = next;
    policy::remember(memory_, next);
    recent_.erase(recent_.begin(), recent_.begin() + static_cast<std::ptrdiff_t>(folded));
    advance(live);
  });
}

// What the question is about.

void ConversationState::call_model(LiveTurn& turn, schemas::Purpose purpose, policy::ContextParts parts,
                                   std::function<void(LiveTurn&, const ModelCall::Reply&)> then) {
  begin_stage(turn, policy::Stage::intent);
  const policy::RoutingPolicy& routing = *context_->routing;
  const policy::Contract& contract = contract_of(policy::Stage::intent);
  ModelCall::Job job;
  job.key = {turn.turn.id, purpose, 0};
  job.epoch = epoch_;
  const policy::Tier tier = purpose == schemas::Purpose::classify ? routing.classifier() : routing.smallest();
  job.tier = tier;
  job.parts = std::move(parts);
  job.prompt_tokens_max = routing.prompt_tokens[policy::place_of(job.tier)];
  job.prompt_tokens_max = std::min(job.prompt_tokens_max, contract.prompt_tokens_max.value_or(job.prompt_tokens_max));
  job.tokens_max = contract.answer_tokens_max.value_or(rewrite_tokens_max);
  if (purpose == schemas::Purpose::classify) job.tokens_max = std::min(job.tokens_max, routing.intent.reply_tokens_max());
  job.priority = turn.turn.ask.priority;
  job.deadline_ms = turn.turn.accepted_ms + turn.turn.ask.deadline_ms;
  turn.on_reply = std::move(then);
  turn.call = std::make_shared<ModelCall>(context_, engine_link(self_), std::move(job),
                                          [this, number = turn.turn.id.number, purpose](Result<ModelCall::Reply> reply) {
                                            LiveTurn* live = find_live(number);
                                            if (live == nullptr) return;
                                            live->call.reset();
                                            // A small model that fails does not fail the turn: the question is taken as it
                                            // stands.
                                            const ModelCall::Reply checked = checked_reply(*live, purpose, reply);
                                            const auto go_on = std::move(live->on_reply);
                                            go_on(*live, checked);
                                          });
  const auto call = turn.call;
  call->drive();
  if (turn.call == call) give_up_unserved_intent(turn, tier);
}

void ConversationState::classify(LiveTurn& turn) {
  const policy::Grounding grounding = turn.turn.ask.grounding;
  // From here on the turn goes by whether there is a corpus now, or when it is searched; its plans say so.
  turn.corpus_version = corpus_version_of(*context_);
  const bool searchable = !turn.corpus_version.empty() && grounding != policy::Grounding::never;
  if (!searchable && !context_->routing->asks_for_kind()) {
    turn.stage = Stage::route;
    return advance(turn);
  }
  policy::ContextParts parts;
  parts.instruction = context_->routing->intent.prompt;
  parts.question = turn.turn.ask.question;
  call_model(turn, schemas::Purpose::classify, std::move(parts),
             [this, searchable](LiveTurn& live, const ModelCall::Reply& reply) {
               on_classified(live, context_->routing->intent.read(reply.text, reply.result.confidence), searchable);
             });
}

void ConversationState::on_classified(LiveTurn& turn, const policy::TakenFor& taken, bool searchable) {
  const policy::Intent& intent = context_->routing->intent;
  const policy::Ask& ask = turn.turn.ask;
  turn.turn.kind = taken.label;
  turn.turn.kind_said = taken.said;
  turn.turn.kind_confidence = taken.confidence;
  if (auto words = policy::answer_out_of_scope(intent, ask, taken.label)) {
    policy::TurnOutcome outcome;
    outcome.committed = true;
    outcome.answer = *std::move(words);
    outcome.attempt = policy::no_attempt;
    outcome.confidence = taken.confidence.value_or(0);
    outcome.confident = taken.label != policy::unknown_label;
    if (!outcome.confident) outcome.doubt = "nobody is sure what the question is";
    outcome.rule = policy::out_of_scope_rule;
    return commit_outcome(turn, std::move(outcome));
  }
  const policy::IntentLabel& label = intent.label(taken.label);
  turn.grounded = searchable && (ask.grounding == policy::Grounding::always || label.grounded);
  turn.stage = !turn.grounded ? Stage::route : label.follow_up && !recent_.empty() ? Stage::rewrite : Stage::search;
  turn.turn.search = turn.grounded ? ask.question : std::string();
  advance(turn);
}

void ConversationState::rewrite(LiveTurn& turn) {
  policy::ContextParts parts;
  const std::size_t kept = std::min(recent_.size(), policy::rewrite_exchanges_max);
  for (std::size_t i = recent_.size() - kept; i < recent_.size(); ++i) parts.recent.push_back(recent_[i].exchange);
  parts.question = turn.turn.ask.question;
  call_model(turn, schemas::Purpose::rewrite, std::move(parts), [this](LiveTurn& live, const ModelCall::Reply& reply) {
    const auto alone = policy::trimmed(reply.text);
    if (!alone.empty()) live.turn.search = alone;
    live.stage = Stage::search;
    advance(live);
  });
}

void ConversationState::search(LiveTurn& turn) {
  begin_stage(turn, policy::Stage::retrieval);
  const auto tokens_max = contract_of(policy::Stage::retrieval).prompt_tokens_max;
  const std::size_t bytes_max =
      tokens_max ? static_cast<std::size_t>(*tokens_max) * policy::bytes_per_token : turn.turn.search.size();
  const std::uint64_t step = begin_step(turn);
  self_
      ->request(services_.retriever, service_timeout,
                SearchQuery{std::string(policy::beginning_of(turn.turn.search, bytes_max)), context_->routing->passages_max})
      .then(
          [this, number = turn.turn.id.number, step](const SearchResult& result) {
            LiveTurn* live = find_step(number, step);
            if (live == nullptr) return;
            live->waits_for.clear();
            live->passages = result.passages;
            live->corpus_version = result.corpus_version;
            check_passages(*live);
            if (live->turn.attempts.empty()) {
              // It is routed by this. A search after a restart only finds again what an older troupe has not kept.
              live->turn.retrieval_confidence = result.confidence;
            }
            live->stage = live->next_tier ? Stage::prepare : Stage::route;
            advance(*live);
          },
          [this, number = turn.turn.id.number, step](caf::error& error) {
            LiveTurn* live = find_step(number, step);
            if (live != nullptr) live->waits_for = from_caf(error, "searching the corpus").message;  // tick() tries again
          });
}

// Who answers.

policy::ContextParts ConversationState::parts_of(LiveTurn& turn, std::size_t passages_max) const {
  policy::ContextParts parts;
  parts.task = turn.grounded ? policy::Task::answer : policy::Task::chat;
  parts.summary = remembered(turn);
  for (const Recent& recent : recent_) parts.recent.push_back(recent.exchange);
  for (const FoundPassage& found : turn.passages) {
    if (parts.passages.size() < passages_max) parts.passages.push_back({found.passage.name, found.text});
  }
  parts.question = turn.turn.ask.question;
  return parts;
}

bool ConversationState::could_cite(const LiveTurn& turn) const {
  return !turn.corpus_version.empty() && turn.turn.ask.grounding == policy::Grounding::automatic;
}

policy::ShadowInput ConversationState::shadow_input(LiveTurn& turn) const {
  const policy::AttemptPlan& plan = turn.turn.attempts.back().plan;
  policy::ShadowInput input;
  input.turn = policy::without_tokens(turn.turn);
  input.parts = parts_of(turn, turn.passages.size());
  input.could_cite = could_cite(turn);
  input.parts.task = policy::task_of(plan.task).value_or(policy::Task::answer);
  for (const FoundPassage& found : turn.passages) input.passages.push_back(found.passage);
  if (input.passages.empty()) {
    // Its last attempt was planned in another life: what is known here is what that one read.
    input.passages = plan.passages;
    if (turn.sources) input.parts.passages = *turn.sources;
    input.parts.passages.resize(input.passages.size());
  }
  return input;
}

void ConversationState::route(LiveTurn& turn) {
  begin_stage(turn, policy::Stage::reasoning);
  turn.pins = pins_;
  const policy::Ask& ask = turn.turn.ask;
  policy::RouteFacts facts;
  facts.requested = ask.tier;
  facts.assurance = ask.assurance;
  facts.priority = ask.priority;
  facts.latency_budget_ms = ask.latency_budget_ms;
  facts.grounded = turn.grounded;
  if (!turn.turn.kind.empty()) facts.kind = turn.turn.kind;
  facts.kind_confidence = turn.turn.kind_confidence;
  facts.tenant = ask.tenant;
  facts.retrieval_confidence = turn.turn.retrieval_confidence;
  facts.tokens_max = ask.tokens_max;
  facts.prompt_tokens = estimate_tokens(ask.question) + estimate_tokens(remembered(turn));
  for (const Recent& recent : recent_) facts.prompt_tokens += recent.tokens;
  // As the tier that reads fewest would have them; one that may read more has the room for it.
  const auto& readers = context_->routing->prompt_passages;
  const std::size_t read = std::min<std::size_t>(turn.passages.size(), static_cast<std::size_t>(std::ranges::min(readers)));
  for (std::size_t i = 0; i < read; ++i) facts.prompt_tokens += estimate_tokens(turn.passages[i].text);
  turn.context_tokens = facts.prompt_tokens;
  const std::uint64_t step = begin_step(turn);
  self_->request(services_.router, service_timeout, RouteQuery{facts, !turn.late})
      .then(
          [this, number = turn.turn.id.number, step](const policy::RouteDecision& decision) {
            LiveTurn* live = find_step(number, step);
            if (live == nullptr) return;
            live->route = decision;
            live->next_tier = decision.start();
            live->next_why = decision.why;
            live->waits_for.clear();
            live->late = false;
            live->stage = Stage::prepare;
            advance(*live);
          },
          [this, number = turn.turn.id.number, step](caf::error& error) {
            LiveTurn* live = find_step(number, step);
            if (live == nullptr) return;
            Error why = from_caf(error, "choosing who answers");
            if (why.code == ErrorCode::unavailable) {
              live->waits_for = why.message;
              return;  // the question waits for the tier
            }
            live->doom = std::move(why);
            advance(*live);
          });
}

void ConversationState::prepare(LiveTurn& turn) {
  begin_stage(turn, policy::Stage::reasoning);
  const auto cluster = context_->cluster.load();
  const auto place = place_for(*context_, *cluster, *turn.next_tier, last_place_);
  const EngineActor engine = place ? engine_at(*cluster, *place) : EngineActor{};
  if (!engine) {
    turn.waits_for = "no node serves tier " + std::string(to_string(*turn.next_tier));
    return give_up_unserved_attempt(turn);  // or the turn waits for the tier
  }
  const policy::Contract& contract = contract_of(policy::Stage::reasoning);
  const std::int32_t readable = context_->routing->prompt_tokens[policy::place_of(*turn.next_tier)];
  const std::int32_t budget = std::min(readable, contract.prompt_tokens_max.value_or(readable));
  const auto passages = static_cast<std::size_t>(context_->routing->prompt_passages[policy::place_of(*turn.next_tier)]);
  turn.pins = pins_;
  const std::uint64_t step = begin_step(turn);
  engine_link(self_).prepare(engine, {schemas::Purpose::answer, parts_of(turn, passages), budget},
                             [this, number = turn.turn.id.number, step](Result<schemas::EnginePrepared> prepared) {
                               LiveTurn* live = find_step(number, step);
                               if (live == nullptr) return;
                               if (prepared) return plan(*live, *std::move(prepared));
                               const ErrorCode code = prepared.error().code;
                               if (code == ErrorCode::unavailable || code == ErrorCode::overloaded) {
                                 live->waits_for = prepared.error().message;
                                 return;  // tick() tries again
                               }
                               const std::string& what = prepared.error().message;
                               if (code == ErrorCode::too_large && skip_tier(*live, policy::Trouble::oversized, what)) return;
                               live->doom = prepared.error();
                               advance(*live);
                             });
}

void ConversationState::plan(LiveTurn& turn, schemas::EnginePrepared prepared) {
  turn.waits_for.clear();
  policy::AttemptPlan plan;
  if (turn.turn.attempts.size() >= attempts_max) {
    turn.doom = Error{ErrorCode::unavailable,
                      std::to_string(attempts_max) + " attempts came to nothing, the last because " + turn.next_why};
    return advance(turn);
  }
  plan.attempt = static_cast<std::int32_t>(turn.turn.attempts.size());
  plan.event_number = policy::next_attempt_number(turn.turn);
  plan.tier = *turn.next_tier;
  plan.why = turn.next_why;
  plan.model = prepared.model;
  const std::int32_t asked = turn.turn.ask.tokens_max;
  plan.tokens_max = std::min({asked, contract_of(policy::Stage::reasoning).answer_tokens_max.value_or(asked),
                              prepared.context_max - static_cast<std::int32_t>(prepared.prompt.size())});
  if (plan.tokens_max < 1) {
    turn.doom = Error{ErrorCode::too_large, "the prompt of " + std::to_string(prepared.prompt.size()) +
                                                " tokens leaves no room for an answer in a context of " +
                                                std::to_string(prepared.context_max)};
    return advance(turn);
  }
  plan.prompt = std::move(prepared.prompt);
  plan.messages = std::move(prepared.messages);
  plan.price = context_->routing->price[policy::place_of(plan.tier)];
  policy::follow_route(turn.route, turn.turn.ask.sampling, plan);
  plan.log_probability_sum_min = policy::least_log_probability_sum(*context_->routing, plan);
  plan.seed = *turn.turn.ask.seed;
  plan.task = policy::to_string(turn.grounded ? policy::Task::answer : policy::Task::chat);
  plan.summary_version = summary_.version;
  plan.pins_version = turn.pins.version;
  plan.recalled = recalled(turn);
  plan.left_out = left_out(turn, prepared);
  const std::size_t first = prepared.recent_left_out;
  plan.first_turn = first < recent_.size() ? recent_[first].number : 0;
  turn.sources.emplace();
  for (const std::uint32_t place : prepared.passages) {
    const FoundPassage& found = turn.passages.at(place);
    plan.passages.push_back(found.passage);
    turn.sources->push_back({found.passage.name, found.text});
  }
  plan.corpus_version = turn.corpus_version;
  // It was routed before the turn's first attempt, which may be before a restart.
  plan.context_tokens = turn.turn.attempts.empty() ? turn.context_tokens : turn.turn.attempts.front().plan.context_tokens;

  storage::WriteBatch batch;
  batch.fence = storage::fence_of(id_, epoch_);
  // With what it was taken for, what was searched, and which fallbacks were taken: an escalation after a restart reads the
  // same.
  batch.puts = storage::put_accepted(turn.turn, epoch_);
  if (!turn.turn.attempts.empty()) {
    const policy::Attempt& before = turn.turn.attempts.back();
    batch.puts.push_back(storage::put_result(turn.turn.id, before.plan.attempt, *before.result, epoch_));
  }
  batch.puts.push_back(storage::put_plan(turn.turn.id, plan, epoch_));
  if (!turn.passages.empty() && !std::exchange(turn.passages_kept, true)) {
    batch.puts.push_back(storage::put_found(turn.turn.id, turn.passages, epoch_));
  }
  turn.stage = Stage::plan;
  commit(turn, std::move(batch), [this, plan](LiveTurn& live) {
    live.turn.attempts.push_back({plan, std::nullopt});
    live.stage = Stage::generate;
    show(live);
    advance(live);
  });
}

}  // namespace troupe::actors
