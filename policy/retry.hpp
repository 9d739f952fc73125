// When a request that failed is made again: not at once, not for ever, and not by everybody when an endpoint is down for all.
#pragma once

#include <cstdint>
#include <optional>

#include "base/clock.hpp"

namespace troupe::policy {

/// What all requests to an endpoint may spend on retries together: each success earns a part of one, so that an endpoint that
/// fails everybody is asked little more than once by each.
class RetryBudget {
 public:
  static constexpr double retries_at_first = 10;  ///< and the most that can be saved up
  static constexpr double earned_by_success = 0.2;

  /// Whether one more retry may be made; it is counted.
  bool spend() {
    if (left_ < 1) return false;
    left_ -= 1;
    return true;
  }
  void earn() { left_ = left_ + earned_by_success < retries_at_first ? left_ + earned_by_success : retries_at_first; }
  double left() const { return left_; }

 private:
  double left_ = retries_at_first;
};

/// The longest that an endpoint may ask to be waited for (Retry-After); a longer one is taken for a refusal.
inline constexpr Duration retry_after_max = std::chrono::seconds(60);

/// How long to wait before retry number `retry` (0: the first): as long as the endpoint says, or from half a second on twice as
/// long each time, at most 8 s, shortened by up to a half by `jitter` in [0, 1). None if the endpoint says too long, or if less
/// than that is left.
std::optional<Duration> wait_before_retry(std::int32_t retry, std::optional<Duration> retry_after, double jitter,
                                          Duration left);

/// Whether the same request may succeed later, by its HTTP status.
bool may_pass(int status);

}  // namespace troupe::policy
