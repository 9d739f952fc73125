// Shadows in a simulated cluster: what is answered once more, and what must hold of it when a run is over.
//
//   no turn is in the logs twice for one experiment
//   under the client's own policy, from what its answer was made from, the shadow says the same, with the same confidence and
//   the same checks: what a crash or a move has lost meanwhile makes no difference
#pragma once

#include <vector>

#include "policy/shadow.hpp"
#include "tests/sim/cluster.hpp"

namespace troupe::sim {

/// "same": each turn once more, under the policy that the client was answered under; "heavy": a third of them, by heavy.
std::vector<policy::ShadowArm> shadow_arms();

/// What is in all nodes' logs.
std::vector<policy::ShadowRecord> shadows_of(SimCluster& cluster);

/// `corpus_stays`: no node has come back with another one, in which an answer's sources may say something else.
void check_shadows(World& world, const std::vector<policy::ShadowRecord>& shadows, bool corpus_stays);

}  // namespace troupe::sim
