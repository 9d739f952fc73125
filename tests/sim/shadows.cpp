#include "tests/sim/shadows.hpp"

#include <set>
#include <string>
#include <utility>

#include "storage/shadow_log.hpp"

namespace troupe::sim {

std::vector<policy::ShadowArm> shadow_arms() {
  policy::ShadowExperiment same;
  same.name = "same";
  same.share = 1;
  same.policy = "same.toml";
  policy::ShadowExperiment heavy;
  heavy.name = "heavy";
  heavy.share = 0.3;
  heavy.tier = policy::Tier::heavy;
  const policy::RoutingPolicy routing = routing_policy();
  return {policy::make_arm(routing, same, routing).value(), policy::make_arm(routing, heavy, std::nullopt).value()};
}

std::vector<policy::ShadowRecord> shadows_of(SimCluster& cluster) {
  std::vector<policy::ShadowRecord> shadows;
  for (const auto& node : cluster.nodes()) {
    policy::ShadowQuery query{.from = 0, .limit = 64, .experiment = "", .since_ms = 0, .texts = true};
    for (bool more = true; more;) {
      const auto page = storage::read_shadows(node->disk.store, query);
      if (!page) {
        cluster.world().violated("the shadows of " + node->name + " cannot be read: " + page.error().message);
        break;
      }
      for (const auto& numbered : page->records) shadows.push_back(numbered.record);
      query.from = page->next;
      more = page->more;
    }
  }
  return shadows;
}

void check_shadows(World& world, const std::vector<policy::ShadowRecord>& shadows, bool corpus_stays) {
  std::set<std::pair<std::string, policy::TurnId>> known;
  for (const policy::ShadowRecord& shadow : shadows) {
    const std::string name = "the shadow of turn " + to_string(shadow.turn) + " for " + shadow.experiment;
    if (!known.emplace(shadow.experiment, shadow.turn).second) world.violated(name + " is there twice");
    if (shadow.experiment != "same" || shadow.fate != policy::ShadowFate::compared || !corpus_stays) continue;
    const policy::ShadowAnswer& client = shadow.client;
    const policy::ShadowAnswer& again = shadow.shadow;
    const bool equal = client.text == again.text && client.citations == again.citations &&
                       client.confidence == again.confidence && client.confident == again.confident &&
                       client.failed_check == again.failed_check && client.tiers.back() == again.tiers.back();
    if (!equal) world.violated(name + " says \"" + again.text + "\", and the client was told \"" + client.text + "\"");
  }
}

}  // namespace troupe::sim
