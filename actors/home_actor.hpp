// All conversations that are at home on a node: wakes them up by id, passes their messages on, puts them to sleep, and begins
// them again from their records if one of them fails.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "actors/context.hpp"
#include "actors/conversation_actor.hpp"
#include "actors/services.hpp"
#include "storage/copies.hpp"

namespace troupe::actors {

using HomeActorImpl = HomeActor::extend<takes<Continuation>, on<MoveAway>::gives<MovedAway>>;

class HomeState {
 public:
  explicit HomeState(HomeActorImpl::pointer self) : self_(self) {}
  ~HomeState();
  static inline const char* name = "home";
  static constexpr std::size_t awake_max = 10000;
  static constexpr std::size_t copies_at_work_max = 64;

  HomeActorImpl::behavior_type start(NodeContextPtr context, Services services);

 private:
  struct Awake {
    ConversationActor actor;
    bool sleeping = false;  ///< has been told to end
  };

  /// The conversation's actor, which is woken up if need be; empty if too many are awake.
  ConversationActor find(const policy::ConversationId& id, bool create);
  template <class Reply, class Message>
  caf::result<Reply> pass_on(const policy::ConversationId& id, const Message& message, bool create = false);
  template <class Message>
  void pass_to_shadow(const Message& message);
  void take_up_open_turns(std::optional<policy::TurnId> after_turn);
  void on_down(const caf::down_msg& down);
  void on_idle(const policy::ConversationId& id);

  // home_copies.cpp: what is not at home here, or not yet, or no longer.
  caf::result<schemas::HomeTaken> on_take(const schemas::HomeTake& take);
  void keep_piece(const std::shared_ptr<schemas::HomeTake>& take, const std::function<void(Result<void>)>& done);
  caf::result<MovedAway> on_move(const MoveAway& move);
  void remove_copy(const policy::ConversationId& id, std::uint64_t epoch, std::function<void(Result<void>)> done);
  void remove_more(const policy::ConversationId& id, std::uint64_t epoch, std::function<void(Result<void>)> done);
  /// Now and then: whose home has become known since.
  void look_at_copies(policy::ConversationId after_id);
  void look_at(const storage::Marked& copy);

  HomeActorImpl::pointer self_;
  NodeContextPtr context_;
  Services services_;
  std::unordered_map<policy::ConversationId, Awake> awake_;
  std::map<caf::actor_addr, policy::ConversationId> names_;
  /// Those that may have turns which nobody but themselves will finish, and how long to wait before they are begun again.
  std::unordered_map<policy::ConversationId, Duration> owed_;
  std::set<policy::ConversationId> copies_at_work_;  ///< being written or removed, one thing at a time
};

HomeActorImpl::behavior_type home_actor(HomeActorImpl::stateful_pointer<HomeState> self, NodeContextPtr context,
                                        Services services);

}  // namespace troupe::actors
