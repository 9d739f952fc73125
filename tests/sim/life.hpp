// One life of a simulated node: from its start until it is killed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "actors/front.hpp"
#include "actors/node_actor.hpp"

namespace troupe::sim {

class SimJournal;
class SimReplica;

struct Life {
  std::string node;
  std::uint64_t incarnation = 0;
  /// What a node that was killed still says and writes reaches nobody.
  bool alive = true;
  actors::NodeContextPtr context;
  std::shared_ptr<SimJournal> journal;
  std::vector<std::shared_ptr<SimReplica>> replicas;
  actors::NodeActorImpl actor;
  actors::PeerHandles handles;  ///< the newest of the node's actors
  std::shared_ptr<actors::Front> front;
};
using LifePtr = std::shared_ptr<Life>;

}  // namespace troupe::sim
