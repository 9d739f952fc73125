// Which replicas have just failed, or were late: one that fails at once is never busy, and would draw all of its tier's
// questions; one that is stuck would hold up a share of them.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "policy/placement.hpp"

namespace troupe::policy {

/// Whether an attempt that ended so says something of where it ran.
bool tells_of_place(ErrorCode code);

class FailedPlaces {
 public:
  static constexpr Duration avoided_first = std::chrono::seconds(2);
  static constexpr Duration avoided_longest = std::chrono::seconds(60);
  static constexpr std::size_t places_max = 64;

  /// Avoided from now on; twice as long if that was so a short while ago.
  void failed(const ReplicaPlace& place, TimePoint now);
  void answered(const ReplicaPlace& place) { failures_.erase(place); }
  bool avoided(const ReplicaPlace& place, TimePoint now) const;
  /// Those of the places that are not avoided; if none is left, all.
  std::vector<ReplicaPlace> without(std::vector<ReplicaPlace> places, TimePoint now) const;

 private:
  struct Failure {
    TimePoint until{};
    Duration avoided{};
  };
  std::map<ReplicaPlace, Failure> failures_;
};

}  // namespace troupe::policy
