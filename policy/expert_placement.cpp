#include "policy/expert_placement.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <set>
#include <utility>

namespace troupe::policy {

namespace {

std::string name_of(ExpertId id) { return "expert " + std::to_string(id.expert) + " of layer " + std::to_string(id.layer); }

const ExpertRoom* find(std::span<const ExpertRoom> nodes, const NodeId& node) {
  const auto found = std::ranges::find(nodes, node, &ExpertRoom::node);
  return found == nodes.end() ? nullptr : &*found;
}

/// What a node shall hold, and what it was given so far.
struct Share {
  NodeId node;
  std::int64_t room = 0;         ///< experts that fit, at most all once
  std::int64_t quota = 0;        ///< experts that it shall hold
  std::int64_t given = 0;        ///< of them
  std::int64_t comes_first = 0;  ///< of those
  bool taken = false;            ///< holds the expert that is being placed
};

/// Gives each node as much as the others as long as it has room: the level to which water rises.
void fill_quotas(std::vector<Share>& shares, std::int64_t copies) {
  std::vector<Share*> ascending;
  for (Share& share : shares) ascending.push_back(&share);
  std::ranges::stable_sort(ascending, {}, &Share::room);
  auto left = static_cast<std::int64_t>(ascending.size());
  for (Share* share : ascending) {
    // What does not divide goes to the roomier ones, which come later.
    share->quota = std::min(share->room, copies / left);
    copies -= share->quota;
    --left;
  }
}

/// The nodes of one expert. `placed` of `all` experts have theirs. Whoever must take all that is left takes this one; the rest
/// goes to whoever is furthest behind its share. Since no node's rest is ever above the number of experts left, and the rests
/// add up to `replicas` for each of those, there are always enough nodes that still want one.
std::vector<Share*> take_turns(std::vector<Share>& shares, std::int64_t placed, std::int64_t all, std::int32_t replicas) {
  std::vector<Share*> chosen;
  const auto take = [&](Share& share) {
    share.taken = true;
    ++share.given;
    chosen.push_back(&share);
  };
  for (Share& share : shares) {
    share.taken = false;
    if (share.quota - share.given == all - placed) take(share);
  }
  while (chosen.size() < static_cast<std::size_t>(replicas)) {
    Share* next = nullptr;
    const auto behind = [&](const Share& share) { return share.quota * (placed + 1) - share.given * all; };
    for (Share& share : shares) {
      if (share.taken || share.given == share.quota) continue;
      if (next == nullptr || behind(share) > behind(*next)) next = &share;
    }
    take(*next);
  }
  // Whoever came first for the smallest part of its share comes first now.
  std::ranges::sort(chosen, [](const Share* one, const Share* other) {
    const std::int64_t left = one->comes_first * other->quota;
    const std::int64_t right = other->comes_first * one->quota;
    return left != right ? left < right : one->node < other->node;
  });
  ++chosen.front()->comes_first;
  return chosen;
}

}  // namespace

ExpertSelection ExpertPlacement::of(const NodeId& node) const {
  ExpertSelection selection;
  for (const auto& [id, nodes] : holders) {
    if (std::ranges::find(nodes, node) != nodes.end()) selection.add(id);
  }
  return selection;
}

std::vector<NodeId> ExpertPlacement::homes_of(const ExpertSelection& experts) const {
  std::set<NodeId> homes;
  for (const auto& [id, nodes] : holders) {
    if (experts.has(id)) homes.insert(nodes.begin(), nodes.end());
  }
  return {homes.begin(), homes.end()};
}

Result<void> validate(const ExpertPlacement& placement, const ExpertShape& shape, std::span<const ExpertRoom> nodes) {
  std::map<NodeId, std::size_t> held;
  for (const auto& [id, homes] : placement.holders) {
    if (!shape.has(id)) {
      return Error{ErrorCode::out_of_range, name_of(id) + " is placed, but the model has experts 0 to " +
                                                std::to_string(shape.experts - 1) + " in " +
                                                std::to_string(shape.sparse.size()) + " of its " +
                                                std::to_string(shape.layers) + " layers, and this is none of them"};
    }
    for (auto home = homes.begin(); home != homes.end(); ++home) {
      if (find(nodes, *home) == nullptr) {
        std::string known;
        for (const ExpertRoom& node : nodes) known += (known.empty() ? "" : ", ") + node.node.value;
        return Error{ErrorCode::not_found,
                     name_of(id) + " is placed on node \"" + home->value + "\", expected one of " + known};
      }
      if (std::find(homes.begin(), home, *home) != home) {
        return Error{ErrorCode::invalid_argument, name_of(id) + " is placed on node \"" + home->value + "\" twice"};
      }
      ++held[*home];
    }
  }
  for (const std::int32_t layer : shape.sparse) {
    for (std::int32_t expert = 0; expert < shape.experts; ++expert) {
      const auto found = placement.holders.find({layer, expert});
      if (found != placement.holders.end() && !found->second.empty()) continue;
      return Error{ErrorCode::invalid_argument, name_of({layer, expert}) + " has no home; place it on a node"};
    }
  }
  for (const auto& [node, experts] : held) {
    const std::size_t room = find(nodes, node)->bytes;
    if (shape.expert_bytes == 0 || experts <= room / shape.expert_bytes) continue;
    return Error{ErrorCode::too_large, "node \"" + node.value + "\" has room for " + std::to_string(room) + " bytes, but " +
                                           std::to_string(experts) + " experts of " + std::to_string(shape.expert_bytes) +
                                           " bytes are placed on it"};
  }
  return {};
}

Result<ExpertPlacement> place_experts(const ExpertShape& shape, std::vector<ExpertRoom> nodes, std::int32_t replicas) {
  std::ranges::sort(nodes, {}, &ExpertRoom::node);
  const auto twice = std::ranges::adjacent_find(nodes, {}, &ExpertRoom::node);
  if (twice != nodes.end()) return Error{ErrorCode::invalid_argument, "node \"" + twice->node.value + "\" is named twice"};
  if (replicas < 1 || static_cast<std::size_t>(replicas) > nodes.size()) {
    return Error{ErrorCode::too_large, std::to_string(replicas) + " replicas of each expert, expected 1 to " +
                                           std::to_string(nodes.size()) + ", the number of nodes"};
  }
  std::vector<Share> shares;
  std::int64_t room = 0;
  for (const ExpertRoom& node : nodes) {
    const auto fits = static_cast<std::int64_t>(std::min<std::size_t>(node.bytes / std::max<std::size_t>(shape.expert_bytes, 1),
                                                                      static_cast<std::size_t>(shape.count())));
    shares.push_back({.node = node.node, .room = fits});
    room += fits;
  }
  const std::int64_t copies = shape.count() * replicas;
  if (room < copies) {
    return Error{ErrorCode::too_large, std::to_string(shape.count()) + " experts, " + std::to_string(replicas) +
                                           " times each, of " + std::to_string(shape.expert_bytes) +
                                           " bytes: " + std::to_string(copies) + " places are needed, the " +
                                           std::to_string(nodes.size()) + " nodes have " + std::to_string(room)};
  }
  fill_quotas(shares, copies);
  ExpertPlacement placement;
  std::int64_t placed = 0;
  for (const std::int32_t layer : shape.sparse) {
    for (std::int32_t expert = 0; expert < shape.experts; ++expert) {
      std::vector<NodeId>& homes = placement.holders[{layer, expert}];
      for (const Share* share : take_turns(shares, placed, shape.count(), replicas)) homes.push_back(share->node);
      ++placed;
    }
  }
  return placement;
}

std::vector<std::int32_t> choose_holders(std::int32_t layer, std::span<const std::int32_t> wanted, const ExpertSelection& here,
                                         std::span<const ExpertHolder> holders) {
  std::vector<std::int32_t> places(wanted.size(), expert_is_missing);
  // As bits, so that counting what a node has of them takes a few instructions however many experts there are.
  constexpr std::size_t words_max = ExpertSelection::experts_max / ExpertSelection::word_bits;
  std::array<std::uint64_t, words_max> left{};
  std::size_t words = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (here.has({layer, wanted[i]})) {
      places[i] = expert_is_here;
    } else {
      const auto word = static_cast<std::size_t>(wanted[i] / ExpertSelection::word_bits);
      left[word] |= std::uint64_t{1} << (wanted[i] % ExpertSelection::word_bits);
      words = std::max(words, word + 1);
    }
  }
  while (words > 0) {
    std::size_t best = holders.size();
    int most = 0;
    for (std::size_t i = 0; i < holders.size(); ++i) {
      const auto has = holders[i].experts.layer(layer);
      int count = 0;
      for (std::size_t word = 0; word < std::min(words, has.size()); ++word) count += std::popcount(left[word] & has[word]);
      if (count == 0 || count < most || (count == most && holders[i].load >= holders[best].load)) continue;
      most = count;
      best = i;
    }
    if (best == holders.size()) break;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (places[i] == expert_is_missing && holders[best].experts.has({layer, wanted[i]})) {
        places[i] = static_cast<std::int32_t>(best);
      }
    }
    const auto has = holders[best].experts.layer(layer);
    for (std::size_t word = 0; word < std::min(words, has.size()); ++word) left[word] &= ~has[word];
    while (words > 0 && left[words - 1] == 0) --words;
  }
  return places;
}

ExpertRescue rescue(const ExpertSelection& missing, std::size_t expert_bytes, std::vector<ExpertRescuer> nodes) {
  std::erase_if(nodes, [](const ExpertRescuer& node) { return !node.has_model; });
  std::ranges::sort(nodes, {}, &ExpertRescuer::node);
  ExpertRescue plan;
  for (const ExpertId id : missing.ids()) {
    const auto roomiest = std::ranges::max_element(nodes, {}, &ExpertRescuer::bytes_free);
    if (roomiest == nodes.end() || roomiest->bytes_free < expert_bytes) {
      plan.left.add(id);
      continue;
    }
    roomiest->bytes_free -= expert_bytes;
    plan.loads[roomiest->node].add(id);
  }
  return plan;
}

}  // namespace troupe::policy
