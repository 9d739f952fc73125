#include "engine/options.hpp"

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>

#include "kernels/kv_layout.hpp"
#include "model/experts.hpp"
#include "model/forward.hpp"

namespace troupe::engine {

namespace {

constexpr std::int32_t any = std::numeric_limits<std::int32_t>::max();

Result<void> check(std::string_view name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return {};
  return Error{ErrorCode::out_of_range, "engine option " + std::string(name) + " is " + std::to_string(value) + ", expected " +
                                            std::to_string(low) + " to " + std::to_string(high)};
}

void size_passes(MemoryPlan& plan, const model::ModelConfig& config, const EngineOptions& options, kernels::DeviceKind kind,
                 std::int32_t context) {
  const model::ForwardLimits limits{options.batch.tokens_max, options.batch.sequences_max};
  plan.activation_bytes = model::passes_bytes(config, kind, limits, plan.passes, context);
  if (kind == kernels::DeviceKind::cpu) plan.activation_bytes += model::LocalExperts::bytes(config, options.batch.tokens_max);
  plan.rope_bytes = static_cast<std::size_t>(context) * static_cast<std::size_t>(config.head_dim) * sizeof(float);
}

/// What the options say, or what the place has room for.
Result<std::size_t> choose_pool_bytes(const MemoryPlan& plan, const EngineOptions& options, const kernels::KvLayout& layout,
                                      const EnginePlace& place) {
  constexpr std::size_t on_cpu = std::size_t{512} << 20;
  const std::size_t wanted = options.kv_blocks > 0  ? static_cast<std::size_t>(options.kv_blocks) * layout.block_bytes()
                             : options.kv_bytes > 0 ? options.kv_bytes
                                                    : 0;
  if (!place.free_bytes) return wanted > 0 ? wanted : on_cpu;
  const std::size_t beside = plan.activation_bytes + plan.rope_bytes + gpu_reserve_bytes;
  const std::size_t left = *place.free_bytes > beside ? *place.free_bytes - beside : 0;
  if (wanted <= left && left >= layout.block_bytes())
    return wanted > 0 ? wanted : static_cast<std::size_t>(static_cast<double>(left) * options.gpu_share);
  return Error{ErrorCode::overloaded,
               "the GPU has " + std::to_string(*place.free_bytes >> 20) + " MiB free with the weights loaded; beside " +
                   std::to_string(plan.activation_bytes >> 20) + " MiB of activations, " +
                   std::to_string(plan.rope_bytes >> 20) + " MiB of rope tables and " +
                   std::to_string(gpu_reserve_bytes >> 20) + " MiB in reserve, that is too little for " +
                   (wanted > 0 ? "a KV pool of " + std::to_string(wanted >> 20) + " MiB" : std::string("one KV block")) +
                   ": lower the pool, the tokens or the sequences of a step, or the context, or choose a smaller model"};
}

}  // namespace

Result<MemoryPlan> plan_memory(const model::ModelConfig& config, const EngineOptions& options, const EnginePlace& place,
                               const model::WeightParts& parts) {
  TROUPE_TRY_DO(check("kv_blocks", options.kv_blocks, 0, any));
  TROUPE_TRY_DO(check("context_max", options.context_max, 0, any));
  TROUPE_TRY_DO(check("waiting_max", options.waiting_max, 1, 1 << 20));
  TROUPE_TRY_DO(check("batch.tokens_max", options.batch.tokens_max, 1, 1 << 16));
  TROUPE_TRY_DO(check("batch.sequences_max", options.batch.sequences_max, 1, 1 << 12));
  TROUPE_TRY_DO(check("batch.chunk_tokens_max", options.batch.chunk_tokens_max, 1, 1 << 16));
  TROUPE_TRY_DO(check("passes", options.passes, 0, model::runs_ahead(place.kind) ? 2 : 64));

  MemoryPlan plan;
  plan.passes = options.passes > 0 ? options.passes : model::runs_ahead(place.kind) ? 2 : 1;
  plan.weights_bytes = model::weights_bytes(config, parts, place.kind);
  // How long a context may be decides how much memory is needed beside the pool, and the pool how long it may be: what is
  // beside the pool is counted for the longest context that may be asked for.
  const std::int32_t context_wanted =
      options.context_max > 0 ? std::min(options.context_max, config.positions_max) : config.positions_max;
  size_passes(plan, config, options, place.kind, context_wanted);

  const kernels::KvLayout layout = config.kv_layout(place.kind);
  TROUPE_TRY(const std::size_t pool_bytes, choose_pool_bytes(plan, options, layout, place));
  const std::size_t from_bytes = std::min<std::size_t>(pool_bytes / layout.block_bytes(), any / kernels::kv_block_positions);
  plan.kv_blocks = options.kv_blocks > 0 ? options.kv_blocks : static_cast<std::int32_t>(from_bytes);
  if (plan.kv_blocks == 0) {
    return Error{ErrorCode::out_of_range, "a KV pool of " + std::to_string(pool_bytes) + " bytes holds no block of " +
                                              std::to_string(layout.block_bytes()) + " bytes; give it more (--kv-memory)"};
  }
  const std::int64_t pool_tokens = std::int64_t{plan.kv_blocks} * kernels::kv_block_positions;
  const auto allowed = static_cast<std::int32_t>(std::min<std::int64_t>(config.positions_max, pool_tokens));
  if (options.context_max > allowed) {
    return Error{ErrorCode::too_large, "a context of " + std::to_string(options.context_max) +
                                           " tokens is asked for (--context), but the model has " +
                                           std::to_string(config.positions_max) + " positions and the KV pool room for " +
                                           std::to_string(pool_tokens) + " (--kv-memory)"};
  }
  plan.context_max = options.context_max > 0 ? options.context_max : allowed;
  plan.kv_bytes = static_cast<std::size_t>(plan.kv_blocks) * layout.block_bytes();
  plan.kv_bytes_per_token = layout.block_bytes() / kernels::kv_block_positions;
  size_passes(plan, config, options, place.kind, plan.context_max);
  return plan;
}

}  // namespace troupe::engine
