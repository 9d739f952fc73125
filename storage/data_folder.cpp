#include "storage/data_folder.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string_view>
#include <utility>

namespace troupe::storage {

namespace {

// Text, so that a person with RocksDB's own tools can read whose folder it is.
constexpr std::string_view format_key = "format";
constexpr std::string_view cluster_key = "cluster";
constexpr std::string_view node_key = "node";
constexpr std::string_view incarnation_key = "incarnation";
constexpr std::string_view part_key = "part";
constexpr std::string_view first_part = "first";
constexpr std::string_view joined_part = "joined";
constexpr std::string_view drained_key = "drained";

Error damaged(std::string_view key, const std::string& what) {
  return {ErrorCode::corrupt, "the data folder's " + std::string(key) + " " + what +
                                  "; restore the folder from a copy, or begin with an empty one"};
}

Result<std::uint64_t> number_of(std::string_view key, const std::string& text) {
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec == std::errc() && parsed.ptr == text.data() + text.size()) return number;
  return damaged(key, "is \"" + text.substr(0, 64) + "\", expected a number");
}

Result<std::string> stored(const Store& store, std::string_view key) {
  TROUPE_TRY(auto value, store.get(Column::meta, key));
  if (value) return *std::move(value);
  return damaged(key, "is missing");
}

Result<Identity> read_identity(const Store& store) {
  Identity identity;
  TROUPE_TRY(const auto cluster, stored(store, cluster_key));
  const auto name = parse_name<policy::ClusterId>(cluster);
  if (!name || name->empty())
    return damaged(cluster_key, "is \"" + cluster.substr(0, 64) + "\", expected 32 hexadecimal digits");
  identity.cluster = *name;
  TROUPE_TRY(identity.node.value, stored(store, node_key));
  TROUPE_TRY(const auto incarnation, stored(store, incarnation_key));
  TROUPE_TRY(identity.incarnation, number_of(incarnation_key, incarnation));
  TROUPE_TRY(const auto drained, store.get(Column::meta, drained_key));
  identity.drained = drained.has_value();
  return identity;
}

Result<void> check_stored_part(const Store& store, std::string_view part) {
  TROUPE_TRY(const auto found, stored(store, part_key));
  if (found == part) return {};
  if (found == first_part) {
    return Error{ErrorCode::invalid_argument,
                 "the data folder is that of its cluster's first node, which grants the leases; "
                 "start it without joining another node, or choose another folder"};
  }
  if (found == joined_part) {
    return Error{ErrorCode::invalid_argument,
                 "the data folder is that of a node that joined a cluster; start it with the "
                 "address of a node of that cluster (--join), or choose another folder"};
  }
  return damaged(part_key, "is \"" + found.substr(0, 64) + "\", expected first or joined");
}

Result<void> check_format(const std::string& format) {
  TROUPE_TRY(const auto version, number_of(format_key, format));
  if (version == data_format_version) return {};
  return Error{ErrorCode::unsupported, "the data folder has format version " + format + ", this troupe uses version " +
                                           std::to_string(data_format_version) +
                                           "; run the version that wrote it, or choose another folder"};
}

Result<void> check_unused(const Store& store) {
  for (std::size_t i = 0; i < columns; ++i) {
    const auto column = static_cast<Column>(i);
    TROUPE_TRY(const auto found, store.scan(column, "", "", 1));
    if (!found.empty()) return damaged(format_key, "is missing, but there are records in " + std::string(to_string(column)));
  }
  return {};
}

}  // namespace

Result<void> check_node_name(const std::string& name) {
  const bool printable = std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < '\x7f'; });
  if (!name.empty() && name.size() <= node_name_bytes_max && printable) return {};
  return Error{ErrorCode::invalid_argument,
               "a node cannot be named \"" + name.substr(0, 64) + "\" (" + std::to_string(name.size()) +
                   " bytes); choose 1 to " + std::to_string(node_name_bytes_max) + " letters, digits or signs, without spaces"};
}

Result<void> check_part(const Store& store, bool joins) {
  TROUPE_TRY(const auto format, store.get(Column::meta, format_key));
  if (!format) return {};
  TROUPE_TRY_DO(check_format(*format));
  return check_stored_part(store, joins ? joined_part : first_part);
}

Result<Identity> claim(Store& store, const std::optional<policy::ClusterId>& joined, const std::string& node_name,
                       const std::array<std::uint8_t, 16>& random, std::uint64_t incarnation_min) {
  const std::string_view part = joined ? joined_part : first_part;
  TROUPE_TRY_DO(check_node_name(node_name));
  TROUPE_TRY(const auto format, store.get(Column::meta, format_key));
  Identity identity;
  if (!format) {
    TROUPE_TRY_DO(check_unused(store));
    identity = {.cluster = joined ? *joined : policy::ClusterId{random}, .node = {node_name}, .incarnation = 0};
    if (identity.cluster.empty()) {
      return Error{ErrorCode::invalid_argument, "a cluster's id of zeroes; 16 random bytes were expected"};
    }
  } else {
    TROUPE_TRY_DO(check_format(*format));
    TROUPE_TRY(identity, read_identity(store));
    TROUPE_TRY_DO(check_stored_part(store, part));
  }
  if (joined && identity.cluster != *joined) {
    return Error{ErrorCode::invalid_argument, "the data folder belongs to cluster " + to_string(identity.cluster) +
                                                  ", this node joins cluster " + to_string(*joined) +
                                                  "; choose another folder, or join that cluster"};
  }
  if (identity.node.value != node_name) {
    return Error{ErrorCode::invalid_argument, "the data folder belongs to node " + identity.node.value + ", this node is " +
                                                  node_name + "; choose another folder, or start it under that name"};
  }
  if (identity.incarnation == std::numeric_limits<std::uint64_t>::max()) {
    return damaged(incarnation_key, "is " + std::to_string(identity.incarnation) + ", which no node reaches");
  }
  identity.incarnation = std::max(identity.incarnation + 1, incarnation_min);

  WriteBatch batch;
  const auto put = [&](std::string_view key, std::string value) {
    batch.puts.push_back({.column = Column::meta, .key = std::string(key), .value = std::move(value)});
  };
  put(format_key, std::to_string(data_format_version));
  put(cluster_key, to_string(identity.cluster));
  put(node_key, identity.node.value);
  put(part_key, std::string(part));
  put(incarnation_key, std::to_string(identity.incarnation));
  TROUPE_TRY_DO(store.write({batch}).front());
  return identity;
}

Result<void> check_claimed(const Store& store) {
  TROUPE_TRY(const auto format, store.get(Column::meta, format_key));
  if (!format) return Error{ErrorCode::not_found, "no node has used this data folder; start one with it first"};
  return check_format(*format);
}

WriteBatch put_drained(bool drained) {
  Put put{.column = Column::meta, .key = std::string(drained_key), .value = std::nullopt};
  if (drained) put.value = "yes";
  return {.puts = {std::move(put)}, .fence = std::nullopt};
}

}  // namespace troupe::storage
