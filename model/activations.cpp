#include "model/activations.hpp"

#include <cstddef>

namespace troupe::model {

Result<Activations> Activations::create(const ModelConfig& config, const ForwardLimits& limits, kernels::Device& device) {
  Activations activations;
  TROUPE_TRY(activations.memory_, device.allocate(bytes(config, limits)));
  activations.lay_out(config, limits, activations.memory_.as<std::byte>());
  return activations;
}

std::size_t Activations::bytes(const ModelConfig& config, const ForwardLimits& limits) {
  return Activations().lay_out(config, limits, nullptr);
}

std::size_t Activations::lay_out(const ModelConfig& config, const ForwardLimits& limits, std::byte* base) {
  std::size_t used = 0;
  const auto slice = [&]<class T>(T*& array, std::int32_t rows, std::int64_t width) {
    constexpr std::size_t alignment = 64;
    if (base != nullptr) array = reinterpret_cast<T*>(base + used);
    const std::size_t size = static_cast<std::size_t>(rows) * static_cast<std::size_t>(width) * sizeof(T);
    used += (size + alignment - 1) / alignment * alignment;
  };
  const std::int32_t rows = limits.rows_max;
  slice(x, rows, config.hidden);
  slice(normed, rows, config.hidden);
  slice(branch, rows, config.hidden);
  slice(qkv, rows, config.qkv_width());
  slice(attended, rows, config.query_width());
  slice(gate_up, rows, std::int64_t{2} * config.intermediate);
  slice(inner, rows, config.intermediate);
  if (config.moe) {
    slice(router, rows, config.moe->experts);
    slice(expert, rows, config.moe->experts_per_token);
    slice(expert_weight, rows, config.moe->experts_per_token);
    slice(expert_output, rows, std::int64_t{config.moe->experts_per_token} * config.hidden);
  }
  slice(logits, limits.logit_rows_max, config.vocabulary);
  slice(summaries, limits.logit_rows_max, 1);
  return used;
}

}  // namespace troupe::model
