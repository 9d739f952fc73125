#include "cli/settled_view.hpp"

#include <chrono>
#include <thread>

#include "bench/evaluation.hpp"

namespace troupe::cli {

namespace {

/// Longer than nodes wait before they tell each other about their work.
constexpr auto counters_interval = std::chrono::seconds(1);

}  // namespace

Result<policy::ClusterView> settled_view(const clients::Client& client) {
  TROUPE_TRY(auto view, client.status());
  for (bench::Work before = bench::work_of(view);;) {
    std::this_thread::sleep_for(counters_interval);
    TROUPE_TRY(view, client.status());
    const bench::Work work = bench::work_of(view);
    if (work == before) return view;
    before = work;
  }
}

}  // namespace troupe::cli
