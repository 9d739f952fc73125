#include "actors/home_actor.hpp"

#include <algorithm>
#include <utility>

#include "storage/conversations.hpp"

namespace troupe::actors {

namespace {
constexpr std::size_t open_turns_at_once = 256;
constexpr Duration first_retry = std::chrono::milliseconds(500);
constexpr Duration last_retry = std::chrono::seconds(10);
}  // namespace

HomeState::~HomeState() {
  for (const auto& [id, awake] : awake_) stop(awake.actor);
  if (context_) context_->conversations -= static_cast<std::int32_t>(awake_.size());
}

HomeActorImpl::behavior_type HomeState::start(NodeContextPtr context, Services services) {
  context_ = std::move(context);
  services_ = std::move(services);
  install_defaults(self_);
  self_->set_down_handler([this](const caf::down_msg& down) { on_down(down); });
  take_up_open_turns(std::nullopt);
  look_at_copies({});
  return {
      [this](const schemas::HomeOpen& open) { return pass_on<schemas::HomeOpened>(open.conversation, open, open.create); },
      [this](const schemas::HomeAsk& ask) { return pass_on<schemas::HomeAccepted>(ask.conversation, ask); },
      [this](const schemas::HomeMore& more) {
        if (const auto actor = find(more.turn.conversation, false)) self_->send(actor, more);
      },
      [this](const schemas::HomeLeave& leave) {
        const auto found = awake_.find(leave.turn.conversation);
        if (found != awake_.end()) self_->send(found->second.actor, leave);
      },
      [this](const schemas::HomeCancel& cancel) { return pass_on<schemas::HomeAccepted>(cancel.turn.conversation, cancel); },
      [this](const schemas::HomeHistory& history) { return pass_on<schemas::HomeHistoryPage>(history.conversation, history); },
      [this](const schemas::HomeTurn& turn) { return pass_on<policy::Turn>(turn.turn.conversation, turn); },
      [this](const schemas::HomePin& pin) { return pass_on<schemas::HomePins>(pin.conversation, pin); },
      [this](const schemas::EngineEmissions& emissions) {
        if (emissions.key.purpose == schemas::Purpose::summarize) return self_->send(services_.summarizer, emissions);
        if (emissions.key.purpose == schemas::Purpose::shadow) return pass_to_shadow(emissions);
        const auto found = awake_.find(emissions.key.turn.conversation);
        if (found != awake_.end()) self_->send(found->second.actor, emissions);
      },
      [this](const schemas::EngineFinished& finished) {
        if (finished.key.purpose == schemas::Purpose::summarize) return self_->send(services_.summarizer, finished);
        if (finished.key.purpose == schemas::Purpose::shadow) return pass_to_shadow(finished);
        const auto found = awake_.find(finished.key.turn.conversation);
        if (found != awake_.end()) self_->send(found->second.actor, finished);
      },
      [this](const schemas::HomeHandOver& over) {
        if (const auto actor = find(over.conversation, false)) self_->send(actor, over);
      },
      [this](const schemas::HomeTake& take) { return on_take(take); },
      [](const Continuation& next) { next.run(); },
      [this](const MoveAway& move) { return on_move(move); },
  };
}

template <class Message>
void HomeState::pass_to_shadow(const Message& message) {
  // What an engine still says of a shadow after a start without experiments concerns nobody.
  if (services_.shadow) self_->send(services_.shadow, message);
}

template <class Reply, class Message>
caf::result<Reply> HomeState::pass_on(const policy::ConversationId& id, const Message& message, bool create) {
  const auto actor = find(id, create);
  if (!actor) {
    return to_caf({ErrorCode::overloaded, "node " + context_->self.value + " has " + std::to_string(awake_.size()) +
                                              " conversations awake, and no room for another"});
  }
  return self_->delegate(actor, message);
}

ConversationActor HomeState::find(const policy::ConversationId& id, bool create) {
  const auto found = awake_.find(id);
  if (found != awake_.end()) return found->second.actor;
  if (awake_.size() >= awake_max) return {};
  auto idle = resume(
      self_, std::function<void(policy::ConversationId)>([this](const policy::ConversationId& which) { on_idle(which); }));
  auto actor =
      caf::actor_cast<ConversationActor>(self_->spawn(conversation_actor, context_, services_, id, create, OnIdle(idle)));
  self_->monitor(actor);
  awake_[id] = {actor, false};
  ++context_->conversations;
  names_[actor.address()] = id;
  return actor;
}

void HomeState::on_idle(const policy::ConversationId& id) {
  const auto found = awake_.find(id);
  if (found == awake_.end() || std::exchange(found->second.sleeping, true)) return;
  self_->send_exit(found->second.actor, caf::exit_reason::user_shutdown);
}

void HomeState::on_down(const caf::down_msg& down) {
  const auto named = names_.find(down.source);
  if (named == names_.end()) return;
  const policy::ConversationId id = named->second;
  names_.erase(named);
  const bool slept = awake_[id].sleeping;
  awake_.erase(id);
  --context_->conversations;
  const bool refused = down.reason == caf::exit_reason::user_shutdown;  // it could not wake up, and said so to who asked
  if (slept || (refused && !owed_.contains(id))) {
    owed_.erase(id);
    return;
  }
  context_->log(LogLevel::warning, "conversation begins again",
                {{"conversation", to_string(id)}, {"why", from_caf(down.reason, "it failed").message}});
  Duration& wait = owed_[id];
  wait = std::clamp(2 * wait, first_retry, last_retry);
  after(self_, wait, [this, id] { find(id, false); });
}

void HomeState::take_up_open_turns(std::optional<policy::TurnId> after_turn) {
  using Turns = Result<std::vector<policy::TurnId>>;
  using Copies = std::shared_ptr<std::set<policy::ConversationId>>;
  auto found = resume(self_, std::function<void(Turns, Copies)>([this](const Turns& turns, const Copies& copies) {
                        if (!turns) {
                          context_->log(LogLevel::error, "cannot read which turns are open", {{"why", turns.error().message}});
                          return;
                        }
                        for (const policy::TurnId& turn : *turns) {
                          // Of a copy nobody knows yet who is to go on with it; look_at_copies finds out.
                          if (copies->contains(turn.conversation)) continue;
                          owed_.emplace(turn.conversation, Duration::zero());
                          find(turn.conversation, false);
                        }
                        if (turns->size() == open_turns_at_once) take_up_open_turns(turns->back());
                      }));
  context_->journal->read([after_turn, found](const storage::Store& store) {
    const auto copies = std::make_shared<std::set<policy::ConversationId>>();
    auto turns = storage::open_turns(store, open_turns_at_once, after_turn);
    for (const policy::TurnId& turn : turns ? *turns : std::vector<policy::TurnId>{}) {
      const auto mark = storage::read_mark(store, turn.conversation);
      if (!mark || *mark) copies->insert(turn.conversation);
    }
    found(std::move(turns), copies);
  });
}

HomeActorImpl::behavior_type home_actor(HomeActorImpl::stateful_pointer<HomeState> self, NodeContextPtr context,
                                        Services services) {
  return self->state.start(std::move(context), std::move(services));
}

}  // namespace troupe::actors
