// What must hold when a run is over and everything has been mended.
//
//   every turn that somebody was told of is on its home's disk, with an outcome that its question allows
//   what readers saw is what the disk says; whoever reads now gets the same
//   every conversation is on one node, and that is the one that has its lease
//   a node that is being drained has nothing left
//   every attempt's plan, run alone, gives the tokens that were stored
//   what was pinned is in every later prompt, word for word, until it is no longer pinned
//   engines are idle and hold nothing, no turns are open, no writes wait
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "tests/sim/client.hpp"

namespace troupe::sim {

using Clients = std::vector<std::shared_ptr<Client>>;

/// Whether all nodes are up, all turns have ended and all readers have had their last event.
bool nothing_is_open(SimCluster& cluster, const Clients& clients);
/// Makes violations of what keeps `nothing_is_open` from being true.
void tell_what_is_open(SimCluster& cluster, const Clients& clients);
void check_at_rest(Witness& witness, AloneAnswers& alone);
/// What was answered, by client and question.
std::vector<std::vector<std::string>> answers_of(Witness& witness, const Clients& clients);

}  // namespace troupe::sim
