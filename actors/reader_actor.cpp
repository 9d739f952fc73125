#include "actors/reader_actor.hpp"

#include <algorithm>
#include <utility>

namespace troupe::actors {

namespace {
constexpr Duration tick_every = std::chrono::milliseconds(250);
constexpr Duration quiet_max = std::chrono::seconds(1);        ///< then the home is asked again
constexpr Duration in_touch_every = std::chrono::seconds(3);   ///< so that it knows the reader is still there
constexpr Duration request_timeout = std::chrono::seconds(2);  ///< then it is asked again: requests may be repeated
constexpr Duration again_after = std::chrono::milliseconds(200);
constexpr Duration operator_timeout = std::chrono::seconds(3);
constexpr Duration trouble_max = std::chrono::seconds(30);        ///< then a reader or a request is told
constexpr Duration trouble_over_after = std::chrono::seconds(2);  ///< without another failure
}  // namespace

ReaderState::~ReaderState() {
  for (const auto& [number, reading] : readings_) {
    reading.on_events(Error{ErrorCode::unavailable, "the node has stopped reading for its clients"});
  }
}

ReaderActorImpl::behavior_type ReaderState::start(NodeContextPtr context) {
  context_ = std::move(context);
  install_defaults(self_);
  after(self_, tick_every, [this] { tick(); });
  const auto give_up_at = [this] { return context_->clock->now() + trouble_max; };
  return {
      [this](const schemas::ReaderEvents& events) { on_events(events); },
      [this](const schemas::ReaderFailed& failed) { on_failed(failed); },
      [](const Continuation& next) { next.run(); },
      [this, give_up_at](const FrontOpen& open) {
        if (!open.id) return open_new(context_->entropy->draw_name<policy::ConversationId>(), open.reply, give_up_at());
        open_home({*open.id, false}, open.reply, give_up_at());
      },
      [this, give_up_at](const FrontAsk& ask) {
        if (const auto valid = policy::check_ask(ask.ask); !valid) return ask.reply(valid.error());
        const TimePoint until = std::min(give_up_at(), context_->clock->now() + std::chrono::milliseconds(ask.ask.deadline_ms));
        request_home<schemas::HomeAccepted>(
            ask.conversation, schemas::HomeAsk{ask.conversation, 0, ask.ask},
            [id = ask.conversation, reply = ask.reply](Result<schemas::HomeAccepted> accepted) {
              if (!accepted) return reply(accepted.error());
              reply(policy::TurnId{id, accepted->turn});
            },
            until);
      },
      [this](const FrontFollow& follow) { on_follow(follow); },
      [this](const FrontMore& more) {
        const auto found = readings_.find(more.reader);
        if (found == readings_.end()) return;
        found->second.credit += more.credit;
        ask_home(more.reader, false);
      },
      [this](const FrontLeave& leave) { on_leave(leave.reader); },
      [this, give_up_at](const FrontCancel& cancel) {
        request_home<schemas::HomeAccepted>(
            cancel.turn.conversation, schemas::HomeCancel{cancel.turn, 0},
            [reply = cancel.reply](Result<schemas::HomeAccepted> done) {
              if (!done) return reply(done.error());
              reply({});
            },
            give_up_at());
      },
      [this, give_up_at](const FrontHistory& history) {
        request_home<schemas::HomeHistoryPage>(
            history.conversation, schemas::HomeHistory{history.conversation, 0, history.from, history.limit},
            [reply = history.reply](Result<schemas::HomeHistoryPage> page) {
              if (!page) return reply(page.error());
              reply(HistoryPage{std::move(page->turns), std::move(page->summaries), page->more});
            },
            give_up_at());
      },
      [this, give_up_at](const FrontTurn& turn) {
        request_home<policy::Turn>(turn.turn.conversation, schemas::HomeTurn{turn.turn, 0}, turn.reply, give_up_at());
      },
      [this, give_up_at](const FrontPin& pin) {
        request_home<schemas::HomePins>(
            pin.conversation, schemas::HomePin{pin.conversation, 0, pin.change},
            [reply = pin.reply](Result<schemas::HomePins> pins) {
              if (!pins) return reply(pins.error());
              reply(std::move(pins->pins));
            },
            give_up_at());
      },
      [this](const FrontDrain& drain) {
        const auto cluster = context_->cluster.load();
        ask_node(cluster->lease_holder(), schemas::NodeDrain{drain.node}, drain.reply);
      },
      [this](const FrontJoin& join) {
        const auto cluster = context_->cluster.load();
        const Peer* peer = cluster->find(join.node);
        if (peer == nullptr)
          return join.reply(Error{ErrorCode::not_found, "there is no node " + join.node.value + " in the cluster"});
        ask_node(peer, schemas::NodeJoin{join.node}, join.reply);
      },
  };
}

// Finding homes.

void ReaderState::locate(const policy::ConversationId& id, std::function<void(Result<Home>)> done) {
  if (const auto known = homes_.find(id); known != homes_.end()) return done(known->second);
  const auto cluster = context_->cluster.load();
  const Peer* holder = cluster->lease_holder();
  if (holder == nullptr || !holder->handles.lease) {
    return done(Error{ErrorCode::unavailable, "the node that knows where conversations are cannot be reached"});
  }
  self_->request(holder->handles.lease, request_timeout, schemas::LeaseLocate{id})
      .then(
          [this, id, done](const schemas::LeaseGrant& grant) {
            if (homes_.size() >= homes_max) homes_.clear();
            homes_[id] = {grant.home, grant.epoch};
            done(homes_[id]);
          },
          [done, id](caf::error& error) {
            Error why = from_caf(error, "looking for the conversation");
            if (why.code == ErrorCode::not_found) why.message = "there is no conversation " + to_string(id);
            done(std::move(why));
          });
}

template <class Answer, class Message>
void ReaderState::request_home(const policy::ConversationId& id, Message message, Reply<Answer> reply, TimePoint give_up_at) {
  const auto again = [this, id, message, reply, give_up_at](const Error& error) {
    if (error.code != ErrorCode::unavailable) return reply(error);
    homes_.erase(id);  // even if there is no time left for this request: the next one must look again
    if (context_->clock->now() + again_after >= give_up_at) return reply(error);
    after(self_, again_after, [this, id, message, reply, give_up_at] { request_home<Answer>(id, message, reply, give_up_at); });
  };
  locate(id, [this, message, reply, again](Result<Home> home) mutable {
    if (!home) return again(home.error());
    if constexpr (requires { message.epoch; }) message.epoch = home->epoch;
    const auto cluster = context_->cluster.load();
    const Peer* peer = cluster->find(home->node);
    if (peer == nullptr || !peer->handles.home || peer->view.state == policy::NodeState::gone) {
      return again({ErrorCode::unavailable, "node " + home->node.value + ", which has the conversation, is away"});
    }
    self_->request(peer->handles.home, request_timeout, message)
        .then([reply](Answer& answer) { reply(std::move(answer)); },
              [again](caf::error& error) { again(from_caf(error, "asking the conversation's home")); });
  });
}

void ReaderState::open_new(const policy::ConversationId& id, Reply<OpenedConversation> reply, TimePoint give_up_at) {
  const auto cluster = context_->cluster.load();
  const auto serves = [](const Peer& peer) { return peer.view.state == policy::NodeState::serving && peer.handles.home; };
  const Peer* here = cluster->find(context_->self);
  if (here != nullptr && !serves(*here)) here = nullptr;
  for (const Peer& peer : cluster->peers) {
    if (here == nullptr && serves(peer)) here = &peer;
  }
  const auto again = [this, id, reply, give_up_at](const Error& error) {
    if (error.code != ErrorCode::unavailable || context_->clock->now() + again_after >= give_up_at) return reply(error);
    after(self_, again_after, [this, id, reply, give_up_at] { open_again(id, reply, give_up_at); });
  };
  if (here == nullptr) return again({ErrorCode::unavailable, "no node is serving"});
  self_->request(here->handles.home, request_timeout, schemas::HomeOpen{id, true})
      .then(
          [this, id, reply, node = here->view.id](const schemas::HomeOpened& opened) {
            homes_[id] = {node, opened.epoch};
            reply(OpenedConversation{id, node.value, opened.turns});
          },
          [again](caf::error& error) { again(from_caf(error, "opening a conversation")); });
}

void ReaderState::open_again(const policy::ConversationId& id, Reply<OpenedConversation> reply, TimePoint give_up_at) {
  locate(id, [this, id, reply, give_up_at](const Result<Home>& home) {
    if (!home) return open_new(id, reply, give_up_at);
    open_home({id, true}, reply, give_up_at);
  });
}

void ReaderState::open_home(const schemas::HomeOpen& open, Reply<OpenedConversation> reply, TimePoint give_up_at) {
  const policy::ConversationId id = open.conversation;
  request_home<schemas::HomeOpened>(
      id, open,
      [this, id, reply](Result<schemas::HomeOpened> opened) {
        if (!opened) return reply(opened.error());
        const auto home = homes_.find(id);
        reply(OpenedConversation{id, home == homes_.end() ? std::string() : home->second.node.value, opened->turns});
      },
      give_up_at);
}

template <class Message>
void ReaderState::ask_node(const Peer* peer, Message message, Reply<policy::NodeView> reply) {
  if (peer == nullptr || !peer->handles.node || peer->view.state == policy::NodeState::gone) {
    return reply(Error{ErrorCode::unavailable, peer == nullptr ? std::string("the node that grants the leases is not known")
                                                               : "node " + peer->view.id.value + " cannot be reached"});
  }
  self_->request(peer->handles.node, operator_timeout, std::move(message))
      .then([reply](schemas::Announce& now) { reply(std::move(now.node)); },
            [reply, id = peer->view.id](caf::error& error) {
              reply(from_caf(error, "asking node " + id.value + ", which may do it all the same (troupe cluster status)"));
            });
}

// Reading turns.

void ReaderState::on_follow(const FrontFollow& follow) {
  Reading reading;
  reading.turn = follow.following.turn;
  reading.next = follow.following.from;
  reading.credit = follow.credit;
  reading.on_events = follow.on_events;
  readings_[follow.reader] = std::move(reading);
  ask_home(follow.reader, true);
}

void ReaderState::ask_home(std::uint64_t reader, bool again) {
  const auto found = readings_.find(reader);
  if (found == readings_.end() || found->second.locating) return;
  Reading& reading = found->second;
  reading.asked = context_->clock->now();
  reading.locating = true;
  locate(reading.turn.conversation, [this, reader, again](Result<Home> home) {
    const auto still = readings_.find(reader);
    if (still == readings_.end()) return;
    Reading& waiting = still->second;
    waiting.locating = false;
    if (!home) return on_failed({reader, waiting.turn, home.error().code, home.error().message});
    const auto cluster = context_->cluster.load();
    const Peer* peer = cluster->find(home->node);
    if (peer == nullptr || !peer->handles.home || peer->view.state == policy::NodeState::gone) {
      return on_failed(
          {reader, waiting.turn, ErrorCode::unavailable, "node " + home->node.value + ", which has the conversation, is away"});
    }
    self_->send(peer->handles.home,
                schemas::HomeMore{waiting.turn, home->epoch, {context_->self, reader}, waiting.next, waiting.credit, again});
  });
}

void ReaderState::on_events(const schemas::ReaderEvents& events) {
  const auto found = readings_.find(events.reader);
  if (found == readings_.end() || found->second.turn != events.turn || events.events.empty()) return;
  Reading& reading = found->second;
  reading.troubled = {};
  if (events.from > reading.next) return ask_home(events.reader, true);  // something before it was lost
  std::vector<policy::TurnEvent> next;
  for (const policy::TurnEvent& event : events.events) {
    if (event.number >= reading.next) next.push_back(event);
  }
  if (next.empty()) return;
  reading.next = next.back().number + 1;
  reading.credit -= std::min(reading.credit, static_cast<std::uint32_t>(next.size()));
  reading.asked = context_->clock->now();
  const bool last = next.back().last();
  const OnEvents on_events = reading.on_events;
  if (last) readings_.erase(found);
  on_events(std::move(next));
}

void ReaderState::on_failed(const schemas::ReaderFailed& failed) {
  const auto found = readings_.find(failed.reader);
  if (found == readings_.end() || found->second.turn != failed.turn) return;
  Reading& reading = found->second;
  const TimePoint now = context_->clock->now();
  // A turn that says nothing for a while is no trouble: what failed once and then went well is over.
  if (reading.troubled == TimePoint{} || now - reading.failed > trouble_over_after) reading.troubled = now;
  reading.failed = now;
  if (failed.code == ErrorCode::unavailable && now - reading.troubled < trouble_max) {
    homes_.erase(reading.turn.conversation);
    return;  // tick() asks again
  }
  const OnEvents on_events = reading.on_events;
  readings_.erase(found);
  on_events(Error{failed.code, failed.message});
}

void ReaderState::on_leave(std::uint64_t reader) {
  const auto found = readings_.find(reader);
  if (found == readings_.end()) return;
  const policy::TurnId turn = found->second.turn;
  readings_.erase(found);
  locate(turn.conversation, [this, reader, turn](Result<Home> home) {
    if (!home) return;
    const auto cluster = context_->cluster.load();
    const Peer* peer = cluster->find(home->node);
    if (peer != nullptr && peer->handles.home) {
      self_->send(peer->handles.home, schemas::HomeLeave{turn, {context_->self, reader}, true});
    }
  });
}

void ReaderState::tick() {
  const TimePoint now = context_->clock->now();
  std::vector<std::uint64_t> quiet;
  for (const auto& [reader, reading] : readings_) {
    const bool trouble = reading.troubled != TimePoint{} && now - reading.failed <= trouble_over_after;
    const Duration silence = now - reading.asked;
    const Duration patience = trouble ? again_after : reading.credit > 0 ? quiet_max : in_touch_every;
    if (silence >= patience) quiet.push_back(reader);
  }
  for (const std::uint64_t reader : quiet) ask_home(reader, true);
  after(self_, tick_every, [this] { tick(); });
}

ReaderActorImpl::behavior_type reader_actor(ReaderActorImpl::stateful_pointer<ReaderState> self, NodeContextPtr context) {
  return self->state.start(std::move(context));
}

}  // namespace troupe::actors
