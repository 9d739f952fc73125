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
        const auto cluster = context_->cluster.load();
        facts.served = policy::served_tiers(views_of(*cluster));
        // What becomes of a question for a tier that has long been away is decided when its prompt is made.
        const auto may_take =
            std::chrono::milliseconds(context_->routing->contracts[policy::place_of(policy::Stage::reasoning)].deadline_ms);
        for (const policy::Tier tier : policy::tiers) {
          if (context_->clock->now() - cluster->served[policy::place_of(tier)] >= may_take) facts.served.push_back(tier);
        }
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
