// How large an engine is, and what memory follows from that. Everything is fixed at start, so nothing can run out later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/result.hpp"
#include "kernels/device.hpp"
#include "model/config.hpp"
#include "model/weights.hpp"
#include "policy/batch.hpp"

namespace troupe::engine {

struct EngineOptions {
  /// The KV pool, rounded down to whole blocks; unless kv_blocks is given. 0: 512 MiB on a CPU, whose memory is everybody's; on
  /// a GPU what is free once all else is allocated, but for `gpu_reserve_bytes`; or a share of that, where others come after.
  std::size_t kv_bytes = 0;
  double gpu_share = 1;
  std::int32_t kv_blocks = 0;       ///< 0: from kv_bytes
  std::int32_t context_max = 0;     ///< tokens of prompt and answer; 0: what the model and the pool allow
  std::int32_t waiting_max = 1024;  ///< requests in the queue; one more is `overloaded`
  policy::BatchLimits batch;
  /// Batches under way at once, each with its share of the running sequences. More than one helps only if experts answer
  /// late: while one batch waits for them, the others compute. 0: one on a CPU; on a GPU two, so that it never waits for the
  /// host.
  std::int32_t passes = 0;
};

/// Left free on a GPU for the driver, the kernels' code, and who else computes there.
inline constexpr std::size_t gpu_reserve_bytes = std::size_t{1} << 30;

/// Where an engine is to be, as far as its size depends on it.
struct EnginePlace {
  kernels::DeviceKind kind = kernels::DeviceKind::cpu;
  std::optional<std::size_t> free_bytes;  ///< with the weights loaded; where the device says it
};

/// The options with every choice made, and the bytes that follow from them.
struct MemoryPlan {
  std::int32_t kv_blocks = 0;
  std::int32_t context_max = 0;
  std::int32_t passes = 0;
  std::size_t weights_bytes = 0;
  std::size_t kv_bytes = 0;
  std::size_t kv_bytes_per_token = 0;
  std::size_t activation_bytes = 0;  ///< of all passes, and of experts computed here
  std::size_t rope_bytes = 0;
  std::size_t total() const { return weights_bytes + kv_bytes + activation_bytes + rope_bytes; }
};

/// `out_of_range` names the option, its value and its limits; `too_large` a context that the model or the pool cannot hold;
/// `overloaded` if a GPU has too little memory. `parts`: what of the weights is loaded here.
Result<MemoryPlan> plan_memory(const model::ModelConfig& config, const EngineOptions& options, const EnginePlace& place = {},
                               const model::WeightParts& parts = {});

}  // namespace troupe::engine
