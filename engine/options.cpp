#include "engine/options.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>

#include "kernels/kv_layout.hpp"
#include "model/activations.hpp"
#include "model/experts.hpp"

namespace troupe::engine {

namespace {

Result<void> check(std::string_view name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return {};
  return Error{ErrorCode::out_of_range, "engine option " + std::string(name) + " is " + std::to_string(value) + ", expected " +
                                            std::to_string(low) + " to " + std::to_string(high)};
}

}  // namespace

Result<MemoryPlan> plan_memory(const model::ModelConfig& config, const EngineOptions& options, kernels::DeviceKind device,
                               const model::WeightParts& parts) {
  constexpr std::int32_t any = std::numeric_limits<std::int32_t>::max();
  TROUPE_TRY_DO(check("kv_blocks", options.kv_blocks, 0, any));
  TROUPE_TRY_DO(check("context_max", options.context_max, 0, any));
  TROUPE_TRY_DO(check("waiting_max", options.waiting_max, 1, 1 << 20));
  TROUPE_TRY_DO(check("batch.tokens_max", options.batch.tokens_max, 1, 1 << 16));
  TROUPE_TRY_DO(check("batch.sequences_max", options.batch.sequences_max, 1, 1 << 12));
  TROUPE_TRY_DO(check("batch.chunk_tokens_max", options.batch.chunk_tokens_max, 1, 1 << 16));
  TROUPE_TRY_DO(check("passes", options.passes, 1, 64));

  const kernels::KvLayout layout = config.kv_layout(device);
  MemoryPlan plan;
  const std::size_t from_bytes =
      std::min<std::size_t>(options.kv_bytes / layout.block_bytes(), any / kernels::kv_block_positions);
  plan.kv_blocks = options.kv_blocks > 0 ? options.kv_blocks : static_cast<std::int32_t>(from_bytes);
  if (plan.kv_blocks == 0) {
    return Error{ErrorCode::out_of_range, "a KV pool of " + std::to_string(options.kv_bytes) + " bytes holds no block of " +
                                              std::to_string(layout.block_bytes()) + " bytes: raise kv_bytes"};
  }
  const std::int64_t pool_tokens = std::int64_t{plan.kv_blocks} * kernels::kv_block_positions;
  const auto allowed = static_cast<std::int32_t>(std::min<std::int64_t>(config.positions_max, pool_tokens));
  if (options.context_max > allowed) {
    return Error{ErrorCode::too_large, "context_max is " + std::to_string(options.context_max) + " tokens, but the model has " +
                                           std::to_string(config.positions_max) + " positions and the KV pool room for " +
                                           std::to_string(pool_tokens)};
  }
  plan.context_max = options.context_max > 0 ? options.context_max : allowed;
  plan.weights_bytes = model::weights_bytes(config, parts);
  plan.kv_bytes = static_cast<std::size_t>(plan.kv_blocks) * layout.block_bytes();
  plan.kv_bytes_per_token = layout.block_bytes() / kernels::kv_block_positions;
  plan.activation_bytes =
      static_cast<std::size_t>(options.passes) *
          model::Activations::bytes(config, {options.batch.tokens_max, options.batch.sequences_max}) +
      model::LocalExperts::bytes(config, options.batch.tokens_max) +
      static_cast<std::size_t>(options.batch.sequences_max) * static_cast<std::size_t>(config.vocabulary) * sizeof(float);
  plan.rope_bytes = static_cast<std::size_t>(plan.context_max) * static_cast<std::size_t>(config.head_dim) * sizeof(float);
  return plan;
}

}  // namespace troupe::engine
