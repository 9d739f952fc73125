// Taking a node out of its cluster's work: whether that may be, which nodes take its conversations, and what it still holds.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "policy/cluster_view.hpp"

namespace troupe::policy {

/// Something that a node holds and that has to move, or end, before it is empty.
struct Holding {
  std::string what;  ///< in words, plural
  std::int64_t count = 0;
  friend bool operator==(const Holding&, const Holding&) = default;
};
/// What a node still holds, without what it holds none of: empty when it is drained. Whatever else comes to live on a node is
/// counted here, and nowhere else.
std::vector<Holding> left_to_move(const NodeView& node);
/// "12 conversations, 3 running sequences", or "nothing".
std::string to_string(const std::vector<Holding>& left);

/// Whether a node may be drained now. It may if it is being drained already. `not_found` for a node that is unknown,
/// `unsupported` for the one that grants the leases, `unavailable` for one that is gone and while the cluster cannot do without
/// it: nobody else serves, or nobody else has one of its tiers, or another node is being drained, or nobody else has room for
/// experts that only it holds.
Result<void> check_drain(std::span<const NodeView> nodes, const NodeId& node);

/// Which node takes a conversation of `from`: one that serves; of these one with the same corpus, so that its next answers come
/// from the same text, and with as many of the tiers of `from` as any other has; of these the one with the fewest
/// conversations; then the first. `given`: conversations that have gone there and that its view may not count yet. None if no
/// other serves.
std::optional<NodeId> choose_home(std::span<const NodeView> nodes, const NodeId& from,
                                  const std::map<NodeId, std::int32_t>& given);

}  // namespace troupe::policy
