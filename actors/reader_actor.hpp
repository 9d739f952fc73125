// A node's door for those who are not actors: opens, asks and reads turns for them, wherever the conversations are at home. It
// finds the home, asks again what was lost on the way, and hands out each event once, in order.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "actors/context.hpp"
#include "actors/front.hpp"

namespace troupe::actors {

// What the front asks of it; these never leave the node.
struct FrontOpen {
  std::optional<policy::ConversationId> id;
  Reply<OpenedConversation> reply;
};
struct FrontAsk {
  policy::ConversationId conversation;
  policy::Ask ask;
  Reply<policy::TurnId> reply;
};
struct FrontFollow {
  std::uint64_t reader = 0;
  Following following;
  std::uint32_t credit = 0;
  OnEvents on_events;
};
struct FrontMore {
  std::uint64_t reader = 0;
  std::uint32_t credit = 0;
};
struct FrontLeave {
  std::uint64_t reader = 0;
};
struct FrontCancel {
  policy::TurnId turn;
  Reply<void> reply;
};
struct FrontHistory {
  policy::ConversationId conversation;
  std::uint32_t from = 1;
  std::uint32_t limit = 0;
  Reply<HistoryPage> reply;
};
struct FrontPin {
  policy::ConversationId conversation;
  policy::PinChange change;
  Reply<policy::Pins> reply;
};
struct FrontDrain {
  policy::NodeId node;
  Reply<policy::NodeView> reply;
};
struct FrontJoin {
  policy::NodeId node;
  Reply<policy::NodeView> reply;
};
struct FrontTurn {
  policy::TurnId turn;
  Reply<policy::Turn> reply;
};

using ReaderActorImpl = ReaderActor::extend<takes<Continuation>, takes<FrontOpen>, takes<FrontAsk>, takes<FrontFollow>,
                                            takes<FrontMore>, takes<FrontLeave>, takes<FrontCancel>, takes<FrontHistory>,
                                            takes<FrontTurn>, takes<FrontPin>, takes<FrontDrain>, takes<FrontJoin>>;

class ReaderState {
 public:
  explicit ReaderState(ReaderActorImpl::pointer self) : self_(self) {}
  ~ReaderState();
  static inline const char* name = "reader";
  static constexpr std::size_t homes_max = 65536;

  ReaderActorImpl::behavior_type start(NodeContextPtr context);

 private:
  struct Reading {
    policy::TurnId turn;
    std::uint64_t next = 0;    ///< the least event number that it has not had
    std::uint32_t credit = 0;  ///< events that it still wants
    OnEvents on_events;
    TimePoint asked{};     ///< when the home was asked last
    TimePoint troubled{};  ///< since when the home cannot be had; zero: it can
    TimePoint failed{};    ///< when that was noticed last
    bool locating = false;
  };
  struct Home {
    policy::NodeId node;
    std::uint64_t epoch = 0;
  };

  void on_events(const schemas::ReaderEvents& events);
  void on_failed(const schemas::ReaderFailed& failed);
  void on_follow(const FrontFollow& follow);
  void on_leave(std::uint64_t reader);
  /// For what the reading wants; `again`: what was on its way is taken for lost.
  void ask_home(std::uint64_t reader, bool again);
  void tick();

  /// The conversation's home, by memory or by asking; `done` on this actor.
  void locate(const policy::ConversationId& id, std::function<void(Result<Home>)> done);
  /// Sends a request to the conversation's home, again and elsewhere while it is unavailable and there is time.
  template <class Answer, class Message>
  void request_home(const policy::ConversationId& id, Message message, Reply<Answer> reply, TimePoint give_up_at);
  /// The id is drawn once, so that an open that is repeated opens the same conversation.
  void open_new(const policy::ConversationId& id, Reply<OpenedConversation> reply, TimePoint give_up_at);
  /// It may have been opened though nobody said so, and may have moved since: then by its home, otherwise once more.
  void open_again(const policy::ConversationId& id, Reply<OpenedConversation> reply, TimePoint give_up_at);
  /// Opens it where it is at home.
  void open_home(const schemas::HomeOpen& open, Reply<OpenedConversation> reply, TimePoint give_up_at);
  template <class Message>
  void ask_node(const Peer* peer, Message message, Reply<policy::NodeView> reply);

  ReaderActorImpl::pointer self_;
  NodeContextPtr context_;
  std::map<std::uint64_t, Reading> readings_;
  std::unordered_map<policy::ConversationId, Home> homes_;  ///< where conversations were last; forgotten when that was wrong
};

ReaderActorImpl::behavior_type reader_actor(ReaderActorImpl::stateful_pointer<ReaderState> self, NodeContextPtr context);

/// The front of a node: its calls go to whatever reader actor the node has at the moment.
std::shared_ptr<Front> make_front(NodeContextPtr context);

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FrontOpen)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FrontAsk)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FrontFollow)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FrontMore)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FrontLeave)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FrontCancel)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FrontHistory)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FrontTurn)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FrontPin)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FrontDrain)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FrontJoin)
