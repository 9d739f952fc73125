// Conversations that are not at home here, or not yet, or no longer: copies that are being received, and those that are left
// when the lease has gone elsewhere. What a copy is, and why it may be removed, is in docs/cluster.md ("Moving a
// conversation").
#include <utility>

#include "actors/home_actor.hpp"
#include "storage/copies.hpp"

namespace troupe::actors {

namespace {
constexpr Duration look_every = std::chrono::seconds(2);
constexpr Duration locate_timeout = std::chrono::seconds(1);
constexpr Duration move_timeout = std::chrono::seconds(25);
constexpr std::size_t marks_at_once = 64;

template <class Reply>
void settle(caf::typed_response_promise<Reply>& promise, const Result<void>& done, Reply reply) {
  if (done) {
    promise.deliver(std::move(reply));
  } else {
    promise.deliver(to_caf(done.error()));
  }
}
}  // namespace

caf::result<schemas::HomeTaken> HomeState::on_take(const schemas::HomeTake& take) {
  const auto refused = [&](ErrorCode code, const std::string& why) {
    return to_caf(
        {code, "node " + context_->self.value + " does not take conversation " + to_string(take.conversation) + ": " + why});
  };
  const bool first = take.begin.empty();
  if (first && (context_->leaving || context_->draining)) return refused(ErrorCode::unavailable, "it is being drained itself");
  if (copies_at_work_.contains(take.conversation)) return refused(ErrorCode::unavailable, "it is at work on its copy");
  if (copies_at_work_.size() >= copies_at_work_max) {
    return refused(ErrorCode::overloaded, "it is at work on " + std::to_string(copies_at_work_.size()) + " others");
  }
  auto promise = self_->make_response_promise<schemas::HomeTaken>();
  copies_at_work_.insert(take.conversation);
  const std::function<void(Result<void>)> done = [this, id = take.conversation, last = take.end.empty(),
                                                  promise](const Result<void>& taken) mutable {
    copies_at_work_.erase(id);
    if (taken && last) ++context_->stored;
    settle(promise, taken, schemas::HomeTaken{id});
  };
  if (!first) {
    keep_piece(std::make_shared<schemas::HomeTake>(take), done);
    return promise;
  }
  // The fence first: nothing that comes under an older epoch can get between what is read now and what is written then.
  context_->journal->commit(
      storage::mark_copy(take.conversation, take.epoch),
      resume(self_, std::function<void(Result<void>)>(
                        [this, kept = std::make_shared<schemas::HomeTake>(take), done](const Result<void>& marked) {
                          if (!marked) return done(marked);
                          keep_piece(kept, done);
                        })));
  return promise;
}

void HomeState::keep_piece(const std::shared_ptr<schemas::HomeTake>& take, const std::function<void(Result<void>)>& done) {
  using Batch = std::shared_ptr<Result<storage::WriteBatch>>;
  auto made = resume(self_, std::function<void(Batch)>([this, done](const Batch& batch) {
                       if (!*batch) return done(batch->error());
                       context_->journal->commit(std::move(**batch), resume(self_, std::function<void(Result<void>)>(done)));
                     }));
  context_->journal->read([take, made](const storage::Store& store) {
    const storage::Piece piece{take->begin, take->end, std::move(take->records)};
    made(std::make_shared<Result<storage::WriteBatch>>(storage::put_piece(store, take->conversation, take->epoch, piece)));
  });
}

caf::result<MovedAway> HomeState::on_move(const MoveAway& move) {
  const auto actor = find(move.conversation, false);
  if (!actor) return to_caf({ErrorCode::overloaded, "too many conversations are awake to move one that sleeps"});
  auto promise = self_->make_response_promise<MovedAway>();
  self_->request(actor, move_timeout, move)
      .then(
          [this, id = move.conversation, promise](const MovedAway& moved) mutable {
            remove_copy(id, moved.epoch,
                        [promise, moved](const Result<void>& removed) mutable { settle(promise, removed, moved); });
          },
          [promise](caf::error& error) mutable { promise.deliver(error); });
  return promise;
}

void HomeState::remove_copy(const policy::ConversationId& id, std::uint64_t epoch, std::function<void(Result<void>)> done) {
  owed_.erase(id);
  if (!copies_at_work_.insert(id).second) return done(Error{ErrorCode::unavailable, "there is work on the copy already"});
  remove_more(id, epoch, [this, id, done = std::move(done)](Result<void> removed) {
    copies_at_work_.erase(id);
    if (removed && context_->stored > 0) --context_->stored;
    done(std::move(removed));
  });
}

void HomeState::remove_more(const policy::ConversationId& id, std::uint64_t epoch, std::function<void(Result<void>)> done) {
  using Removal = std::shared_ptr<Result<storage::Removal>>;
  auto made = resume(self_, std::function<void(Removal)>([this, id, epoch, done = std::move(done)](const Removal& removal) {
                       if (!*removal) return done(removal->error());
                       auto written = resume(self_, std::function<void(Result<void>)>(
                                                        [this, id, epoch, last = (*removal)->last, done](Result<void> removed) {
                                                          // Refused by the fence: what is there now is newer, and is to stay.
                                                          if (!removed || last) return done(std::move(removed));
                                                          remove_more(id, epoch, done);
                                                        }));
                       context_->journal->commit(std::move((*removal)->batch), written);
                     }));
  context_->journal->read([id, epoch, made](const storage::Store& store) {
    made(std::make_shared<Result<storage::Removal>>(storage::remove_copy(store, id, epoch)));
  });
}

void HomeState::look_at_copies(policy::ConversationId after_id) {
  using Marks = std::shared_ptr<Result<std::vector<storage::Marked>>>;
  auto found = resume(self_, std::function<void(Marks)>([this](const Marks& marks) {
                        std::optional<policy::ConversationId> next;
                        if (*marks) {
                          for (const storage::Marked& copy : **marks) look_at(copy);
                          if ((*marks)->size() == marks_at_once) next = (*marks)->back().conversation;
                        } else {
                          context_->log(LogLevel::error, "cannot read which conversations are copies",
                                        {{"why", marks->error().message}});
                        }
                        after(self_, look_every, [this, next] { look_at_copies(next.value_or(policy::ConversationId{})); });
                      }));
  context_->journal->read([after_id, found](const storage::Store& store) {
    found(std::make_shared<Result<std::vector<storage::Marked>>>(storage::marked_copies(store, after_id, marks_at_once)));
  });
}

void HomeState::look_at(const storage::Marked& copy) {
  if (copies_at_work_.contains(copy.conversation)) return;
  const auto cluster = context_->cluster.load();
  const Peer* holder = cluster->lease_holder();
  if (holder == nullptr || !holder->handles.lease) return;
  self_->request(holder->handles.lease, locate_timeout, schemas::LeaseLocate{copy.conversation})
      .then(
          [this, copy](const schemas::LeaseGrant& grant) {
            const bool awake = awake_.contains(copy.conversation);
            if (grant.home == context_->self) {
              // It is at home here: as soon as it is awake it is no copy, and its turns go on.
              if (!awake) find(copy.conversation, false);
            } else if (grant.epoch > copy.epoch && !awake && !copies_at_work_.contains(copy.conversation)) {
              // The epoch in which it was made is over, so it can become nobody's home any more.
              context_->log(LogLevel::info, "a copy is removed",
                            {{"conversation", to_string(copy.conversation)}, {"home", grant.home.value}});
              remove_copy(copy.conversation, copy.epoch, [](const Result<void>&) {});
            }
          },
          [](const caf::error&) {});  // it is looked at again
}

}  // namespace troupe::actors
