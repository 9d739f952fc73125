// Many cases of the Bits property (tests/support/bits.hpp) one after the other, until there were enough of them or time is up.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "kernels/device.hpp"
#include "tests/support/bits.hpp"

namespace troupe::tests::bits {

struct Campaign {
  std::uint64_t cases = 0;
  std::optional<double> seconds;  ///< after which no other case begins
  std::uint64_t seed = 1;
  std::string defect;
  kernels::DeviceKind kind = kernels::DeviceKind::cpu;
};

/// One of several processes that share the cases of a campaign.
struct Job {
  std::size_t index = 0;
  std::size_t count = 1;
};

/// Whether a job runs a case, of one of `models` models, before which `earlier` cases of the same model came. Each model's
/// cases go to as few jobs as can be, since a job computes by itself what each request answers alone.
bool is_for(const Job& job, std::size_t model, std::size_t models, std::uint64_t earlier);

/// Lets cases under way end, and begins no other. May be called in a signal handler.
void stop_campaign();
bool is_stopped();

/// Runs a job's cases and says on standard error what differs, and how to run that again. `progress` hears what there is after
/// each case. Ends early if too much differs.
Summary run_campaign(const Campaign& campaign, const Job& job, const std::function<void(const Summary&)>& progress);

}  // namespace troupe::tests::bits
