// What a Hugging Face config.json says about a model, reduced to what the layers need. Three architectures are known:
// Llama, Qwen3 and Qwen3-MoE; they are one decoder with options. Everything else is refused by name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "kernels/kv_layout.hpp"
#include "kernels/numeric_class.hpp"
#include "model/token.hpp"

namespace troupe::model {

enum class Architecture : std::uint8_t { llama, qwen3, qwen3_moe };
/// As "architectures" spells it: "LlamaForCausalLM".
std::string_view to_string(Architecture architecture);

/// Frequency scaling of Llama 3.1 and later ("rope_type": "llama3").
struct Llama3RopeScaling {
  double factor = 1;
  double low_frequency_factor = 1;
  double high_frequency_factor = 1;  ///< above the low one
  std::int32_t original_positions = 0;
};

struct MoeConfig {
  std::int32_t experts = 0;
  std::int32_t experts_per_token = 0;
  std::int32_t intermediate = 0;  ///< of one expert
  bool normalize_weights = true;  ///< norm_topk_prob
  std::vector<std::int32_t>
      dense_layers;  ///< layers with an ordinary feed-forward instead (mlp_only_layers, decoder_sparse_step), ascending
};

/// Widths (hidden, head_dim, intermediate) are multiples of 16, the lanes of the kernels; heads are a multiple of kv_heads.
struct ModelConfig {
  Architecture architecture = Architecture::llama;
  std::int32_t vocabulary = 0;
  std::int32_t layers = 0;
  std::int32_t hidden = 0;
  std::int32_t intermediate = 0;  ///< of the dense feed-forward
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t positions_max = 0;  ///< max_position_embeddings
  float norm_epsilon = 0;
  double rope_theta = 0;
  std::optional<Llama3RopeScaling> rope_scaling;
  bool tied_embeddings = false;  ///< the output projection is the embedding table
  bool query_key_norm = false;   ///< Qwen3
  std::optional<MoeConfig> moe;
  std::vector<TokenId> end_tokens;  ///< eos_token_id, a number or a list; ascending, each once, each in the vocabulary

  /// Of the KV blocks on such a device.
  kernels::KvLayout kv_layout(kernels::DeviceKind device) const {
    return {layers, kv_heads, head_dim, kernels::kv_element_bytes(device)};
  }
  std::int32_t query_width() const { return heads * head_dim; }
  std::int32_t kv_width() const { return kv_heads * head_dim; }
  std::int32_t qkv_width() const { return query_width() + 2 * kv_width(); }
  /// Whether the layer's feed-forward is a mixture of experts.
  bool is_sparse(std::int32_t layer) const;
};

/// Reads a config.json. `file_name` appears in errors. Absent fields take the defaults of transformers' classes, but shapes
/// must be there. Every number is checked against limits that keep later sizes from overflowing, and the shapes against each
/// other. What would change the arithmetic and is not implemented (biases, other activations, sliding windows, other kinds of
/// rope scaling, quantisation) is `unsupported`.
Result<ModelConfig> parse_config(std::string_view json, std::string_view file_name);

/// The end tokens of a generation_config.json ("eos_token_id"), ascending.
Result<std::vector<TokenId>> parse_generation_config(std::string_view json, std::string_view file_name,
                                                     std::int32_t vocabulary);

/// Reads a config.json, and adds the end tokens of the generation_config.json beside it, if there is one.
Result<ModelConfig> load_config(const std::filesystem::path& file);

struct ParameterCount {
  std::int64_t total = 0;
  std::int64_t active =
      0;  ///< what one token multiplies with: all but unused experts, and an untied embedding table (it is looked up)
};
ParameterCount count_parameters(const ModelConfig& config);

}  // namespace troupe::model
