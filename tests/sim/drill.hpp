// A drill on virtual time: a cluster in which something is broken on purpose, a client that asks one question after the other,
// and what became of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "policy/turn.hpp"
#include "tests/sim/cluster.hpp"

namespace troupe::sim {

struct Asked {
  policy::Assurance assurance = policy::Assurance::standard;
  std::size_t questions = 3;
  std::int64_t deadline_ms = 20000;
  policy::Grounding grounding = policy::Grounding::always;
  std::int32_t tokens_max = 8;
  policy::Priority priority = policy::Ask{}.priority;
  /// What else happens to the cluster, beginning when its first node starts.
  std::function<void(World&, SimCluster&)> meanwhile = {};
};

struct DrillResult {
  std::vector<policy::Turn> turns;
  policy::PerStage<policy::StageCounts> counted{};  ///< by the nodes' last lives
  std::vector<std::string> violations;

  /// All of it, for a person.
  std::string story() const;
  /// How many entries there are of a stage in this trouble.
  std::size_t count(policy::Stage stage, policy::Trouble trouble) const;
};

/// One conversation's questions, each asked when the one before had been answered.
DrillResult run_drill(const Drill& drill, const Asked& asked = {}, std::uint64_t seed = 7);

Drill drill_of(const std::vector<policy::Tier>& tiers, const policy::Fault& fault, const std::string& when_unsure = {});

/// What holds whatever is broken: every turn has ended in its time and tells its story, and no invariant is violated.
void expect_turns_ended(const DrillResult& run, const Asked& asked);
/// And the nodes, none of which has failed, counted what the turns tell.
void expect_contracts_held(const DrillResult& run, const Asked& asked);

}  // namespace troupe::sim
