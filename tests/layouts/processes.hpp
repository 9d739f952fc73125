// Layouts of real `troupe node` processes: which tiers each runs, which of heavy's experts it holds, with how much memory, in
// which batches and on which instruction set. They are asked, killed and drained as dev/chaos does it.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/cluster/chaos.hpp"

namespace troupe::tests::layouts {

/// A pure function of the seed; one to four nodes, which together have every tier.
ChaosCluster draw_processes(std::uint64_t seed);

/// Asks each layout a few bursts of questions. An Error means that nodes do not start.
Result<ChaosSummary> run_processes(const std::vector<std::uint64_t>& layout_seeds);

}  // namespace troupe::tests::layouts
