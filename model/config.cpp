#include "model/config.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/file.hpp"
#include "model/json.hpp"
#include "model/rope_config.hpp"

namespace troupe::model {

namespace {

constexpr std::size_t config_bytes_max = std::size_t{1} << 20;
constexpr std::int64_t vocabulary_max = 1 << 22;
constexpr std::int64_t layers_max = 1024;
constexpr std::int64_t width_max = 1 << 17;  // of hidden states; feed-forwards may be eight times as wide
constexpr std::int64_t heads_max = 1024;
constexpr std::int64_t head_dim_max = 256;
constexpr std::int64_t experts_max = 1024;
constexpr std::int64_t experts_of_all_layers_max = 1 << 17;
constexpr std::int64_t parameters_max = std::int64_t{1} << 42;
constexpr std::size_t end_tokens_max = 64;
constexpr std::int64_t lanes = 16;

// An architecture's names, and what transformers takes for its absent fields. 0: computed from other fields.
struct Known {
  Architecture architecture;
  std::string_view name;
  std::string_view model_type;
  std::int64_t kv_heads;
  std::int64_t head_dim;
  std::int64_t positions;
};
constexpr Known known_architectures[] = {
    {Architecture::llama, "LlamaForCausalLM", "llama", 0, 0, 2048},
    {Architecture::qwen3, "Qwen3ForCausalLM", "qwen3", 32, 128, 32768},
    {Architecture::qwen3_moe, "Qwen3MoeForCausalLM", "qwen3_moe", 4, 0, 32768},
};

std::string names_of_known() {
  std::string text;
  for (const Known& known : known_architectures) text += (text.empty() ? "" : ", ") + std::string(known.name);
  return text;
}

Result<Known> find_architecture(const JsonObject& root) {
  const std::string expected = "one of " + names_of_known();
  TROUPE_TRY(const auto model_type, root.string("model_type"));
  std::string_view name;
  if (root.has("architectures")) {
    TROUPE_TRY(const auto* list, root.array("architectures", 16));
    if (list->size() != 1 || !list->front().is_string()) {
      return root.unexpected("architectures", "a list with " + expected, ErrorCode::unsupported);
    }
    name = list->front().get_ref<const std::string&>();
  }
  for (const Known& known : known_architectures) {
    if (name.empty() ? known.model_type != model_type : known.name != name) continue;
    if (known.model_type == model_type) return known;
    return root.unexpected("model_type", "\"" + std::string(known.model_type) + "\" with architecture " + std::string(name));
  }
  if (name.empty()) return root.unexpected("model_type", "that of " + expected, ErrorCode::unsupported);
  return Error{ErrorCode::unsupported, root.file() + ": architecture " + describe(nlohmann::json(name)) +
                                           " is not implemented; known are " + names_of_known()};
}

/// A positive integer that the kernels' lanes divide.
Result<std::int32_t> width(const JsonObject& root, std::string_view field, std::int64_t high) {
  TROUPE_TRY(const auto value, root.integer(field, lanes, high));
  if (value % lanes != 0) return root.unexpected(field, "a multiple of 16", ErrorCode::unsupported);
  return static_cast<std::int32_t>(value);
}

Result<std::int32_t> count(const JsonObject& root, std::string_view field, std::int64_t high) {
  TROUPE_TRY(const auto value, root.integer(field, 1, high));
  return static_cast<std::int32_t>(value);
}

Result<void> refuse_if_true(const JsonObject& root, std::string_view field) {
  TROUPE_TRY(const bool value, root.boolean_or(field, false));
  if (value) return root.unexpected(field, "false: this is not implemented", ErrorCode::unsupported);
  return {};
}

Result<void> refuse_unsupported(const JsonObject& root) {
  TROUPE_TRY_DO(refuse_if_true(root, "attention_bias"));
  TROUPE_TRY_DO(refuse_if_true(root, "mlp_bias"));
  TROUPE_TRY(const auto activation, root.string_or("hidden_act", "silu"));
  if (activation != "silu") return root.unexpected("hidden_act", "\"silu\"", ErrorCode::unsupported);
  if (root.has("sliding_window")) TROUPE_TRY_DO(refuse_if_true(root, "use_sliding_window"));
  if (root.has("layer_types")) {
    TROUPE_TRY(const auto* types, root.array("layer_types", layers_max));
    for (const auto& type : *types) {
      if (type == "full_attention") continue;
      return Error{ErrorCode::unsupported,
                   root.file() + ": layer_types has " + describe(type) + ", only \"full_attention\" is implemented"};
    }
  }
  TROUPE_TRY(const double rotated, root.number_or("partial_rotary_factor", 1, 0, 1));
  if (rotated != 1) return root.unexpected("partial_rotary_factor", "1", ErrorCode::unsupported);
  if (root.has("quantization_config")) {
    return root.unexpected("quantization_config", "none: load the model in bfloat16 and save it again", ErrorCode::unsupported);
  }
  return {};
}

Result<void> read_attention(const JsonObject& root, const Known& known, ModelConfig& config) {
  TROUPE_TRY(config.heads, count(root, "num_attention_heads", heads_max));
  const std::int64_t kv_heads = known.kv_heads != 0 ? known.kv_heads : config.heads;
  TROUPE_TRY(config.kv_heads, root.integer_or("num_key_value_heads", kv_heads, 1, heads_max));
  if (config.heads % config.kv_heads != 0) {
    return Error{ErrorCode::invalid_argument, root.file() + ": num_attention_heads is " + std::to_string(config.heads) +
                                                  ", expected a multiple of num_key_value_heads, which is " +
                                                  std::to_string(config.kv_heads)};
  }
  const std::int64_t head_dim = known.head_dim != 0 ? known.head_dim : config.hidden / config.heads;
  TROUPE_TRY(config.head_dim, root.integer_or("head_dim", head_dim, lanes, head_dim_max));
  if (config.head_dim % lanes != 0 || config.head_dim > head_dim_max) {
    return Error{ErrorCode::unsupported,
                 root.file() + ": head_dim is " + std::to_string(config.head_dim) +
                     (root.has("head_dim") ? "" : " (not given, so hidden_size / num_attention_heads)") +
                     ", expected a multiple of 16 up to " + std::to_string(head_dim_max)};
  }
  config.query_key_norm = config.architecture != Architecture::llama;
  return {};
}

Result<void> read_moe(const JsonObject& root, ModelConfig& config) {
  MoeConfig moe;
  // transformers 5 writes the second name.
  const bool renamed = !root.has("num_experts") && root.has("num_local_experts");
  TROUPE_TRY(moe.experts, count(root, renamed ? "num_local_experts" : "num_experts", experts_max));
  TROUPE_TRY(moe.experts_per_token, count(root, "num_experts_per_tok", moe.experts));
  TROUPE_TRY(moe.intermediate, width(root, "moe_intermediate_size", 8 * width_max));
  TROUPE_TRY(moe.normalize_weights, root.boolean_or("norm_topk_prob", false));
  TROUPE_TRY(const auto step, root.integer_or("decoder_sparse_step", 1, 1, layers_max));
  std::vector<std::int64_t> dense;
  if (root.has("mlp_only_layers")) {
    TROUPE_TRY(dense, root.integers("mlp_only_layers", layers_max, 0, config.layers - 1));
  }
  for (std::int32_t layer = 0; layer < config.layers; ++layer) {
    if ((layer + 1) % step != 0 || std::find(dense.begin(), dense.end(), layer) != dense.end())
      moe.dense_layers.push_back(layer);
  }
  if (std::int64_t{moe.experts} * config.layers > experts_of_all_layers_max) {
    return root.unexpected("num_experts", "at most " + std::to_string(experts_of_all_layers_max) + " over all layers",
                           ErrorCode::too_large);
  }
  config.moe = std::move(moe);
  return {};
}

Result<std::vector<TokenId>> read_end_tokens(const JsonObject& root, std::int32_t vocabulary) {
  std::vector<std::int64_t> ids;
  const auto* value = root.find("eos_token_id");
  if (value == nullptr) return std::vector<TokenId>{};
  if (value->is_array()) {
    TROUPE_TRY(ids, root.integers("eos_token_id", end_tokens_max, 0, vocabulary - 1));
  } else {
    TROUPE_TRY(const auto id, root.integer("eos_token_id", 0, vocabulary - 1));
    ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return std::vector<TokenId>(ids.begin(), ids.end());
}

}  // namespace

std::string_view to_string(Architecture architecture) {
  for (const Known& known : known_architectures) {
    if (known.architecture == architecture) return known.name;
  }
  return "unknown";
}

bool ModelConfig::is_sparse(std::int32_t layer) const {
  return moe && !std::binary_search(moe->dense_layers.begin(), moe->dense_layers.end(), layer);
}

Result<ModelConfig> parse_config(std::string_view json, std::string_view file_name) {
  TROUPE_TRY(const auto document, parse_json(json, file_name, config_bytes_max));
  TROUPE_TRY(const auto root, JsonObject::of(document, file_name));
  TROUPE_TRY(const Known known, find_architecture(root));
  TROUPE_TRY_DO(refuse_unsupported(root));
  ModelConfig config;
  config.architecture = known.architecture;
  TROUPE_TRY(config.vocabulary, count(root, "vocab_size", vocabulary_max));
  TROUPE_TRY(config.layers, count(root, "num_hidden_layers", layers_max));
  TROUPE_TRY(config.hidden, width(root, "hidden_size", width_max));
  TROUPE_TRY(config.intermediate, width(root, "intermediate_size", 8 * width_max));
  TROUPE_TRY_DO(read_attention(root, known, config));
  TROUPE_TRY(config.positions_max, root.integer_or("max_position_embeddings", known.positions, 1, positions_max));
  TROUPE_TRY(const double epsilon, root.number_or("rms_norm_eps", 1e-6, 1e-12, 1e-1));
  config.norm_epsilon = static_cast<float>(epsilon);
  TROUPE_TRY_DO(read_rope(root, config));
  TROUPE_TRY(config.tied_embeddings, root.boolean_or("tie_word_embeddings", false));
  if (config.architecture == Architecture::qwen3_moe) TROUPE_TRY_DO(read_moe(root, config));
  TROUPE_TRY(config.end_tokens, read_end_tokens(root, config.vocabulary));
  if (const auto parameters = count_parameters(config).total; parameters > parameters_max) {
    return Error{ErrorCode::too_large, std::string(file_name) + ": describes a model of " + std::to_string(parameters) +
                                           " parameters, at most " + std::to_string(parameters_max) + " are accepted"};
  }
  return config;
}

Result<std::vector<TokenId>> parse_generation_config(std::string_view json, std::string_view file_name,
                                                     std::int32_t vocabulary) {
  TROUPE_TRY(const auto document, parse_json(json, file_name, config_bytes_max));
  TROUPE_TRY(const auto root, JsonObject::of(document, file_name));
  return read_end_tokens(root, vocabulary);
}

Result<ModelConfig> load_config(const std::filesystem::path& file) {
  TROUPE_TRY(const auto json, read_file(file, config_bytes_max));
  TROUPE_TRY(auto config, parse_config(json, file.string()));
  const auto beside = file.parent_path() / "generation_config.json";
  auto generation = read_file(beside, config_bytes_max);
  if (!generation && generation.error().code == ErrorCode::not_found) return config;
  if (!generation) return std::move(generation).error();
  TROUPE_TRY(const auto more, parse_generation_config(*generation, beside.string(), config.vocabulary));
  std::vector<TokenId> both;
  std::set_union(config.end_tokens.begin(), config.end_tokens.end(), more.begin(), more.end(), std::back_inserter(both));
  config.end_tokens = std::move(both);
  return config;
}

ParameterCount count_parameters(const ModelConfig& config) {
  const std::int64_t hidden = config.hidden;
  const std::int64_t table = hidden * config.vocabulary;
  const std::int64_t norms = 2 * hidden + (config.query_key_norm ? 2 * config.head_dim : 0);
  const std::int64_t attention = hidden * (config.qkv_width() + config.query_width());
  ParameterCount count{table * (config.tied_embeddings ? 1 : 2) + hidden, table + hidden};
  for (std::int32_t layer = 0; layer < config.layers; ++layer) {
    count.total += norms + attention;
    count.active += norms + attention;
    if (config.is_sparse(layer)) {
      const std::int64_t router = hidden * config.moe->experts;
      const std::int64_t expert = 3 * hidden * config.moe->intermediate;
      count.total += router + expert * config.moe->experts;
      count.active += router + expert * config.moe->experts_per_token;
    } else {
      count.total += 3 * hidden * config.intermediate;
      count.active += 3 * hidden * config.intermediate;
    }
  }
  return count;
}

}  // namespace troupe::model
