// How large an engine is, and what memory follows from that. Everything is fixed at start, so nothing can run out later.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.hpp"
#include "kernels/device.hpp"
#include "model/config.hpp"
#include "model/weights.hpp"
#include "policy/batch.hpp"

namespace troupe::engine {

struct EngineOptions {
  std::size_t kv_bytes = std::size_t{512} << 20;  ///< the KV pool, rounded down to whole blocks; unless kv_blocks is given
  std::int32_t kv_blocks = 0;                     ///< 0: from kv_bytes
  std::int32_t context_max = 0;                   ///< tokens of prompt and answer; 0: what the model and the pool allow
  std::int32_t waiting_max = 1024;                ///< requests in the queue; one more is `overloaded`
  policy::BatchLimits batch;
  /// Batches under way at once, each with its share of the running sequences. More than one helps only if experts answer
  /// late: while one batch waits for them, the others compute.
  std::int32_t passes = 1;
};

/// The options with every choice made, and the bytes that follow from them.
struct MemoryPlan {
  std::int32_t kv_blocks = 0;
  std::int32_t context_max = 0;
  std::size_t weights_bytes = 0;
  std::size_t kv_bytes = 0;
  std::size_t kv_bytes_per_token = 0;
  std::size_t activation_bytes = 0;  ///< of all passes, of experts computed here, and the host's copy of the logits
  std::size_t rope_bytes = 0;
  std::size_t total() const { return weights_bytes + kv_bytes + activation_bytes + rope_bytes; }
};

/// `out_of_range` names the option, its value and its limits; `too_large` a context that the model or the pool cannot hold.
/// `device` is where the engine runs; `parts`: what of the weights is loaded there.
Result<MemoryPlan> plan_memory(const model::ModelConfig& config, const EngineOptions& options, kernels::DeviceKind device,
                               const model::WeightParts& parts = {});

}  // namespace troupe::engine
