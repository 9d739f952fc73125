// From a name to a conversation that can act: the lease first, then the records.
#include <map>
#include <utility>

#include "actors/conversation_actor.hpp"
#include "policy/citation.hpp"
#include "policy/context.hpp"
#include "storage/conversations.hpp"
#include "storage/copies.hpp"

namespace troupe::actors {

namespace {
constexpr Duration give_up_after = std::chrono::seconds(5);
constexpr Duration again_after = std::chrono::milliseconds(200);
constexpr Duration lease_timeout = std::chrono::seconds(1);
constexpr std::size_t turns_at_once = 64;
constexpr std::size_t summaries_at_once = 256;
}  // namespace

struct ConversationState::Loaded {
  std::optional<schemas::ConversationRecord> record;
  policy::Summary summary;                     ///< the newest
  policy::Memory memory;                       ///< as all of them have made it
  policy::Pins pins;                           ///< the newest
  std::map<std::uint32_t, policy::Pins> read;  ///< by turn, those that the last plan of one that is open has in its prompt
  std::vector<policy::Turn> turns;             ///< since the summary
  std::map<std::uint32_t, std::vector<policy::Emission>> pieces;  ///< by turn, of a remote model's attempt that has not ended
  std::map<std::uint32_t, std::vector<FoundPassage>> found;       ///< by turn that has not ended
};

void ConversationState::read_mark() {
  using Mark = Result<std::optional<std::uint64_t>>;
  auto read = resume(self_, std::function<void(Mark)>([this](const Mark& mark) {
                       if (!mark) return become_ready(mark.error());
                       void_epoch_ = mark->value_or(0);
                       acquire_lease();
                     }));
  context_->journal->read([id = id_, read](const storage::Store& store) { read(storage::read_mark(store, id)); });
}

void ConversationState::acquire_lease() {
  const auto again = [this](const Error& error) {
    if (error.code != ErrorCode::unavailable && error.code != ErrorCode::overloaded) return become_ready(error);
    if (context_->clock->now() - began_ >= give_up_after) return become_ready(error);
    after(self_, again_after, [this] { acquire_lease(); });
  };
  const auto cluster = context_->cluster.load();
  const Peer* holder = cluster->lease_holder();
  if (holder == nullptr || !holder->handles.lease) {
    return again({ErrorCode::unavailable, "the node that grants leases cannot be reached"});
  }
  self_
      ->request(holder->handles.lease, lease_timeout,
                schemas::LeaseAcquire{id_, context_->self, context_->incarnation, create_, void_epoch_})
      .then(
          [this](const schemas::LeaseGrant& grant) {
            if (grant.home != context_->self) {
              return become_ready(Error{ErrorCode::unavailable, "the conversation is at home on node " + grant.home.value});
            }
            epoch_ = grant.epoch;
            context_->log(LogLevel::debug, "home", {{"conversation", to_string(id_)}, {"epoch", std::to_string(epoch_)}});
            fence_off();
          },
          [again](caf::error& error) { again(from_caf(error, "asking for the conversation's lease")); });
}

void ConversationState::fence_off() {
  // An earlier home may still have writes on their way. From here on they are refused, so that what is read now stays true.
  storage::WriteBatch fence;
  fence.fence = storage::fence_of(id_, epoch_);
  fence.puts.push_back(storage::unmark_copy(id_));
  context_->journal->commit(std::move(fence), resume(self_, std::function<void(Result<void>)>([this](Result<void> fenced) {
                                                       if (!fenced) return become_ready(std::move(fenced));
                                                       load();
                                                     })));
}

void ConversationState::load() {
  auto done = resume(self_, std::function<void(std::shared_ptr<Result<Loaded>>)>(
                                [this](std::shared_ptr<Result<Loaded>> loaded) { on_loaded(std::move(*loaded)); }));
  context_->journal->read([id = id_, done](const storage::Store& store) {
    const auto read = [&]() -> Result<Loaded> {
      Loaded loaded;
      TROUPE_TRY(loaded.record, storage::read_conversation(store, id));
      TROUPE_TRY(loaded.pins, storage::read_pins(store, id));
      for (bool more = true; more;) {
        TROUPE_TRY(auto summaries, storage::read_summaries(store, id, loaded.summary.version + 1, summaries_at_once));
        more = summaries.size() == summaries_at_once;
        for (policy::Summary& summary : summaries) {
          policy::remember(loaded.memory, summary);
          loaded.summary = std::move(summary);
        }
      }
      for (std::uint32_t from = loaded.summary.last_turn + 1;;) {
        TROUPE_TRY(auto turns, storage::read_turns(store, id, from, turns_at_once));
        const bool more = turns.size() == turns_at_once;
        for (const policy::Turn& turn : turns) {
          if (turn.outcome || turn.attempts.empty()) continue;
          TROUPE_TRY(loaded.found[turn.id.number], storage::read_found(store, turn.id));
          const policy::AttemptPlan& plan = turn.attempts.back().plan;
          TROUPE_TRY(loaded.read[turn.id.number], storage::read_pins(store, id, plan.pins_version));
          if (!plan.model.remote()) continue;
          TROUPE_TRY(loaded.pieces[turn.id.number], storage::read_pieces(store, turn.id, plan.attempt));
        }
        if (!turns.empty()) from = turns.back().id.number + 1;
        std::move(turns.begin(), turns.end(), std::back_inserter(loaded.turns));
        if (!more) break;
      }
      return loaded;
    };
    done(std::make_shared<Result<Loaded>>(read()));
  });
}

void ConversationState::on_loaded(Result<Loaded> loaded) {
  if (!loaded) return become_ready(loaded.error());
  summary_ = std::move(loaded->summary);
  memory_ = std::move(loaded->memory);
  pins_ = std::move(loaded->pins);
  for (policy::Turn& turn : loaded->turns) {
    if (!turn.outcome) {
      auto live = std::make_unique<LiveTurn>(std::move(turn));
      live->pieces = std::move(loaded->pieces[live->turn.id.number]);
      live->pins = std::move(loaded->read[live->turn.id.number]);
      live->log.append(policy::events_of(live->turn, live->pieces));
      if (!live->turn.attempts.empty()) {
        const policy::AttemptPlan& plan = live->turn.attempts.back().plan;
        live->grounded = plan.task == policy::to_string(policy::Task::answer);
        live->corpus_version = plan.corpus_version;
        live->passages = std::move(loaded->found[live->turn.id.number]);
        live->passages_kept = !live->passages.empty();
      }
      push_live(std::move(live));
    } else if (turn.outcome->committed) {
      remember(turn);
    }
  }
  if (loaded->record) {
    record_ = *loaded->record;
    return become_ready({});
  }
  if (!create_) return become_ready(Error{ErrorCode::not_found, "there is no conversation " + to_string(id_)});
  ++context_->stored;
  record_ = {.id = id_, .created_ms = context_->wall->now_ms(), .turns = 0, .summary_version = 0};
  storage::WriteBatch batch;
  batch.fence = storage::fence_of(id_, epoch_);
  batch.puts.push_back(storage::put_conversation(record_, epoch_));
  context_->journal->commit(
      std::move(batch),
      resume(self_, std::function<void(Result<void>)>([this](Result<void> written) { become_ready(std::move(written)); })));
}

void ConversationState::become_ready(Result<void> ready) {
  ready_ = std::move(ready);
  last_used_ = context_->clock->now();
  for (const auto& work : std::exchange(waiting_, {})) work(*ready_);
  if (!*ready_) {
    // Those who waited know why; whoever asks next wakes it up again.
    return self_->quit(caf::exit_reason::user_shutdown);
  }
  tick();
}

void ConversationState::when_ready(std::function<void(const Result<void>&)> work) {
  if (ready_) return work(*ready_);
  if (waiting_.size() >= waiting_for_activation_max) {
    return work(Error{ErrorCode::overloaded,
                      "the conversation is waking up, and " + std::to_string(waiting_.size()) + " requests wait for it"});
  }
  waiting_.push_back(std::move(work));
}

Result<void> ConversationState::check_home(std::uint64_t epoch) const {
  if (!context_->session.valid(context_->clock->now())) {
    return Error{ErrorCode::unavailable, "node " + context_->self.value + " has lost touch with the lease service"};
  }
  if (moving_) return Error{ErrorCode::unavailable, "the conversation is moving to node " + moving_->to.value};
  if (epoch != 0 && epoch != epoch_) {
    return Error{ErrorCode::unavailable, "the request is for epoch " + std::to_string(epoch) +
                                             " of the conversation's lease, and this is " + std::to_string(epoch_)};
  }
  return {};
}

void ConversationState::remember(const policy::Turn& turn) {
  std::vector<policy::Passage> passages;
  if (turn.outcome->attempt != policy::no_attempt)
    passages = turn.attempts.at(static_cast<std::size_t>(turn.outcome->attempt)).plan.passages;
  Recent recent;
  recent.number = turn.id.number;
  recent.exchange = {turn.ask.question, policy::resolve_citations(turn.outcome->answer, passages)};
  recent.tokens = estimate_tokens(recent.exchange.question) + estimate_tokens(recent.exchange.answer);
  recent_.push_back(std::move(recent));
}

}  // namespace troupe::actors
