// Several processes that share the cases of a campaign: each has engines, and a GPU's context, of its own.
#pragma once

#include <cstddef>
#include <functional>

#include "tests/bits/campaign.hpp"

namespace troupe::tests::bits {

/// What a job does in its process; it tells what it has found so far as often as it likes. The result is the process's status.
using Work = std::function<int(const Job& job, const std::function<void(const Summary&)>& tell)>;

struct JobsEnd {
  Summary summary;  ///< of all, as far as they have told
  int status = 0;   ///< the highest of the processes; 70 and more if one was killed
};

/// Runs `count` processes until all have ended; they end with this one. `progress` hears now and then what all have found
/// together. To be called before the process has threads or a GPU.
JobsEnd run_jobs(std::size_t count, const Work& work, const std::function<void(const Summary&)>& progress);

}  // namespace troupe::tests::bits
