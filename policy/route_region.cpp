#include "policy/route_region.hpp"

#include <algorithm>
#include <limits>

namespace troupe::policy {

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double nothing_there = -1;
constexpr double above_any_confidence = 2;

/// The places of those of `names` that are `allowed`.
template <class Values>
Values places_of(std::span<const std::string> names, const std::vector<std::string>& allowed) {
  Values places;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (std::find(allowed.begin(), allowed.end(), names[i]) != allowed.end()) places.set(i);
  }
  return places;
}

template <class Values>
Values first_places(std::size_t count) {
  Values places;
  for (std::size_t i = 0; i < count; ++i) places.set(i);
  return places;
}

}  // namespace

template <class T>
RouteRegion::Values RouteRegion::values_of(const std::vector<T>& allowed, const Values& all) {
  if (allowed.empty()) return all;
  Values values;
  for (const T value : allowed) values.set(static_cast<std::size_t>(value));
  return values & all;
}

RouteRegion RouteRegion::of(const RouteConditions& when, std::span<const Tier> portfolio, std::span<const std::string> tenants,
                            const Intent& intent) {
  constexpr std::size_t nothing_requested = tiers.size();
  Values requests;
  requests.set(nothing_requested);
  for (const Tier tier : portfolio) requests.set(place_of(tier));
  std::vector<std::string> kinds;
  for (const IntentLabel& label : intent.labels) kinds.push_back(label.name);
  kinds.emplace_back(unknown_label);
  const auto named = [](std::span<const std::string> names, const std::vector<std::string>& allowed) {
    return allowed.empty() ? first_places<Values>(names.size() + 1) : places_of<Values>(names, allowed);
  };
  RouteRegion region;
  region.sets_ = {values_of(when.requested, requests),
                  values_of(when.assurance, first_places<Values>(3)),
                  values_of(when.priority, first_places<Values>(3)),
                  named(kinds, when.kind),
                  when.grounded ? Values().set(*when.grounded ? 1 : 0) : first_places<Values>(2),
                  named(tenants, when.tenant)};
  const auto below = [](const std::optional<double>& confidence) {
    return confidence ? Interval{0, *confidence} : Interval{nothing_there, above_any_confidence};
  };
  // Numbers are whole where an interval ends behind the last that is in it.
  region.intervals_ = {
      when.latency_budget_ms_max ? Interval{1, static_cast<double>(*when.latency_budget_ms_max) + 1} : Interval{0, infinity},
      Interval{static_cast<double>(when.prompt_tokens_min.value_or(0)),
               when.prompt_tokens_max ? static_cast<double>(*when.prompt_tokens_max) + 1 : infinity},
      below(when.retrieval_confidence_below), below(when.kind_confidence_below)};
  return region;
}

RouteRegion::Interval RouteRegion::Interval::common(const Interval& other) const {
  return {std::max(begin, other.begin), std::min(end, other.end)};
}

bool RouteRegion::empty() const {
  return std::any_of(sets_.begin(), sets_.end(), [](const Values& set) { return set.none(); }) ||
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
