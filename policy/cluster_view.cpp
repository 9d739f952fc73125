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

BlockTraffic& BlockTraffic::operator+=(const BlockTraffic& other) {
  fetched_blocks += other.fetched_blocks;
  fetched_bytes += other.fetched_bytes;
  restored_blocks += other.restored_blocks;
  wrong_blocks += other.wrong_blocks;
  lent_blocks += other.lent_blocks;
  host_bytes += other.host_bytes;
  disk_bytes += other.disk_bytes;
  return *this;
}

void NodeView::forget_data_plane() {
  transports.clear();
  links.clear();
  experts.clear();
  expert_bytes_free = 0;
  experts_alone = 0;
}

}  // namespace troupe::policy
