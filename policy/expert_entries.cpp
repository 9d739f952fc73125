#include "policy/expert_entries.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

namespace troupe::policy {

namespace {

std::vector<IndexRange> ranges_of(const std::vector<std::int32_t>& ascending) {
  std::vector<IndexRange> ranges;
  for (const std::int32_t index : ascending) {
    if (!ranges.empty() && ranges.back().last + 1 == index) {
      ranges.back().last = index;
    } else {
      ranges.push_back({index, index});
    }
  }
  return ranges;
}

/// Takes a number off the front of a text; false if there is none within the limit.
bool take_number(std::string_view& text, std::int32_t& number) {
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc{} || number < 0 || number > index_max) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

void skip_spaces(std::string_view& text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
}

}  // namespace

Result<std::vector<IndexRange>> parse_ranges(std::string_view text) {
  std::vector<IndexRange> ranges;
  if (text == "all") return ranges;
  std::string_view left = text;
  while (true) {
    IndexRange range;
    skip_spaces(left);
    bool good = take_number(left, range.first);
    range.last = range.first;
    skip_spaces(left);
    if (good && left.starts_with('-')) {
      left.remove_prefix(1);
      skip_spaces(left);
      good = take_number(left, range.last) && range.last >= range.first;
      skip_spaces(left);
    }
    good = good && (ranges.empty() || range.first > ranges.back().last) && (left.empty() || left.front() == ',');
    if (!good) {
      return Error{ErrorCode::invalid_argument, "at \"" + std::string(left.substr(0, 20)) +
                                                    "\", expected ascending numbers from 0 to " + std::to_string(index_max) +
                                                    " as in \"0-3,7\", or \"all\""};
    }
    ranges.push_back(range);
    if (left.empty()) return ranges;
    left.remove_prefix(1);
  }
}

std::string to_string(std::span<const IndexRange> ranges) {
  if (ranges.empty()) return "all";
  std::string text;
  for (const IndexRange& range : ranges) {
    text += (text.empty() ? "" : ",") + std::to_string(range.first);
    if (range.last > range.first) text += "-" + std::to_string(range.last);
  }
  return text;
}

Result<ExpertPlacement> placement_of(std::span<const ExpertEntry> entries, std::string_view model, const ExpertShape& shape) {
  ExpertPlacement placement;
  const auto place = [&](const ExpertEntry& entry, ExpertId id) -> Result<void> {
    ExpertSelection one;
    one.add(id);
    TROUPE_TRY_DO(check(one, shape));
    std::vector<NodeId>& homes = placement.holders[id];
    if (std::ranges::find(homes, entry.node) == homes.end()) {
      homes.push_back(entry.node);
      return {};
    }
    return Error{ErrorCode::invalid_argument, "expert " + std::to_string(id.expert) + " of layer " + std::to_string(id.layer) +
                                                  " is placed on node \"" + entry.node.value + "\" a second time"};
  };
  for (const ExpertEntry& entry : entries) {
    if (entry.model != model) continue;
    std::vector<IndexRange> layers = entry.layers;
    if (layers.empty()) layers = ranges_of(shape.sparse);
    std::vector<IndexRange> experts = entry.experts;
    if (experts.empty()) experts = {{0, shape.experts - 1}};
    for (const IndexRange& layer_range : layers) {
      for (std::int32_t layer = layer_range.first; layer <= layer_range.last; ++layer) {
        for (const IndexRange& range : experts) {
          for (std::int32_t expert = range.first; expert <= range.last; ++expert) {
            if (auto placed = place(entry, {layer, expert}); !placed) return std::move(placed).error().within(entry.where);
          }
        }
      }
    }
  }
  return placement;
}

std::vector<ExpertEntry> entries_of(const ExpertPlacement& placement, const std::string& model) {
  std::size_t ranks = 0;
  for (const auto& [id, nodes] : placement.holders) ranks = std::max(ranks, nodes.size());
  std::vector<ExpertEntry> entries;
  // All that come first, then all that come second: so the order of entries is the order of preference.
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    std::map<NodeId, std::map<std::int32_t, std::vector<std::int32_t>>> held;  // by node, by layer: the experts
    for (const auto& [id, nodes] : placement.holders) {
      if (rank < nodes.size()) held[nodes[rank]][id.layer].push_back(id.expert);
    }
    for (const auto& [node, layers] : held) {
      std::map<std::vector<std::int32_t>, std::vector<std::int32_t>> alike;  // by experts: the layers
      for (const auto& [layer, experts] : layers) alike[experts].push_back(layer);
      for (const auto& [experts, same] : alike) {
        entries.push_back(
            {.model = model, .node = node, .layers = ranges_of(same), .experts = ranges_of(experts), .where = {}});
      }
    }
  }
  return entries;
}

}  // namespace troupe::policy
