// What the engines of a cluster have done, for commands that count work.
#pragma once

#include "base/result.hpp"
#include "clients/cpp/client.hpp"
#include "policy/cluster_view.hpp"

namespace troupe::cli {

/// The cluster, once its engines' work stands still: nodes tell each other about it a moment later. Takes a second at least.
Result<policy::ClusterView> settled_view(const clients::Client& client);

}  // namespace troupe::cli
