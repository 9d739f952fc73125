// A conversation's messages; what is done for a turn is in conversation_turns.cpp.
#include "actors/conversation_actor.hpp"

#include <algorithm>
#include <utility>

#include "storage/conversations.hpp"

namespace troupe::actors {

namespace {
constexpr Duration tick_every = std::chrono::milliseconds(200);
constexpr Duration reader_silence_max = std::chrono::seconds(10);
constexpr Duration idle_after = std::chrono::seconds(60);
constexpr Duration abandoned_after = std::chrono::milliseconds(300);  ///< a client that only lost its connection may be back
constexpr std::uint32_t history_page_max = 64;

template <class T>
void refuse(caf::typed_response_promise<T>& promise, const Error& error) {
  promise.deliver(to_caf(error));
}

Error key_of_another(const policy::Turn& turn) {
  return {ErrorCode::invalid_argument, "the idempotency key \"" + turn.ask.idempotency_key +
                                           "\" was used for another question, turn " + to_string(turn.id) +
                                           "; a key stands for one question, choose another"};
}

}  // namespace

ConversationState::~ConversationState() {
  if (context_) context_->turns -= static_cast<std::int32_t>(live_.size());
}

void ConversationState::push_live(std::unique_ptr<LiveTurn> turn) {
  live_.push_back(std::move(turn));
  ++context_->turns;
}

ConversationActor::behavior_type ConversationState::start(NodeContextPtr context, Services services, policy::ConversationId id,
                                                          bool create, OnIdle on_idle) {
  context_ = std::move(context);
  services_ = std::move(services);
  id_ = id;
  create_ = create;
  on_idle_ = std::move(on_idle);
  began_ = context_->clock->now();
  install_defaults(self_);
  read_mark();
  return {
      [this](const schemas::HomeOpen& open) { return on_open(open); },
      [this](const schemas::HomeAsk& ask) { return on_ask(ask); },
      [this](const schemas::HomeMore& more) { on_more(more); },
      [this](const schemas::HomeLeave& leave) { on_leave(leave); },
      [this](const schemas::HomeCancel& cancel) { return on_cancel(cancel); },
      [this](const schemas::HomeHistory& history) { return on_history(history); },
      [this](const schemas::HomeTurn& turn) { return on_turn(turn); },
      [this](const schemas::HomePin& pin) { return on_pin(pin); },
      [this](const schemas::EngineEmissions& emissions) { on_emissions(emissions); },
      [this](const schemas::EngineFinished& finished) { on_finished(finished); },
      [this](const schemas::HomeHandOver& over) { on_hand_over(over); },
      [](const Continuation& next) { next.run(); },
      [this](const MoveAway& move) { return on_move(move); },
  };
}

caf::result<schemas::HomeOpened> ConversationState::on_open(const schemas::HomeOpen& open) {
  static_cast<void>(open);
  return answer<schemas::HomeOpened>(
      0, [this](Promise<schemas::HomeOpened> promise) { promise.deliver(schemas::HomeOpened{epoch_, record_.turns}); });
}

caf::result<schemas::HomeAccepted> ConversationState::on_ask(const schemas::HomeAsk& ask) {
  return answer<schemas::HomeAccepted>(ask.epoch, [this, asked = ask.ask](Promise<schemas::HomeAccepted> promise) {
    if (context_->draining) {
      return refuse(promise,
                    {ErrorCode::unavailable, "node " + context_->self.value + ", which has the conversation, is about to end"});
    }
    if (auto valid = policy::check_ask(asked); !valid) return refuse(promise, valid.error());
    for (const auto& turn : live_) {
      // A turn that is not durable yet is answered for by its own commit.
      if (turn->turn.ask.idempotency_key == asked.idempotency_key) return join(*turn, asked, promise);
    }
    using Found = Result<std::optional<policy::Turn>>;
    auto looked_up = resume(self_, std::function<void(Found)>([this, asked, promise](Found found) mutable {
                              if (!found) return refuse(promise, found.error());
                              if (!*found) return accept(asked, promise);
                              const policy::Turn& turn = **found;
                              if (turn.ask.question != asked.question) return refuse(promise, key_of_another(turn));
                              promise.deliver(schemas::HomeAccepted{turn.id.number});
                            }));
    context_->journal->read([id = id_, key = asked.idempotency_key, looked_up](const storage::Store& store) {
      const auto number = storage::find_turn(store, id, key);
      if (!number) return looked_up(number.error());
      looked_up(*number ? storage::read_turn(store, {id, **number}) : Found(std::nullopt));
    });
  });
}

void ConversationState::join(LiveTurn& turn, const policy::Ask& ask, Promise<schemas::HomeAccepted> promise) {
  if (turn.turn.ask.question != ask.question) return refuse(promise, key_of_another(turn.turn));
  if (turn.accepting) {
    turn.accepting->push_back(std::move(promise));
  } else {
    promise.deliver(schemas::HomeAccepted{turn.turn.id.number});
  }
}

void ConversationState::accept(const policy::Ask& ask, Promise<schemas::HomeAccepted> promise) {
  if (moving_) return refuse(promise, check_home(0).error());
  for (const auto& turn : live_) {
    // The same key twice at once: the first has become a turn while this one was looked up.
    if (turn->turn.ask.idempotency_key != ask.idempotency_key) continue;
    return join(*turn, ask, promise);
  }
  if (live_.size() >= live_turns_max) {
    return refuse(promise, {ErrorCode::overloaded,
                            "the conversation has " + std::to_string(live_.size()) + " unanswered turns; wait for one to end"});
  }
  policy::Turn turn;
  turn.id = {id_, record_.turns + 1};
  turn.ask = ask;
  if (!turn.ask.seed) turn.ask.seed = context_->entropy->draw();
  turn.accepted_ms = context_->wall->now_ms();
  record_.turns = turn.id.number;
  storage::WriteBatch batch;
  batch.fence = storage::fence_of(id_, epoch_);
  batch.puts = storage::put_accepted(turn, epoch_);
  batch.puts.push_back(storage::put_conversation(record_, epoch_));
  push_live(std::make_unique<LiveTurn>(std::move(turn)));
  LiveTurn& live = *live_.back();
  live.accepting = std::vector{promise};
  commit(live, std::move(batch), [this](LiveTurn& accepted) {
    LiveTurn::Waiting askers = *std::exchange(accepted.accepting, std::nullopt);
    for (auto& waiting : askers) {
      waiting.deliver(schemas::HomeAccepted{accepted.turn.id.number});
    }
    show(accepted);
    advance(*live_.front());
  });
  keep_ticking();
}

void ConversationState::on_more(const schemas::HomeMore& more) {
  when_ready([this, more](const Result<void>& ready) {
    last_used_ = context_->clock->now();
    if (!ready) return fail_reader(more, ready.error());
    if (const auto home = check_home(more.epoch); !home) return fail_reader(more, home.error());
    if (more.turn.number == 0 || more.turn.number > record_.turns) {
      return fail_reader(more, {ErrorCode::not_found, "the conversation has " + std::to_string(record_.turns) +
                                                          " turns, and none of number " + std::to_string(more.turn.number)});
    }
    LiveTurn* live = find_live(more.turn.number);
    TurnLog* log = live != nullptr ? &live->log : find_ended(more.turn.number);
    if (log == nullptr) return read_ended(more);
    if (log->complete() && more.from > log->events().back().number) {
      return fail_reader(more, {ErrorCode::out_of_range, "turn " + to_string(more.turn) + " ended with event " +
                                                             std::to_string(log->events().back().number) +
                                                             ", and has none from " + std::to_string(more.from) + " on"});
    }
    if (!log->more(more.reader, more.from, more.credit, more.again, context_->clock->now())) {
      return fail_reader(more, {ErrorCode::overloaded, "the turn has " + std::to_string(TurnLog::readers_max) + " readers"});
    }
    deliver(*log);
  });
}

void ConversationState::fail_reader(const schemas::HomeMore& more, const Error& error) {
  const auto cluster = context_->cluster.load();
  const Peer* peer = cluster->find(more.reader.node);
  if (peer != nullptr && peer->handles.reader) {
    self_->send(peer->handles.reader, schemas::ReaderFailed{more.reader.number, more.turn, error.code, error.message});
  }
}

void ConversationState::read_ended(const schemas::HomeMore& more) {
  using Read = std::shared_ptr<Result<std::optional<policy::Turn>>>;
  auto done = resume(self_, std::function<void(Read)>([this, more](const Read& turn) {
                       if (!*turn) return fail_reader(more, turn->error());
                       if (!**turn || !(**turn)->outcome) return;  // it ended a moment ago; the reader asks again
                       if (find_ended(more.turn.number) == nullptr) {
                         ended_.emplace_front(more.turn);
                         ended_.front().append(policy::events_of(***turn));
                         if (ended_.size() > ended_logs_max) ended_.pop_back();
                       }
                       on_more(more);
                     }));
  context_->journal->read([turn = more.turn, done](const storage::Store& store) {
    done(std::make_shared<Result<std::optional<policy::Turn>>>(storage::read_turn(store, turn)));
  });
}

void ConversationState::deliver(TurnLog& log) {
  if (!context_->session.valid(context_->clock->now())) return;
  auto deliveries = log.take_deliveries();
  if (deliveries.empty()) return;
  const auto cluster = context_->cluster.load();
  for (TurnLog::Delivery& delivery : deliveries) {
    const Peer* peer = cluster->find(delivery.node);
    if (peer != nullptr && peer->handles.reader) self_->send(peer->handles.reader, std::move(delivery.events));
  }
}

void ConversationState::on_leave(const schemas::HomeLeave& leave) {
  if (TurnLog* ended = find_ended(leave.turn.number)) ended->leave(leave.reader);
  LiveTurn* live = find_live(leave.turn.number);
  if (live == nullptr) return;
  live->log.leave(leave.reader);
  if (!leave.abandoned || live->turn.ask.keep_if_unread || live->log.read()) return;
  after(self_, abandoned_after, [this, number = leave.turn.number] {
    LiveTurn* turn = find_live(number);
    if (turn == nullptr || turn->log.read() || turn->doom) return;
    turn->doom = Error{ErrorCode::cancelled, "its reader went away"};
    advance(*turn);
  });
}

caf::result<schemas::HomeAccepted> ConversationState::on_cancel(const schemas::HomeCancel& cancel) {
  return answer<schemas::HomeAccepted>(
      cancel.epoch, [this, number = cancel.turn.number](Promise<schemas::HomeAccepted> promise) {
        if (number == 0 || number > record_.turns) {
          return refuse(promise, {ErrorCode::not_found, "there is no turn " + std::to_string(number)});
        }
        LiveTurn* turn = find_live(number);
        if (turn == nullptr) {
          promise.deliver(schemas::HomeAccepted{number});
          return;
        }
        turn->ending.push_back(promise);
        if (!turn->doom) turn->doom = Error{ErrorCode::cancelled, "cancelled by its client"};
        advance(*turn);
      });
}

caf::result<schemas::HomeHistoryPage> ConversationState::on_history(const schemas::HomeHistory& history) {
  return answer<schemas::HomeHistoryPage>(history.epoch, [this, history](Promise<schemas::HomeHistoryPage> promise) {
    using Page = std::shared_ptr<Result<schemas::HomeHistoryPage>>;
    auto done = resume(self_, std::function<void(Page)>([promise](const Page& page) mutable {
                         if (!*page) return refuse(promise, page->error());
                         promise.deliver(std::move(**page));
                       }));
    const auto limit = std::clamp<std::uint32_t>(history.limit, 1, history_page_max);
    context_->journal->read([id = id_, from = history.from, limit, turns = record_.turns, done](const storage::Store& store) {
      const auto read = [&]() -> Result<schemas::HomeHistoryPage> {
        schemas::HomeHistoryPage page;
        TROUPE_TRY(page.turns, storage::read_turns(store, id, from, limit));
        for (policy::Turn& turn : page.turns) {
          for (policy::Attempt& attempt : turn.attempts) {
            attempt.plan.prompt.clear();
            attempt.plan.messages.clear();
            if (attempt.result) attempt.result->emissions.clear();
          }
        }
        page.more = !page.turns.empty() && page.turns.back().id.number < turns;
        if (page.turns.empty()) return page;
        TROUPE_TRY(page.summaries, storage::read_summaries_of(store, id, from, page.turns.back().id.number));
        return page;
      };
      done(std::make_shared<Result<schemas::HomeHistoryPage>>(read()));
    });
  });
}

caf::result<policy::Turn> ConversationState::on_turn(const schemas::HomeTurn& request) {
  return answer<policy::Turn>(request.epoch, [this, id = request.turn](Promise<policy::Turn> promise) {
    if (const LiveTurn* live = find_live(id.number); live != nullptr && !live->accepting) {
      promise.deliver(live->turn);
      return;
    }
    using Read = std::shared_ptr<Result<std::optional<policy::Turn>>>;
    auto done = resume(self_, std::function<void(Read)>([promise, id](const Read& turn) mutable {
                         if (!*turn) return refuse(promise, turn->error());
                         if (!**turn) return refuse(promise, {ErrorCode::not_found, "there is no turn " + to_string(id)});
                         promise.deliver(std::move(***turn));
                       }));
    context_->journal->read([id, done](const storage::Store& store) {
      done(std::make_shared<Result<std::optional<policy::Turn>>>(storage::read_turn(store, id)));
    });
  });
}

void ConversationState::on_emissions(const schemas::EngineEmissions& emissions) {
  LiveTurn* turn = find_live(emissions.key.turn.number);
  if (turn == nullptr || moving_) return;
  if (const auto call = turn->call) call->take(emissions);
  if (!turn->generation) return;
  auto next = turn->generation->take(emissions);
  const policy::AttemptPlan& plan = turn->turn.attempts.back().plan;
  if (next.empty() || plan.held_back) return;
  if (plan.model.remote()) return keep_pieces(*turn, std::move(next));
  for (policy::Emission& emission : next) {
    const auto number = plan.event_number + 1 + static_cast<std::uint64_t>(emission.first_index);
    turn->log.append(
        {number, policy::TokensEvent{plan.attempt, emission.first_index, std::move(emission.ids), std::move(emission.text)}});
  }
  deliver(turn->log);
}

void ConversationState::on_finished(const schemas::EngineFinished& finished) {
  LiveTurn* turn = find_live(finished.key.turn.number);
  if (turn == nullptr || moving_) return;
  if (const auto call = turn->call) return call->take(finished);  // kept by the copy: the reply ends the call
  if (!turn->generation) return;
  auto end = turn->generation->take(finished);
  if (!end) {
    if (turn->generation->lost()) lose(*turn);
    return;
  }
  if (finished.error) {
    context_->log(LogLevel::warning, "attempt failed",
                  {{"turn", to_string(turn->turn.id)}, {"node", finished.result.node}, {"why", finished.message}});
  }
  if (!*end) {
    turn->doom = end->error();
    return advance(*turn);
  }
  on_generated(*turn, **std::move(end), finished.error ? finished.message : std::string());
}

void ConversationState::keep_ticking() {
  if (std::exchange(ticking_, true)) return;
  after(self_, tick_every, [this] {
    ticking_ = false;
    tick();
  });
}

void ConversationState::tick() {
  if (moving_) return;  // it ends in this or that way
  const TimePoint now = context_->clock->now();
  for (TurnLog& log : ended_) log.leave_silent(now - reader_silence_max);
  const bool read = std::any_of(ended_.begin(), ended_.end(), [](const TurnLog& log) { return log.read(); });
  if (live_.empty() && !read && now - last_used_ >= idle_after) {
    // What still arrives is answered with an error, and asked again of whoever wakes up next.
    ready_ = Error{ErrorCode::unavailable, "the conversation is just going to sleep"};
    return on_idle_(id_);
  }
  keep_ticking();
  if (!context_->session.valid(now)) return;
  if (!live_.empty()) keep_contract(*live_.front());
  const std::int64_t now_ms = context_->wall->now_ms();
  std::vector<std::uint32_t> numbers;
  for (const auto& turn : live_) {
    numbers.push_back(turn->turn.id.number);
    turn->log.leave_silent(now - reader_silence_max);
    const bool troubled = turn->generation && turn->generation->trouble();
    const std::string waits_for = troubled     ? turn->generation->trouble()->message
                                  : turn->call ? turn->call->waits_for()
                                               : turn->waits_for;
    if (!turn->doom && now_ms - turn->turn.accepted_ms >= turn->turn.ask.deadline_ms) {
      turn->doom =
          Error{ErrorCode::deadline_exceeded, "no answer within the " + std::to_string(turn->turn.ask.deadline_ms) +
                                                  " ms that were asked for" + (waits_for.empty() ? "" : ": " + waits_for)};
    }
  }
  // Advancing one may end it, and change the queue.
  for (const std::uint32_t number : numbers) {
    if (LiveTurn* turn = find_live(number)) advance(*turn);
  }
}

TurnLog* ConversationState::find_ended(std::uint32_t number) {
  for (auto log = ended_.begin(); log != ended_.end(); ++log) {
    if (log->turn().number != number) continue;
    ended_.splice(ended_.begin(), ended_, log);
    return &ended_.front();
  }
  return nullptr;
}

LiveTurn* ConversationState::find_live(std::uint32_t number) {
  for (const auto& turn : live_) {
    if (turn->turn.id.number == number) return turn.get();
  }
  return nullptr;
}

void ConversationState::give_up(const Error& error) {
  context_->log(LogLevel::warning, "conversation begins again from its records",
                {{"conversation", to_string(id_)}, {"why", error.message}});
  for (const auto& turn : live_) {
    if (turn->accepting) {
      for (auto& promise : *turn->accepting) promise.deliver(to_caf(error));
    }
    for (auto& promise : turn->ending) promise.deliver(to_caf(error));
  }
  for (Pinning& waiting : pinning_) waiting.promise.deliver(to_caf(error));
  if (moving_) moving_->promise.deliver(to_caf(error));
  self_->quit(to_caf(error));
}

ConversationActor::behavior_type conversation_actor(ConversationActor::stateful_pointer<ConversationState> self,
                                                    NodeContextPtr context, Services services, policy::ConversationId id,
                                                    bool create, OnIdle on_idle) {
  return self->state.start(std::move(context), std::move(services), id, create, std::move(on_idle));
}

}  // namespace troupe::actors
