#include "actors/lease_actor.hpp"

namespace troupe::actors {

namespace {
constexpr std::size_t queued_max = 4096;
}

LeaseActorImpl::behavior_type LeaseState::start(NodeContextPtr context) {
  context_ = std::move(context);
  table_ = std::make_unique<cluster::LeaseTable>(lease_valid_for, context_->clock->now());
  install_defaults(self_);
  return {
      [this](const schemas::LeaseKeep& keep) -> caf::result<schemas::LeaseKept> {
        auto kept = table_->keep(keep.node, keep.incarnation, context_->clock->now());
        if (!kept) return to_caf(kept.error());
        return schemas::LeaseKept{std::chrono::duration_cast<std::chrono::milliseconds>(*kept).count()};
      },
      [this](const schemas::LeaseAcquire& acquire) { return enqueue(acquire); },
      [this](const schemas::LeaseMove& move) { return enqueue(move); },
      [this](const schemas::LeaseLocate& locate) { return enqueue(locate); },
      [](const Continuation& next) { next.run(); },
  };
}

template <class Message>
caf::result<schemas::LeaseGrant> LeaseState::enqueue(const Message& message) {
  if (queued_ >= queued_max) {
    return to_caf({ErrorCode::overloaded, "the lease service has " + std::to_string(queued_) + " requests before this one"});
  }
  auto promise = self_->make_response_promise<schemas::LeaseGrant>();
  auto& line = requests_[message.conversation];
  line.push_back({message, promise});
  ++queued_;
  if (line.size() == 1) serve(message.conversation);
  return promise;
}

void LeaseState::serve(const policy::ConversationId& conversation) {
  using Stored = Result<std::optional<std::string>>;
  auto decided = resume(
      self_, std::function<void(Stored)>([this, conversation](Stored stored) { decide(conversation, std::move(stored)); }));
  context_->journal->read([conversation, decided](const storage::Store& store) {
    decided(store.get(storage::Column::leases, cluster::lease_key(conversation)));
  });
}

void LeaseState::decide(const policy::ConversationId& conversation, Result<std::optional<std::string>> stored) {
  if (!stored) return finish(conversation, stored.error());
  std::optional<cluster::LeaseRecord> record;
  if (*stored) {
    auto decoded = cluster::decode_lease(**stored);
    if (!decoded) return finish(conversation, decoded.error());
    record = *decoded;
  }
  const auto& what = requests_[conversation].front().what;
  if (std::holds_alternative<schemas::LeaseLocate>(what)) {
    if (!record) return finish(conversation, Error{ErrorCode::not_found, "there is no such conversation"});
    return finish(conversation, schemas::LeaseGrant{record->home, record->epoch});
  }
  const TimePoint now = context_->clock->now();
  const auto* acquire = std::get_if<schemas::LeaseAcquire>(&what);
  const auto* move = std::get_if<schemas::LeaseMove>(&what);
  // Whoever asks the wrong node is told by it at once, and looks again.
  if (acquire != nullptr && record && record->home != acquire->node) {
    return finish(conversation, schemas::LeaseGrant{record->home, record->epoch});
  }
  auto decision = acquire != nullptr
                      ? table_->acquire(record, acquire->node, acquire->incarnation, acquire->create, acquire->after, now)
                      : table_->move(record, move->from, move->incarnation, move->epoch, move->to, now);
  if (!decision) return finish(conversation, decision.error());
  const schemas::LeaseGrant grant{decision->record.home, decision->record.epoch};
  if (!decision->changed) return finish(conversation, grant);
  storage::WriteBatch batch;
  batch.puts.push_back({storage::Column::leases, cluster::lease_key(conversation), cluster::encode(decision->record)});
  context_->journal->commit(std::move(batch),
                            resume(self_, std::function<void(Result<void>)>([this, conversation, grant](Result<void> written) {
                                     if (!written) return finish(conversation, written.error());
                                     finish(conversation, grant);
                                   })));
}

void LeaseState::finish(const policy::ConversationId& conversation, Result<schemas::LeaseGrant> grant) {
  auto& line = requests_[conversation];
  Request request = std::move(line.front());
  line.pop_front();
  --queued_;
  if (grant) {
    request.promise.deliver(*std::move(grant));
  } else {
    request.promise.deliver(to_caf(grant.error()));
  }
  if (line.empty()) {
    requests_.erase(conversation);
  } else {
    serve(conversation);
  }
}

LeaseActorImpl::behavior_type lease_actor(LeaseActorImpl::stateful_pointer<LeaseState> self, NodeContextPtr context) {
  return self->state.start(std::move(context));
}

}  // namespace troupe::actors
