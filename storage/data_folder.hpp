// Whose data a store holds: the format of its records, the cluster and the node that they belong to. A node claims its store
// before it does anything else with it, so that no folder is ever used by another cluster, node or format.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "policy/cluster_view.hpp"
#include "storage/store.hpp"

namespace troupe::storage {

/// Of the columns and keys as a whole; a record has its own version besides (schemas/records.hpp).
inline constexpr std::uint32_t data_format_version = 1;
inline constexpr std::size_t node_name_bytes_max = 255;

struct Identity {
  policy::ClusterId cluster;
  policy::NodeId node;
  std::uint64_t incarnation = 0;  ///< larger with each claim
  bool drained = false;           ///< an operator has taken the node out of work, and not back in
  friend bool operator==(const Identity&, const Identity&) = default;
};

/// `invalid_argument` unless it has 1 to `node_name_bytes_max` printable characters of ASCII, none of them a space.
Result<void> check_node_name(const std::string& name);

/// What a claim would say of the node's part in its cluster, before anybody is asked which cluster that is: a store that was
/// claimed is that of a first node, or of one that `joins`.
Result<void> check_part(const Store& store, bool joins);

/// Who the store belongs to, durably, from now on. `joined` is the cluster that the node joins; without one it is a cluster's
/// first node, which the first claim makes from `random`. Later claims are refused (`invalid_argument`) if the cluster, the
/// node or its part in the cluster is another one: the first node's store holds the cluster's leases, and no cluster may have
/// two. They are `unsupported` if the format is, `corrupt` if the identity is damaged or missing beside other records.
///
/// The incarnation is at least `incarnation_min`. With seconds of the wall clock there, it grows also where the folder is an
/// older copy, or a new one of a node whose disk was lost: others take no node for new whose incarnation is not.
Result<Identity> claim(Store& store, const std::optional<policy::ClusterId>& joined, const std::string& node_name,
                       const std::array<std::uint8_t, 16>& random, std::uint64_t incarnation_min = 1);

/// For whoever changes a node's records while the node does not run: `not_found` if no node has claimed the store yet, and
/// `unsupported` if its format is another one.
Result<void> check_claimed(const Store& store);

/// What the next claims say of `drained`.
WriteBatch put_drained(bool drained);

}  // namespace troupe::storage
