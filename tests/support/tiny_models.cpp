#include "tests/support/tiny_models.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"

namespace troupe::tests {

namespace {

// Narrow, because with tied embeddings a wide model without training mostly repeats itself.
constexpr std::string_view llama = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "vocab_size": 211, "hidden_size": 16,
  "intermediate_size": 80, "num_hidden_layers": 2, "num_attention_heads": 12, "num_key_value_heads": 2, "head_dim": 16,
  "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true,
  "rope_scaling": {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                   "original_max_position_embeddings": 256},
  "eos_token_id": [3, 5]})";

// Many wide heads: attention of one token over little more than a span is enough work to be shared among threads.
constexpr std::string_view qwen3 = R"({
  "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_act": "silu", "vocab_size": 263, "hidden_size": 64,
  "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 32,
  "max_position_embeddings": 1024, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "tie_word_embeddings": false,
  "eos_token_id": 2})";

constexpr std::string_view qwen3_moe = R"({
  "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_act": "silu", "vocab_size": 241,
  "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 4,
  "head_dim": 16, "max_position_embeddings": 1024, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": false,
  "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "norm_topk_prob": true, "decoder_sparse_step": 1,
  "mlp_only_layers": [1], "eos_token_id": 2})";

constexpr std::string_view llama_for_gpu = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "vocab_size": 211, "hidden_size": 48,
  "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 64,
  "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": true,
  "rope_scaling": {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                   "original_max_position_embeddings": 256},
  "eos_token_id": [3, 5]})";

constexpr std::string_view qwen3_for_gpu = R"({
  "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_act": "silu", "vocab_size": 263, "hidden_size": 144,
  "intermediate_size": 352, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 128,
  "max_position_embeddings": 1024, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "tie_word_embeddings": false,
  "eos_token_id": 2})";

constexpr std::string_view qwen3_moe_for_gpu = R"({
  "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_act": "silu", "vocab_size": 241,
  "hidden_size": 80, "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 3, "num_key_value_heads": 3,
  "head_dim": 64, "max_position_embeddings": 1024, "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "tie_word_embeddings": false,
  "num_experts": 12, "num_experts_per_tok": 3, "moe_intermediate_size": 96, "norm_topk_prob": true, "decoder_sparse_step": 1,
  "mlp_only_layers": [1], "eos_token_id": 2})";

}  // namespace

const std::vector<TinyModel>& tiny_models_for_gpu() {
  static const std::vector<TinyModel> models{
      {"llama", llama_for_gpu, 11}, {"qwen3", qwen3_for_gpu, 12}, {"qwen3_moe", qwen3_moe_for_gpu, 13}};
  return models;
}

const std::vector<TinyModel>& tiny_models_for(kernels::DeviceKind kind) {
  return kind == kernels::DeviceKind::cuda ? tiny_models_for_gpu() : tiny_models();
}

const std::vector<TinyModel>& tiny_models() {
  static const std::vector<TinyModel> models{{"llama", llama, 11}, {"qwen3", qwen3, 12}, {"qwen3_moe", qwen3_moe, 13}};
  return models;
}

const TinyModel& tiny_model(std::string_view name) {
  const auto found = std::ranges::find(tiny_models(), name, &TinyModel::name);
  TROUPE_CHECK(found != tiny_models().end(), "a test asks for a tiny model that there is");
  return *found;
}

model::ModelConfig config_of(const TinyModel& tiny) {
  auto config = model::parse_config(tiny.config_json, tiny.name);
  TROUPE_CHECK(config.has_value(), "a tiny model's config is valid");
  return *std::move(config);
}

model::Model make(const TinyModel& tiny, kernels::Device& device) {
  auto made = model::Model::random(config_of(tiny), tiny.seed, device);
  TROUPE_CHECK(made.has_value(), "there is memory for a tiny model");
  return *std::move(made);
}

}  // namespace troupe::tests
