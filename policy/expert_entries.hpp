// An expert placement as it is written down: entry by entry, each saying that a node holds some experts of some layers of a
// model. An operator writes them (schemas/placement_file.hpp), and a computed placement is printed as them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "policy/expert_placement.hpp"

namespace troupe::policy {

/// Numbers from `first` to `last`, both included.
struct IndexRange {
  std::int32_t first = 0;
  std::int32_t last = 0;
  friend bool operator==(const IndexRange&, const IndexRange&) = default;
};
/// "0-3,7": ascending ranges without overlap, of numbers from 0 to `index_max`; or "all",
/// which is no range. `invalid_argument` says what is wrong with the text.
inline constexpr std::int32_t index_max = 4095;
Result<std::vector<IndexRange>> parse_ranges(std::string_view text);
std::string to_string(std::span<const IndexRange> ranges);

struct ExpertEntry {
  std::string model;  ///< its name in the portfolio
  NodeId node;
  std::vector<IndexRange> layers;   ///< none: all that have experts
  std::vector<IndexRange> experts;  ///< none: all
  std::string where;                ///< "placement.toml:3", for errors; not a part of the value
  friend bool operator==(const ExpertEntry& one, const ExpertEntry& other) {
    return one.model == other.model && one.node == other.node && one.layers == other.layers && one.experts == other.experts;
  }
};

/// What the entries say of one model. An expert's nodes are in the order of their entries: the first is preferred. Errors begin
/// with the entry's place: `out_of_range` for a layer without experts or an expert that the model does not have,
/// `invalid_argument` for an expert that the same node was given before.
/// Whether every expert has a home, and nodes have room, is `validate`'s business.
Result<ExpertPlacement> placement_of(std::span<const ExpertEntry> entries, std::string_view model, const ExpertShape& shape);

/// Few entries that say the same.
std::vector<ExpertEntry> entries_of(const ExpertPlacement& placement, const std::string& model);

}  // namespace troupe::policy
