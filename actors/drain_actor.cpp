#include "actors/drain_actor.hpp"

#include <utility>

#include "actors/generation.hpp"
#include "policy/drain.hpp"

namespace troupe::actors {

namespace {
constexpr Duration look_every = std::chrono::milliseconds(200);  ///< whether there is something to do
constexpr Duration count_every = std::chrono::seconds(5);        ///< on a node that is drained and empty
constexpr Duration count_again_after = std::chrono::minutes(1);  ///< on others, where changes are counted as they come
constexpr Duration move_timeout = std::chrono::seconds(30);      ///< each of its steps has a shorter one
}  // namespace

DrainActor::behavior_type DrainState::start(NodeContextPtr context, HomeActorImpl home) {
  context_ = std::move(context);
  home_ = std::move(home);
  install_defaults(self_);
  count({}, 0);
  return {[](const Continuation& next) { next.run(); }};
}

void DrainState::read_page(policy::ConversationId after_id, std::function<void(Result<storage::StoredPage>)> then) {
  using Page = std::shared_ptr<Result<storage::StoredPage>>;
  auto done = resume(self_, std::function<void(Page)>([then = std::move(then)](const Page& page) { then(std::move(*page)); }));
  context_->journal->read([after_id, done](const storage::Store& store) {
    done(std::make_shared<Result<storage::StoredPage>>(storage::stored_conversations(store, after_id, page_max)));
  });
}

void DrainState::count(policy::ConversationId after_id, std::int32_t before) {
  read_page(after_id, [this, before](const Result<storage::StoredPage>& page) {
    if (!page) {
      context_->log(LogLevel::error, "cannot count conversations", {{"why", page.error().message}});
      return after(self_, count_every, [this] { count({}, 0); });
    }
    const auto stored = before + static_cast<std::int32_t>(page->conversations.size());
    if (page->next) return count(*page->next, stored);
    counted(stored);
  });
}

void DrainState::counted(std::int32_t stored) {
  context_->stored = stored;
  counted_at_ = context_->clock->now();
  go_on();
}

void DrainState::go_on() {
  if (context_->leaving && context_->stored > 0) {
    given_.clear();
    return move_page({});
  }
  after(self_, context_->leaving ? count_every : look_every, [this] {
    if (context_->leaving || context_->clock->now() - counted_at_ >= count_again_after) return count({}, 0);
    go_on();
  });
}

void DrainState::move_page(policy::ConversationId after_id) {
  read_page(after_id, [this](const Result<storage::StoredPage>& page) {
    next_.reset();
    if (page) {
      next_ = page->next;
      // A copy is not ours to move: it is still on its way to us, or already from us.
      for (const auto& stored : page->conversations) {
        if (!stored.copy) waiting_.push_back(stored.id);
      }
    }
    move_next();
  });
}

void DrainState::move_next() {
  if (!context_->leaving) waiting_.clear();
  while (moving_ < moves_max && !waiting_.empty()) {
    const policy::ConversationId id = waiting_.front();
    waiting_.pop_front();
    move(id);
  }
  if (moving_ > 0) return;
  if (next_ && context_->leaving) return move_page(*next_);
  after(self_, look_every, [this] { count({}, 0); });
}

void DrainState::move(const policy::ConversationId& id) {
  ++moving_;
  const auto over = [this](Duration pause) {
    after(self_, pause, [this] {
      --moving_;
      move_next();
    });
  };
  const auto to = policy::choose_home(views_of(*context_->cluster.load()), context_->self, given_);
  if (!to) {
    context_->log(LogLevel::debug, "no node takes conversations");
    return over(look_every);
  }
  ++given_[*to];
  self_->request(home_, move_timeout, MoveAway{id, *to})
      .then([over](const MovedAway& /*moved*/) { over(Duration::zero()); },
            [this, id, to, over](caf::error& error) {
              const Error why = from_caf(error, "moving a conversation");
              const bool passes = why.code == ErrorCode::unavailable || why.code == ErrorCode::overloaded;
              context_->log(passes ? LogLevel::debug : LogLevel::warning, "a conversation has not moved",
                            {{"conversation", to_string(id)}, {"to", to->value}, {"why", why.message}});
              over(Duration::zero());  // the next pass tries again
            });
}

DrainActor::behavior_type drain_actor(DrainActor::stateful_pointer<DrainState> self, NodeContextPtr context,
                                      HomeActorImpl home) {
  return self->state.start(std::move(context), std::move(home));
}

}  // namespace troupe::actors
