// The policies that a routing policy's shadows are answered under, from the files that it names.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "policy/shadow.hpp"

namespace troupe::cli {

/// Of one experiment of `policy`, which stands in `file`: a policy that it names is read from there on, and must be valid.
/// Errors name the experiment.
Result<policy::ShadowArm> read_shadow_arm(const policy::RoutingPolicy& policy, const std::string& file,
                                          const policy::ShadowExperiment& experiment);

/// Of all of them.
Result<std::vector<policy::ShadowArm>> read_shadow_arms(const policy::RoutingPolicy& policy, const std::string& file);

}  // namespace troupe::cli
