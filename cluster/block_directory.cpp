#include "cluster/block_directory.hpp"

#include <algorithm>
#include <tuple>

namespace troupe::cluster {

void BlockDirectory::add(const NodeId& node, std::span<const BlockId> blocks) {
  const std::scoped_lock lock(mutex_);
  std::size_t& count = counts_[node];
  for (const BlockId& block : blocks) {
    if (count >= blocks_max) return;
    Nodes& nodes = holders_[block];
    const auto place = std::lower_bound(nodes.begin(), nodes.end(), node);
    if (place != nodes.end() && *place == node) continue;
    nodes.insert(place, node);
    ++count;
  }
}

void BlockDirectory::remove(const NodeId& node, std::span<const BlockId> blocks) {
  const std::scoped_lock lock(mutex_);
  const auto count = counts_.find(node);
  if (count == counts_.end()) return;
  for (const BlockId& block : blocks) {
    const auto found = holders_.find(block);
    if (found == holders_.end()) continue;
    const auto removed = std::erase(found->second, node);
    count->second -= removed;
    if (found->second.empty()) holders_.erase(found);
  }
}

void BlockDirectory::forget(const NodeId& node) {
  const std::scoped_lock lock(mutex_);
  if (counts_.erase(node) == 0) return;
  for (auto entry = holders_.begin(); entry != holders_.end();) {
    std::erase(entry->second, node);
    entry = entry->second.empty() ? holders_.erase(entry) : std::next(entry);
  }
}

std::vector<BlockHolder> BlockDirectory::holders(std::span<const BlockId> chain) const {
  const std::scoped_lock lock(mutex_);
  std::vector<BlockHolder> found;
  for (std::size_t place = 0; place < chain.size(); ++place) {
    const auto known = holders_.find(chain[place]);
    if (known == holders_.end()) break;
    if (place == 0) {
      for (const NodeId& node : known->second) found.push_back({node, 1});
      continue;
    }
    bool any = false;
    for (BlockHolder& holder : found) {
      if (holder.blocks != place || !std::binary_search(known->second.begin(), known->second.end(), holder.node)) continue;
      ++holder.blocks;
      any = true;
    }
    if (!any) break;
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.blocks > b.blocks; });
  return found;
}

std::size_t BlockDirectory::blocks_of(const NodeId& node) const {
  const std::scoped_lock lock(mutex_);
  const auto count = counts_.find(node);
  return count == counts_.end() ? 0 : count->second;
}

}  // namespace troupe::cluster
