#include "policy/cluster_view.hpp"

namespace troupe::policy {

std::string_view to_string(NodeState state) {
  switch (state) {
    case NodeState::joining: return "joining";
    case NodeState::serving: return "serving";
    case NodeState::draining: return "draining";
    case NodeState::gone: return "gone";
  }
  return "unknown";
}

}  // namespace troupe::policy
