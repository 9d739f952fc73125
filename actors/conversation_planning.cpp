// How a turn gets its plan: the summary that it reads, what the question is about, who answers, and the prompt as that model's
// tokens.
#include <algorithm>
#include <utility>

#include "actors/conversation_actor.hpp"
#include "policy/context.hpp"
#include "storage/conversations.hpp"

namespace troupe::actors {

namespace {
constexpr Duration summary_timeout = std::chrono::seconds(60);
constexpr std::int32_t classify_tokens_max = 16;
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
            summarizing_.reset();
            if (LiveTurn* live = find_step(number, step)) on_summary(*live, text, shown, fold);
          },
          [this, number = turn.turn.id.number, step](caf::error& error) {
            summarizing_.reset();
            LiveTurn* live = find_step(number, step);
            if (live == nullptr) return;
            const Error why = from_caf(error, "summarising earlier turns");
            if (why.code != ErrorCode::unavailable && why.code != ErrorCode::overloaded) live->doom = why;
          });
}

void ConversationState::on_summary(LiveTurn& turn, const SummaryText& text, const std::vector<policy::MemoryEntry>& shown,
                                   std::size_t folded) {
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
                                   std::function<void(LiveTurn&, const std::string&)> then) {
  ModelCall::Job job;
  job.key = {turn.turn.id, purpose, 0};
  job.epoch = epoch_;
  job.tier = context_->routing->smallest();
  job.parts = std::move(parts);
  job.prompt_tokens_max = context_->routing->prompt_tokens[policy::place_of(job.tier)];
  job.tokens_max = purpose == schemas::Purpose::classify ? classify_tokens_max : rewrite_tokens_max;
  job.priority = turn.turn.ask.priority;
  job.deadline_ms = turn.turn.accepted_ms + turn.turn.ask.deadline_ms;
  turn.call = std::make_shared<ModelCall>(context_, engine_link(self_), std::move(job),
                                          [this, number = turn.turn.id.number, then](Result<ModelCall::Reply> reply) {
                                            LiveTurn* live = find_live(number);
                                            if (live == nullptr) return;
                                            live->call.reset();
                                            // A small model that fails does not fail the turn: the question is taken as it
                                            // stands.
                                            then(*live, reply ? reply->text : std::string());
                                          });
  const auto call = turn.call;
  call->drive();
}

void ConversationState::classify(LiveTurn& turn) {
  const policy::Grounding grounding = turn.turn.ask.grounding;
  const bool searchable = services_.retriever && grounding != policy::Grounding::never;
  if (!searchable && !context_->routing->asks_for_kind()) {
    turn.stage = Stage::route;
    return advance(turn);
  }
  policy::ContextParts parts;
  parts.question = turn.turn.ask.question;
  call_model(turn, schemas::Purpose::classify, std::move(parts),
             [this, grounding, searchable](LiveTurn& live, const std::string& reply) {
               const policy::Kind kind = policy::kind_of(reply);
               live.turn.kind = policy::to_string(kind);
               live.grounded = searchable && (grounding == policy::Grounding::always || policy::is_grounded(kind));
               live.stage = !live.grounded                                        ? Stage::route
                            : kind == policy::Kind::follow_up && !recent_.empty() ? Stage::rewrite
                                                                                  : Stage::search;
               live.turn.search = live.grounded ? live.turn.ask.question : std::string();
               advance(live);
             });
}

void ConversationState::rewrite(LiveTurn& turn) {
  policy::ContextParts parts;
  const std::size_t kept = std::min(recent_.size(), policy::rewrite_exchanges_max);
  for (std::size_t i = recent_.size() - kept; i < recent_.size(); ++i) parts.recent.push_back(recent_[i].exchange);
  parts.question = turn.turn.ask.question;
  call_model(turn, schemas::Purpose::rewrite, std::move(parts), [this](LiveTurn& live, const std::string& reply) {
    const auto alone = policy::trimmed(reply);
    if (!alone.empty()) live.turn.search = alone;
    live.stage = Stage::search;
    advance(live);
  });
}

void ConversationState::search(LiveTurn& turn) {
  const std::uint64_t step = begin_step(turn);
  self_->request(services_.retriever, service_timeout, SearchQuery{turn.turn.search, context_->routing->passages_max})
      .then(
          [this, number = turn.turn.id.number, step](const SearchResult& result) {
            LiveTurn* live = find_step(number, step);
            if (live == nullptr) return;
            live->passages = result.passages;
            live->corpus_version = result.corpus_version;
            if (live->turn.attempts.empty()) {
              // It is routed by this. A search after a restart only finds its passages again.
              live->turn.retrieval_confidence = result.confidence;
            }
            live->stage = live->next_tier ? Stage::prepare : Stage::route;
            advance(*live);
          },
          [this, number = turn.turn.id.number, step](caf::error&) { find_step(number, step); });
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

void ConversationState::route(LiveTurn& turn) {
  const policy::Ask& ask = turn.turn.ask;
  policy::RouteFacts facts;
  facts.requested = ask.tier;
  facts.assurance = ask.assurance;
  facts.priority = ask.priority;
  facts.latency_budget_ms = ask.latency_budget_ms;
  facts.grounded = turn.grounded;
  if (!turn.turn.kind.empty()) facts.kind = policy::kind_named(turn.turn.kind);
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
  self_->request(services_.router, service_timeout, RouteQuery{facts})
      .then(
          [this, number = turn.turn.id.number, step](const policy::RouteDecision& decision) {
            LiveTurn* live = find_step(number, step);
            if (live == nullptr) return;
            live->route = decision;
            live->next_tier = decision.start();
            live->next_why = decision.why;
            live->waits_for.clear();
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
  const auto cluster = context_->cluster.load();
  const auto views = views_of(*cluster);
  const auto place = policy::choose_place(views, policy::places_of(views, *turn.next_tier), last_place_, context_->self);
  const EngineActor engine = place ? engine_at(*cluster, *place) : EngineActor{};
  if (!engine) {
    turn.waits_for = "no node serves tier " + std::string(to_string(*turn.next_tier));
    return;  // the turn waits for the tier
  }
  const std::int32_t budget = context_->routing->prompt_tokens[policy::place_of(*turn.next_tier)];
  const auto passages = static_cast<std::size_t>(context_->routing->prompt_passages[policy::place_of(*turn.next_tier)]);
  turn.pins_version = pins_.version;
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
  plan.rule = turn.route.rule;
  plan.model = prepared.model;
  plan.tokens_max =
      std::min(turn.turn.ask.tokens_max, prepared.context_max - static_cast<std::int32_t>(prepared.prompt.size()));
  if (plan.tokens_max < 1) {
    turn.doom = Error{ErrorCode::too_large, "the prompt of " + std::to_string(prepared.prompt.size()) +
                                                " tokens leaves no room for an answer in a context of " +
                                                std::to_string(prepared.context_max)};
    return advance(turn);
  }
  plan.prompt = std::move(prepared.prompt);
  plan.messages = std::move(prepared.messages);
  plan.price = context_->routing->price[policy::place_of(plan.tier)];
  if (!turn.route.greedy) plan.sampling = turn.route.sampling.value_or(turn.turn.ask.sampling);
  plan.seed = *turn.turn.ask.seed;
  for (auto rung = turn.route.ladder.begin(); rung != turn.route.ladder.end(); ++rung) {
    if (rung->tier != plan.tier) continue;
    plan.confidence_min = rung->confidence_min;
    plan.second_opinion = rung->second_opinion;
    plan.escalation.assign(std::next(rung), turn.route.ladder.end());
  }
  plan.held_back = turn.route.held_back;
  plan.task = policy::to_string(turn.grounded ? policy::Task::answer : policy::Task::chat);
  plan.summary_version = summary_.version;
  plan.pins_version = turn.pins_version;
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
  if (turn.turn.attempts.empty()) {
    // With what it was taken for and what was searched: an escalation after a restart reads the same passages.
    batch.puts = storage::put_accepted(turn.turn, epoch_);
  } else {
    const policy::Attempt& before = turn.turn.attempts.back();
    batch.puts.push_back(storage::put_result(turn.turn.id, before.plan.attempt, *before.result, epoch_));
  }
  batch.puts.push_back(storage::put_plan(turn.turn.id, plan, epoch_));
  turn.stage = Stage::plan;
  commit(turn, std::move(batch), [this, plan](LiveTurn& live) {
    live.turn.attempts.push_back({plan, std::nullopt});
    live.stage = Stage::generate;
    show(live);
    advance(live);
  });
}

}  // namespace troupe::actors
