// How a conversation goes to another node: it falls silent, what it has written becomes durable, all its records are sent and
// durable there, the lease moves, and the other node goes on. Whatever fails on the way ends this actor; it begins again from
// its records if the lease is still here, under a new epoch, in which nothing of the move counts any more.
#include <utility>

#include "actors/conversation_actor.hpp"
#include "storage/copies.hpp"

namespace troupe::actors {

namespace {
constexpr Duration take_timeout = std::chrono::seconds(3);
constexpr Duration lease_timeout = std::chrono::seconds(1);
constexpr Duration again_after = std::chrono::milliseconds(100);
constexpr Duration patience = std::chrono::seconds(5);  ///< with one step
/// Of one message there is more than the record: leave room for it.
constexpr std::size_t record_bytes_max = schemas::cluster_message_bytes_max - (std::size_t{64} << 10);

bool passes(ErrorCode code) { return code == ErrorCode::unavailable || code == ErrorCode::overloaded; }
}  // namespace

caf::result<MovedAway> ConversationState::on_move(const MoveAway& move) {
  return answer<MovedAway>(0, [this, to = move.to](Promise<MovedAway> promise) {
    moving_ = Moving{to, promise};
    context_->log(LogLevel::debug, "moves away", {{"conversation", to_string(id_)}, {"to", to.value}});
    fall_silent();
    send_when_written();
  });
}

void ConversationState::fall_silent() {
  for (const auto& turn : live_) {
    turn->call.reset();
    // An attempt of a remote model is not taken over: the next home makes another one.
    if (turn->generation && turn->generation->place() && !turn->generation->remote()) {
      moving_->runs = turn->turn.id.number;
      last_place_ = turn->generation->place();
      turn->generation->let_go();
    }
    turn->generation.reset();
    for (auto& promise : std::exchange(turn->ending, {})) promise.deliver(to_caf(check_home(0).error()));
  }
  if (summarizing_) self_->send(services_.summarizer, SummaryForget{*summarizing_});
}

void ConversationState::send_when_written() {
  if (!moving_ || moving_->sending || writes_ > 0) return;
  moving_->sending = true;
  // From here on whoever begins again with these records asks for a new epoch, so that nothing of this move can come true
  // later.
  context_->journal->commit(storage::mark_copy(id_, epoch_),
                            resume(self_, std::function<void(Result<void>)>([this](const Result<void>& marked) {
                                     if (!marked) return give_up(marked.error());
                                     send_piece({});
                                   })));
}

void ConversationState::send_piece(const std::string& begin) {
  using Read = std::shared_ptr<Result<storage::Piece>>;
  auto read =
      resume(self_, std::function<void(Read)>([this](const Read& piece) {
               if (!*piece) return give_up(piece->error());
               auto take = std::make_shared<schemas::HomeTake>();
               take->conversation = id_;
               take->from = context_->self;
               take->epoch = epoch_;
               take->begin = std::move((*piece)->begin);
               take->end = std::move((*piece)->end);
               take->records = std::move((*piece)->records);
               if (take->records.size() == 1 && take->records.front().second.size() > record_bytes_max) {
                 return give_up({ErrorCode::too_large, "a record of " + std::to_string(take->records.front().second.size()) +
                                                           " bytes fits into no message between nodes"});
               }
               offer(take, context_->clock->now() + patience);
             }));
  context_->journal->read([id = id_, begin, read](const storage::Store& store) {
    read(std::make_shared<Result<storage::Piece>>(storage::read_piece(store, id, begin)));
  });
}

void ConversationState::offer(const std::shared_ptr<const schemas::HomeTake>& take, TimePoint give_up_at) {
  const auto failed = [this, take, give_up_at](const Error& error) {
    if (!passes(error.code) || context_->clock->now() >= give_up_at) return give_up(error);
    after(self_, again_after, [this, take, give_up_at] { offer(take, give_up_at); });
  };
  const auto cluster = context_->cluster.load();
  const Peer* peer = cluster->find(moving_->to);
  if (peer == nullptr || !peer->handles.home) {
    return failed({ErrorCode::unavailable, "node " + moving_->to.value + ", which is to take the conversation, is away"});
  }
  self_->request(peer->handles.home, take_timeout, *take)
      .then(
          [this, take](const schemas::HomeTaken& /*taken*/) {
            if (!take->end.empty()) return send_piece(take->end);
            move_lease(context_->clock->now() + patience);
          },
          [failed](caf::error& error) { failed(from_caf(error, "sending a conversation's records")); });
}

void ConversationState::move_lease(TimePoint give_up_at) {
  const auto failed = [this, give_up_at](const Error& error) {
    if (!passes(error.code) || context_->clock->now() >= give_up_at) return give_up(error);
    after(self_, again_after, [this, give_up_at] { move_lease(give_up_at); });
  };
  const auto cluster = context_->cluster.load();
  const Peer* holder = cluster->lease_holder();
  if (holder == nullptr || !holder->handles.lease) {
    return failed({ErrorCode::unavailable, "the node that grants leases cannot be reached"});
  }
  self_
      ->request(holder->handles.lease, lease_timeout,
                schemas::LeaseMove{id_, context_->self, context_->incarnation, epoch_, moving_->to})
      .then([this](const schemas::LeaseGrant& grant) { hand_over(grant); },
            [failed](caf::error& error) { failed(from_caf(error, "moving the conversation's lease")); });
}

void ConversationState::hand_over(const schemas::LeaseGrant& grant) {
  context_->log(LogLevel::info, "moved away",
                {{"conversation", to_string(id_)}, {"to", grant.home.value}, {"epoch", std::to_string(grant.epoch)}});
  const auto cluster = context_->cluster.load();
  if (const Peer* peer = cluster->find(grant.home); peer != nullptr && peer->handles.home) {
    schemas::HomeHandOver over{id_, grant.epoch, moving_->runs, {}, 0};
    if (last_place_) {
      over.node = last_place_->node;
      over.replica = last_place_->index;
    }
    self_->send(peer->handles.home, over);
  }
  // Readers look for the new home at once, instead of when they have heard nothing for a while.
  const Error moved{ErrorCode::unavailable, "the conversation has moved to node " + grant.home.value};
  const auto tell = [&](const TurnLog& log) {
    for (const schemas::ReaderId& reader : log.readers()) {
      schemas::HomeMore more;
      more.turn = log.turn();
      more.reader = reader;
      fail_reader(more, moved);
    }
  };
  for (const auto& turn : live_) tell(turn->log);
  for (const TurnLog& log : ended_) tell(log);
  moving_->promise.deliver(MovedAway{epoch_});
  self_->quit(caf::exit_reason::user_shutdown);
}

void ConversationState::on_hand_over(const schemas::HomeHandOver& over) {
  last_used_ = context_->clock->now();
  if (over.node.value.empty() || last_place_) return;
  last_place_ = policy::ReplicaPlace{over.node, over.replica};
  runs_already_ = over.turn;
}

}  // namespace troupe::actors
