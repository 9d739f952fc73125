#include "actors/router_actor.hpp"

#include <utility>

#include "policy/placement.hpp"

namespace troupe::actors {

RouterActor::behavior_type RouterState::start(NodeContextPtr context) {
  context_ = std::move(context);
  install_defaults(self_);
  return {
      [this](const RouteQuery& query) -> caf::result<policy::RouteDecision> {
        policy::RouteFacts facts = query.facts;
        facts.served = policy::served_tiers(views_of(*context_->cluster.load()));
        if (!query.wait) facts.served = {policy::tiers.begin(), policy::tiers.end()};
        auto decision = policy::route(*context_->routing, facts);
        if (!decision) return to_caf(decision.error());
        return *std::move(decision);
      },
  };
}

RouterActor::behavior_type router_actor(RouterActor::stateful_pointer<RouterState> self, NodeContextPtr context) {
  return self->state.start(std::move(context));
}

}  // namespace troupe::actors
