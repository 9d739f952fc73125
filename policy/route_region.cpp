#include "policy/route_region.hpp"

#include <algorithm>
#include <limits>

namespace troupe::policy {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nothing_searched = -1;
constexpr double above_any_confidence = 2;

constexpr std::uint64_t bit(std::size_t place) { return std::uint64_t{1} << place; }
constexpr std::uint64_t first_bits(std::size_t count) { return bit(count) - 1; }

template <class T>
std::uint64_t bits_of(const std::vector<T>& values, std::uint64_t all) {
  if (values.empty()) return all;
  std::uint64_t bits = 0;
  for (const T value : values) bits |= bit(static_cast<std::size_t>(value));
  return bits & all;
}

}  // namespace

RouteRegion RouteRegion::of(const RouteConditions& when, std::span<const Tier> portfolio,
                            std::span<const std::string> tenants) {
  constexpr std::size_t nothing_requested = tiers.size();
  constexpr std::size_t kinds = static_cast<std::size_t>(Kind::unknown) + 1;
  std::uint64_t requests = bit(nothing_requested);
  for (const Tier tier : portfolio) requests |= bit(place_of(tier));
  std::uint64_t whom = first_bits(tenants.size() + 1);
  if (!when.tenant.empty()) {
    whom = 0;
    for (std::size_t i = 0; i < tenants.size(); ++i) {
      if (std::find(when.tenant.begin(), when.tenant.end(), tenants[i]) != when.tenant.end()) whom |= bit(i);
    }
  }
  RouteRegion region;
  region.sets_ = {bits_of(when.requested, requests),
                  bits_of(when.assurance, first_bits(3)),
                  bits_of(when.priority, first_bits(3)),
                  bits_of(when.kind, first_bits(kinds + 1)),
                  when.grounded ? bit(*when.grounded ? 1 : 0) : first_bits(2),
                  whom};
  // Numbers are whole where an interval ends behind the last that is in it.
  region.intervals_ = {
      when.latency_budget_ms_max ? Interval{1, static_cast<double>(*when.latency_budget_ms_max) + 1} : Interval{0, infinity},
      Interval{static_cast<double>(when.prompt_tokens_min.value_or(0)),
               when.prompt_tokens_max ? static_cast<double>(*when.prompt_tokens_max) + 1 : infinity},
      when.retrieval_confidence_below ? Interval{0, *when.retrieval_confidence_below}
                                      : Interval{nothing_searched, above_any_confidence}};
  return region;
}

RouteRegion::Interval RouteRegion::Interval::common(const Interval& other) const {
  return {std::max(begin, other.begin), std::min(end, other.end)};
}

bool RouteRegion::empty() const {
  return std::any_of(sets_.begin(), sets_.end(), [](std::uint64_t set) { return set == 0; }) ||
         std::any_of(intervals_.begin(), intervals_.end(), [](const Interval& interval) { return interval.empty(); });
}

RouteRegion RouteRegion::common(const RouteRegion& other) const {
  RouteRegion both;
  for (std::size_t i = 0; i < sets_.size(); ++i) both.sets_[i] = sets_[i] & other.sets_[i];
  for (std::size_t i = 0; i < intervals_.size(); ++i) both.intervals_[i] = intervals_[i].common(other.intervals_[i]);
  return both;
}

bool RouteRegion::contains(const RouteRegion& other) const { return other.without(*this).empty(); }

std::vector<RouteRegion> RouteRegion::without(const RouteRegion& other) const {
  if (empty()) return {};
  if (!meets(other)) return {*this};
  std::vector<RouteRegion> pieces;
  RouteRegion rest = *this;  // that which agrees with `other` in everything before
  const auto keep = [&pieces](const RouteRegion& piece) {
    if (!piece.empty()) pieces.push_back(piece);
  };
  for (std::size_t i = 0; i < sets_.size(); ++i) {
    RouteRegion outside = rest;
    outside.sets_[i] &= ~other.sets_[i];
    keep(outside);
    rest.sets_[i] &= other.sets_[i];
  }
  for (std::size_t i = 0; i < intervals_.size(); ++i) {
    RouteRegion below = rest;
    below.intervals_[i].end = std::min(rest.intervals_[i].end, other.intervals_[i].begin);
    keep(below);
    RouteRegion above = rest;
    above.intervals_[i].begin = std::max(rest.intervals_[i].begin, other.intervals_[i].end);
    keep(above);
    rest.intervals_[i] = rest.intervals_[i].common(other.intervals_[i]);
  }
  return pieces;
}

std::optional<bool> covered(const RouteRegion& region, std::span<const RouteRegion> others) {
  constexpr std::size_t pieces_max = 20000;
  std::vector<RouteRegion> left = {region};
  for (const RouteRegion& other : others) {
    std::vector<RouteRegion> next;
    for (const RouteRegion& piece : left) {
      const auto pieces = piece.without(other);
      next.insert(next.end(), pieces.begin(), pieces.end());
      if (next.size() > pieces_max) return std::nullopt;
    }
    left = std::move(next);
    if (left.empty()) return true;
  }
  return std::none_of(left.begin(), left.end(), [](const RouteRegion& piece) { return !piece.empty(); });
}

}  // namespace troupe::policy
