// The replicas that a node of this process computes itself.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "actors/model_replica.hpp"
#include "cli/command.hpp"

namespace troupe::cli {

struct OwnReplica {
  std::shared_ptr<actors::Replica> replica;
  std::string device;  ///< what it computes on: "cpu, avx2, 2 threads"
};

/// Loads a folder or a bundled model, with progress. `to_load` says how many of the node's own replicas are not loaded yet,
/// this one among them: each takes its part of a GPU's memory, and leaves the rest to those that come after. Errors say what
/// is wrong with the model, or which device there is not.
Result<OwnReplica> load_own_replica(const std::string& model, policy::Tier tier, std::uint32_t index, std::size_t to_load,
                                    const DeviceChoice& device, const EngineChoice& engine,
                                    const std::shared_ptr<actors::NodeExperts>& experts);

}  // namespace troupe::cli
