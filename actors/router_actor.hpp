// Chooses the tiers that answer a question: policy/routing.hpp's decision, with what the cluster serves now.
#pragma once

#include "actors/context.hpp"
#include "actors/services.hpp"

namespace troupe::actors {

class RouterState {
 public:
  explicit RouterState(RouterActor::pointer self) : self_(self) {}
  static inline const char* name = "router";
  RouterActor::behavior_type start(NodeContextPtr context);

 private:
  RouterActor::pointer self_;
  NodeContextPtr context_;
};

RouterActor::behavior_type router_actor(RouterActor::stateful_pointer<RouterState> self, NodeContextPtr context);

}  // namespace troupe::actors
