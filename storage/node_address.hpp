// Where the node that uses a data folder can be reached, left in the folder as a file for whoever finds it in use.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "policy/cluster_view.hpp"

namespace troupe::storage {

struct NodeAddress {
  policy::NodeId node;
  std::string clients;  ///< "host:port", as clients on this machine reach it
  friend bool operator==(const NodeAddress&, const NodeAddress&) = default;
};

/// For the owner of the folder's store only. `io` if the file cannot be written.
Result<void> write_address(const std::filesystem::path& data_folder, const NodeAddress& address);
void forget_address(const std::filesystem::path& data_folder);
/// None if there is none, or what is there is no address. It is a hint: the node may have been killed since.
std::optional<NodeAddress> read_address(const std::filesystem::path& data_folder);

}  // namespace troupe::storage
