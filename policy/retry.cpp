#include "policy/retry.hpp"

#include <algorithm>

namespace troupe::policy {

std::optional<Duration> wait_before_retry(std::int32_t retry, std::optional<Duration> retry_after, double jitter,
                                          Duration left) {
  constexpr Duration first = std::chrono::milliseconds(500);
  constexpr std::int32_t doublings_max = 4;
  Duration wait = first * (std::int64_t{1} << std::clamp(retry, 0, doublings_max));
  wait -= Duration(static_cast<Duration::rep>(static_cast<double>(wait.count()) * jitter / 2));
  if (retry_after) wait = std::max(*retry_after, Duration::zero());
  if (wait > retry_after_max || wait >= left) return std::nullopt;
  return wait;
}

bool may_pass(int status) {
  // 529: Anthropic's "overloaded".
  constexpr int request_timeout = 408;
  constexpr int too_early = 425;
  constexpr int too_many_requests = 429;
  constexpr int not_implemented = 501;
  constexpr int version_not_supported = 505;
  if (status == request_timeout || status == too_early || status == too_many_requests) return true;
  return status >= 500 && status < 600 && status != not_implemented && status != version_not_supported;
}

}  // namespace troupe::policy
