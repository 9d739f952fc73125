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

void NodeView::forget_data_plane() {
  transports.clear();
  links.clear();
  experts.clear();
  expert_bytes_free = 0;
  experts_alone = 0;
}

}  // namespace troupe::policy
