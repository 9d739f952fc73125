#include "cli/shadow_policies.hpp"

#include <filesystem>
#include <optional>
#include <utility>

#include "model/file.hpp"
#include "schemas/routing_file.hpp"

namespace troupe::cli {

Result<policy::ShadowArm> read_shadow_arm(const policy::RoutingPolicy& policy, const std::string& file,
                                          const policy::ShadowExperiment& experiment) {
  if (experiment.policy.empty()) return policy::make_arm(policy, experiment, std::nullopt);
  const std::string other_file = (std::filesystem::path(file).parent_path() / experiment.policy).string();
  const auto read = [&]() -> Result<policy::RoutingPolicy> {
    TROUPE_TRY(const auto text, model::read_file(other_file, schemas::routing_file_bytes_max));
    return schemas::parse_routing(text, other_file);
  };
  auto other = read();
  if (!other) return std::move(other).error().within("shadow \"" + experiment.name + "\"");
  return policy::make_arm(policy, experiment, *std::move(other));
}

Result<std::vector<policy::ShadowArm>> read_shadow_arms(const policy::RoutingPolicy& policy, const std::string& file) {
  std::vector<policy::ShadowArm> arms;
  for (const policy::ShadowExperiment& experiment : policy.shadow) {
    TROUPE_TRY(auto arm, read_shadow_arm(policy, file, experiment));
    arms.push_back(std::move(arm));
  }
  return arms;
}

}  // namespace troupe::cli
