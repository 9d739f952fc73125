#include "model/rope_config.hpp"

#include <nlohmann/json.hpp>

namespace troupe::model {

namespace {

/// `scaling` is "rope_scaling", or the "rope_parameters" of newer files.
Result<void> read_rope_scaling(const JsonObject& scaling, ModelConfig& config) {
  // Older files say "type".
  const std::string_view type_field = scaling.has("rope_type") ? "rope_type" : "type";
  TROUPE_TRY(const auto type, scaling.string_or(type_field, "default"));
  TROUPE_TRY(const double rotated, scaling.number_or("partial_rotary_factor", 1, 0, 1));
  if (rotated != 1) return scaling.unexpected("partial_rotary_factor", "1", ErrorCode::unsupported);
  if (type == "default") return {};
  if (type != "llama3") return scaling.unexpected(type_field, "\"default\" or \"llama3\"", ErrorCode::unsupported);
  Llama3RopeScaling llama3;
  TROUPE_TRY(llama3.factor, scaling.number("factor", 1, 1e6));
  TROUPE_TRY(llama3.low_frequency_factor, scaling.number("low_freq_factor", 1e-3, 1e6));
  TROUPE_TRY(llama3.high_frequency_factor, scaling.number("high_freq_factor", 1e-3, 1e6));
  if (llama3.high_frequency_factor <= llama3.low_frequency_factor) {
    return scaling.unexpected("high_freq_factor", "more than low_freq_factor");
  }
  TROUPE_TRY(llama3.original_positions, scaling.integer("original_max_position_embeddings", 1, positions_max));
  config.rope_scaling = llama3;
  return {};
}

}  // namespace

Result<void> read_rope(const JsonObject& root, ModelConfig& config) {
  constexpr double theta_max = 1e12;
  TROUPE_TRY(config.rope_theta, root.number_or("rope_theta", 10000, 1, theta_max));
  for (const std::string_view field : {"rope_parameters", "rope_scaling"}) {
    if (!root.has(field)) continue;
    if (field == "rope_scaling" && root.has("rope_parameters")) {
      return root.unexpected(field, "none beside rope_parameters, which takes its place");
    }
    TROUPE_TRY(const auto parameters, root.object(field));
    for (const auto& [name, value] : parameters.value().items()) {
      if (value.is_object()) return parameters.unexpected(name, "one value for all layers", ErrorCode::unsupported);
    }
    TROUPE_TRY(const double theta, parameters.number_or("rope_theta", config.rope_theta, 1, theta_max));
    if (root.has("rope_theta") && theta != config.rope_theta) {
      return parameters.unexpected("rope_theta", "the same as rope_theta outside");
    }
    config.rope_theta = theta;
    TROUPE_TRY_DO(read_rope_scaling(parameters, config));
  }
  return {};
}

}  // namespace troupe::model
