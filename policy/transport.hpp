// How bulk bytes go between two nodes: of what both offer, which is best, and what they found to work.
#pragma once

#include <string>
#include <vector>

#include "policy/cluster_view.hpp"

namespace troupe::policy {

/// Whether the first is to be preferred: "nccl" before "ucx" before "local" before those that this version does not know, which
/// are in the order of their names.
bool is_better_transport(const std::string& one, const std::string& other);

/// What both offer and reaches from one to the other, best first, each once.
std::vector<std::string> common_transports(const NodeView& one, const NodeView& other);
/// The best of them; empty if there is none.
std::string common_transport(const NodeView& one, const NodeView& other);

/// By which transport two nodes are joined now, as both of them say; empty if they are not, or do not agree (yet).
std::string joined_by(const NodeView& one, const NodeView& other);

}  // namespace troupe::policy
