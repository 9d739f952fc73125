// All questions that a rule's conditions let through, as a region of the space of questions: so that what is left for a rule
// after those before it can be computed, and not guessed. Used by policy/routing_check.
#pragma once

#include <array>
#include <bitset>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "policy/routing.hpp"

namespace troupe::policy {

/// A product of sets and of half-open intervals, one for each thing that conditions look at.
class RouteRegion {
 public:
  /// What the conditions let through of all questions that can be asked under a policy of these tiers and labels. `tenants`:
  /// all that rules name, at most RoutingPolicy::tenants_max.
  static RouteRegion of(const RouteConditions& when, std::span<const Tier> portfolio, std::span<const std::string> tenants,
                        const Intent& intent);

  bool empty() const;
  bool contains(const RouteRegion& other) const;
  bool meets(const RouteRegion& other) const { return !common(other).empty(); }
  RouteRegion common(const RouteRegion& other) const;
  /// What is left of this without `other`, as regions that do not meet.
  std::vector<RouteRegion> without(const RouteRegion& other) const;

 private:
  struct Interval {
    double begin = 0;
    double end = 0;
    bool empty() const { return !(begin < end); }
    Interval common(const Interval& other) const;
  };
  /// Every label, the one for unknown ones, and "not looked at".
  static constexpr std::size_t values_max = Intent::labels_max + 2;
  static_assert(RoutingPolicy::tenants_max + 1 <= values_max);
  using Values = std::bitset<values_max>;

  template <class T>
  static Values values_of(const std::vector<T>& allowed, const Values& all);

  /// What the client requests (the last: nothing), assurance, priority, kind (the last: not looked at), passages or none,
  /// tenant (the last: another one).
  std::array<Values, 6> sets_{};
  /// Latency budget in ms (0: none), tokens of the context, retrieval confidence (below 0: nothing was searched), confidence of
  /// the kind (the same: not looked at).
  std::array<Interval, 4> intervals_{};
};

/// Whether all of `region` is in the others together; none if that is not known after many steps.
std::optional<bool> covered(const RouteRegion& region, std::span<const RouteRegion> others);

}  // namespace troupe::policy
