// Counts the conversations whose records are on this node, and, while an operator drains it, has them move to other nodes: a
// few at a time, in passes over the store, until there is none. policy/drain.hpp says where each goes.
#pragma once

#include <cstdint>
#include <deque>
#include <map>

#include "actors/context.hpp"
#include "actors/home_actor.hpp"
#include "storage/copies.hpp"

namespace troupe::actors {

using DrainActor = caf::typed_actor<takes<Continuation>>;

class DrainState {
 public:
  explicit DrainState(DrainActor::pointer self) : self_(self) {}
  static inline const char* name = "drain";
  static constexpr std::size_t moves_max = 4;  ///< at a time
  static constexpr std::size_t page_max = 64;  ///< conversations looked at by one read

  DrainActor::behavior_type start(NodeContextPtr context, HomeActorImpl home);

 private:
  void count(policy::ConversationId after_id, std::int32_t before);
  void counted(std::int32_t stored);
  void go_on();
  /// Moves all that a page has, then what the next one has.
  void move_page(policy::ConversationId after_id);
  void move_next();
  void move(const policy::ConversationId& id);
  void read_page(policy::ConversationId after_id, std::function<void(Result<storage::StoredPage>)> then);

  DrainActor::pointer self_;
  NodeContextPtr context_;
  HomeActorImpl home_;
  std::deque<policy::ConversationId> waiting_;  ///< of the page
  std::optional<policy::ConversationId> next_;  ///< where the next page begins
  std::size_t moving_ = 0;
  TimePoint counted_at_{};
  std::map<policy::NodeId, std::int32_t> given_;  ///< in this pass; the nodes' views count them a moment later
};

DrainActor::behavior_type drain_actor(DrainActor::stateful_pointer<DrainState> self, NodeContextPtr context,
                                      HomeActorImpl home);

}  // namespace troupe::actors
