// How fast an engine runs a model, as shares of what the machine can do: decode against the bandwidth of its memory, prefill
// against its multiply-adds, and what the engine costs outside of its kernels.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.hpp"
#include "engine/engine.hpp"
#include "kernels/cpu_device.hpp"
#include "model/model.hpp"

namespace troupe::bench {

struct EngineBenchOptions {
  std::int32_t prompt_tokens = 512;  ///< prefilled in one step
  std::int32_t decode_tokens = 24;   ///< steps of one sequence, after a short prompt
  std::int32_t rounds = 3;           ///< each number is the median over the rounds
  bool onednn = true;                ///< also run the baseline of `invariance_cost`
};

/// Shares and costs are taken within a round, between ceilings measured just before and just after.
struct EngineMeasurement {
  double decode_fraction = 0;             ///< bytes that a token must read, per second, / reading ceiling
  double prefill_fraction = 0;            ///< operations that a prompt must do, per second, / arithmetic ceiling
  double overhead_fraction = 0;           ///< of a decode step's time, what is spent outside of kernels
  std::optional<double> invariance_cost;  ///< time of the layers' products at `prompt_tokens` rows / oneDNN's for the same

  double decode_tokens_per_second = 0;
  double decode_step_seconds = 0;
  double decode_bytes = 0;  ///< of one step
  double read_ceiling = 0;  ///< bytes per second
  double prefill_tokens_per_second = 0;
  double prefill_operations = 0;  ///< of the whole prompt
  double arithmetic_ceiling = 0;  ///< operations per second
};

/// Prompts are random tokens. `too_large` if the model's context cannot hold them.
Result<EngineMeasurement> measure_engine(const model::Model& model, kernels::CpuDevice& device,
                                         const EngineBenchOptions& options, const model::Progress& progress = {});

}  // namespace troupe::bench
