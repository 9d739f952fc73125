// A search that is broken on purpose, before one that is not.
#pragma once

#include "actors/services.hpp"
#include "policy/fault.hpp"

namespace troupe::sim {

/// Answers as `retriever` does, but late, never, or with an error; what sections say it tells in any case. Ends with it, and it
/// with this.
actors::RetrieverActor faulty_search(caf::actor_system& system, const actors::RetrieverActor& retriever,
                                     const policy::Fault& fault);

}  // namespace troupe::sim
