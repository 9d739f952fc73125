// What it costs that experts are on other nodes: the time added to a mixture-of-experts layer, and where it goes. The nodes are
// in this process, each with a fabric and threads of its own; what is measured is the path between them, not a network.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "model/config.hpp"

namespace troupe::bench {

struct ExpertsBenchOptions {
  std::vector<std::int32_t> rows = {1, 4, 16};
  std::vector<int> nodes = {1, 2};  ///< other nodes among which the experts are shared out; none is left here
  int layers = 2000;                ///< asked for, one after the other, beside as many that are computed here
  bool local = false;               ///< the in-process fabric instead of UCX
};

/// Times are medians over layers, except for the parts, which are means.
struct ExpertsMeasurement {
  std::int32_t rows = 0;
  int nodes = 0;
  Duration here{};  ///< with all experts here
  Duration away{};  ///< with all on other nodes, until the waiting thread has heard that all results are there
  Duration away_p99{};
  Duration added() const { return away - here; }

  // Where the time goes, of one layer.
  Duration encoding{};   ///< choosing nodes, writing messages
  Duration sending{};    ///< handing them to the fabric
  Duration framing{};    ///< at a server: reading a work, making room for results
  Duration computing{};  ///< at a server
  Duration reading{};    ///< reading results into their slots
  Duration waiting{};    ///< all the rest: the fabric's ways and the waking of threads
};

/// Random weights of the config's shapes. `invalid_argument` if it has no experts; errors of the fabric. `progress` is told
/// what is being measured.
Result<std::vector<ExpertsMeasurement>> bench_experts(const model::ModelConfig& config, const ExpertsBenchOptions& options,
                                                      const std::function<void(const std::string&)>& progress);

}  // namespace troupe::bench
