#include "policy/failed_places.hpp"

#include <algorithm>

namespace troupe::policy {

bool tells_of_place(ErrorCode code) {
  switch (code) {
    case ErrorCode::corrupt:
    case ErrorCode::io:
    case ErrorCode::unavailable:
    case ErrorCode::invalid_argument: return true;  // the last: an endpoint that takes no question with this key or url
    default: return false;
  }
}

void FailedPlaces::failed(const ReplicaPlace& place, TimePoint now) {
  std::erase_if(failures_, [&](const auto& entry) { return now >= entry.second.until + avoided_longest; });
  if (failures_.size() >= places_max && !failures_.contains(place)) {
    failures_.erase(std::ranges::min_element(failures_, {}, [](const auto& entry) { return entry.second.until; }));
  }
  Failure& failure = failures_[place];
  if (now < failure.until) return;  // was asked before the first failure was known
  failure.avoided = std::clamp(2 * failure.avoided, avoided_first, avoided_longest);
  failure.until = now + failure.avoided;
}

bool FailedPlaces::avoided(const ReplicaPlace& place, TimePoint now) const {
  const auto found = failures_.find(place);
  return found != failures_.end() && now < found->second.until;
}

std::vector<ReplicaPlace> FailedPlaces::without(std::vector<ReplicaPlace> places, TimePoint now) const {
  std::vector<ReplicaPlace> good;
  std::ranges::copy_if(places, std::back_inserter(good), [&](const ReplicaPlace& place) { return !avoided(place, now); });
  return good.empty() ? places : good;
}

}  // namespace troupe::policy
