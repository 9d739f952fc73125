// Time to the first token of a long prompt whose beginning is computed, fetched from a neighbour, or found in the own pool; and
// from how many blocks on fetching is sooner. The neighbour is a second engine of this process with a fabric of its own: what
// is measured is the path of the blocks, not a network.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "kernels/device.hpp"
#include "model/model.hpp"

namespace troupe::bench {

struct PrefixBenchOptions {
  std::vector<std::int32_t> prompt_tokens = {64, 256, 1500};
  std::int32_t rounds = 5;
  std::string transports = "all";  ///< as in UCX_TLS
};

/// Medians over the rounds, from the submission (or, fetched, from asking for the blocks) to the first token.
struct PrefixMeasurement {
  std::int32_t prompt_tokens = 0;
  std::size_t blocks = 0;  ///< that are fetched
  std::size_t bytes = 0;
  Duration computed{};
  Duration fetched{};
  Duration local{};
};

struct PrefixBenchResult {
  std::vector<PrefixMeasurement> measured;
  double prefill_seconds_per_token = 0;
  double fetch_fixed_seconds = 0;  ///< what policy::MeasuredFetch made of the transfers
  double fetch_bytes_per_second = 0;
  std::optional<std::size_t> break_even_blocks;  ///< policy::break_even_blocks; none: computing is always sooner
};

/// Prompts are random tokens. `corrupt` if the three ways do not give the same token and log-probability. `too_large` if the
/// model's context cannot hold a prompt.
Result<PrefixBenchResult> bench_prefix(const model::Model& model, kernels::Device& device, const PrefixBenchOptions& options,
                                       const std::function<void(const std::string&)>& progress);

}  // namespace troupe::bench
