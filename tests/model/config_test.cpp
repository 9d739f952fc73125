#include "model/config.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/file.hpp"
#include "tests/support/safetensors_writer.hpp"
#include "tests/support/temporary_folder.hpp"

namespace troupe::model {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

const fs::path portfolio = fs::path(TROUPE_SOURCE_DIR) / "portfolio";

Json bundled(const std::string& name) { return Json::parse(*read_file(portfolio / name / "config.json", 1 << 20)); }

Result<ModelConfig> parse(const Json& config) { return parse_config(config.dump(), "config.json"); }

Json with(Json config, const std::string& field, const Json& value) {
  config[field] = value;
  return config;
}

Json without(Json config, const std::string& field) {
  config.erase(field);
  return config;
}

void expect_refused(const Json& config, ErrorCode code, const std::string& part) {
  const auto parsed = parse(config);
  ASSERT_FALSE(parsed) << "accepted, expected an error about " << part;
  EXPECT_EQ(to_string(parsed.error().code), to_string(code)) << parsed.error().message;
  EXPECT_NE(parsed.error().message.find(part), std::string::npos) << "\"" << part << "\" is not in: " << parsed.error().message;
  EXPECT_NE(parsed.error().message.find("config.json"), std::string::npos) << parsed.error().message;
}

ModelConfig accepted(const Json& config) {
  auto parsed = parse(config);
  EXPECT_TRUE(parsed) << parsed.error().message;
  return parsed.value_or(ModelConfig{});
}

TEST(Config, ReadsTheBundledModels) {
  const auto mini = load_config(portfolio / "mini" / "config.json");
  ASSERT_TRUE(mini) << mini.error().message;
  EXPECT_EQ(to_string(mini->architecture), "LlamaForCausalLM");
  EXPECT_EQ(mini->layers, 4);
  EXPECT_EQ(mini->hidden, 192);
  EXPECT_EQ(mini->qkv_width(), 3 * 64 + 2 * 64);
  EXPECT_TRUE(mini->tied_embeddings);
  EXPECT_FALSE(mini->query_key_norm);
  EXPECT_FLOAT_EQ(mini->norm_epsilon, 1e-5F);
  const auto medium = load_config(portfolio / "medium" / "config.json");
  ASSERT_TRUE(medium) << medium.error().message;
  EXPECT_EQ(medium->architecture, Architecture::qwen3);
  EXPECT_TRUE(medium->query_key_norm);
  EXPECT_FALSE(medium->tied_embeddings);
  EXPECT_FALSE(medium->is_sparse(0));
  const auto heavy = load_config(portfolio / "heavy" / "config.json");
  ASSERT_TRUE(heavy) << heavy.error().message;
  EXPECT_EQ(heavy->architecture, Architecture::qwen3_moe);
  ASSERT_TRUE(heavy->moe);
  EXPECT_EQ(heavy->moe->experts, 8);
  EXPECT_EQ(heavy->moe->experts_per_token, 2);
  EXPECT_TRUE(heavy->moe->normalize_weights);
  EXPECT_TRUE(heavy->is_sparse(7));
}

TEST(Config, UnitesTheEndTokensOfBothFiles) {
  EXPECT_EQ(load_config(portfolio / "mini" / "config.json")->end_tokens, (std::vector<TokenId>{0, 2}));
  const tests::TemporaryFolder folder;
  tests::write_file(folder.path() / "config.json", bundled("mini").dump());
  EXPECT_EQ(load_config(folder.path() / "config.json")->end_tokens, std::vector<TokenId>{2});
  tests::write_file(folder.path() / "generation_config.json", R"({"eos_token_id": 4096})");
  const auto outside = load_config(folder.path() / "config.json");
  ASSERT_FALSE(outside);
  EXPECT_NE(outside.error().message.find("generation_config.json"), std::string::npos) << outside.error().message;
  tests::write_file(folder.path() / "generation_config.json", "{");
  EXPECT_FALSE(load_config(folder.path() / "config.json"));
}

TEST(Config, CountsParameters) {
  const auto count = [](const char* name) { return count_parameters(accepted(bundled(name))); };
  // What portfolio/training/model.py's `count` gives for the three shapes.
  EXPECT_EQ(count("mini").total, 2361024);
  EXPECT_EQ(count("mini").active, 2361024);
  EXPECT_EQ(count("medium").total, 4935264);
  EXPECT_EQ(count("medium").active, 4017760);
  EXPECT_EQ(count("heavy").total, 13789504);
  EXPECT_EQ(count("heavy").active, 6416704);
}

TEST(Config, TakesTheDefaultsOfTransformers) {
  const Json mini = bundled("mini");
  EXPECT_EQ(accepted(without(mini, "head_dim")).head_dim, 192 / 3);
  EXPECT_EQ(accepted(without(mini, "num_key_value_heads")).kv_heads, 3);
  EXPECT_EQ(accepted(without(mini, "rope_theta")).rope_theta, 10000);
  EXPECT_FALSE(accepted(without(mini, "tie_word_embeddings")).tied_embeddings);
  EXPECT_FLOAT_EQ(accepted(without(mini, "rms_norm_eps")).norm_epsilon, 1e-6F);
  EXPECT_EQ(accepted(without(mini, "max_position_embeddings")).positions_max, 2048);
  EXPECT_EQ(accepted(without(bundled("medium"), "head_dim")).head_dim, 128);
  EXPECT_FALSE(accepted(without(bundled("heavy"), "norm_topk_prob")).moe->normalize_weights);
  EXPECT_EQ(accepted(without(mini, "architectures")).architecture, Architecture::llama);
  EXPECT_TRUE(accepted(with(mini, "eos_token_id", nullptr)).end_tokens.empty());
}

TEST(Config, ReadsRopeScalingInBothSpellings) {
  const Json llama3 = {{"rope_type", "llama3"},
                       {"factor", 32.0},
                       {"low_freq_factor", 1.0},
                       {"high_freq_factor", 4.0},
                       {"original_max_position_embeddings", 8192}};
  const auto old_spelling = accepted(with(bundled("mini"), "rope_scaling", llama3));
  ASSERT_TRUE(old_spelling.rope_scaling);
  EXPECT_EQ(old_spelling.rope_scaling->factor, 32);
  EXPECT_EQ(old_spelling.rope_scaling->high_frequency_factor, 4);
  EXPECT_EQ(old_spelling.rope_scaling->original_positions, 8192);
  EXPECT_EQ(old_spelling.rope_theta, 10000);
  Json parameters = llama3;
  parameters["rope_theta"] = 500000.0;
  const auto new_spelling = accepted(with(without(bundled("mini"), "rope_theta"), "rope_parameters", parameters));
  ASSERT_TRUE(new_spelling.rope_scaling);
  EXPECT_EQ(new_spelling.rope_theta, 500000);
  const Json plain = {{"rope_type", "default"}, {"rope_theta", 1e6}};
  EXPECT_EQ(accepted(with(without(bundled("medium"), "rope_theta"), "rope_parameters", plain)).rope_theta, 1e6);
  EXPECT_FALSE(accepted(with(bundled("mini"), "rope_scaling", {{"type", "default"}})).rope_scaling);
}

TEST(Config, ReadsTheNumberOfExpertsInBothSpellings) {
  const Json renamed = with(without(bundled("heavy"), "num_experts"), "num_local_experts", 8);
  EXPECT_EQ(accepted(renamed).moe->experts, 8);
  expect_refused(without(bundled("heavy"), "num_experts"), ErrorCode::not_found, "num_experts");
  expect_refused(with(renamed, "num_local_experts", 0), ErrorCode::out_of_range, "num_local_experts");
}

TEST(Config, RefusesRopeThatIsNotImplemented) {
  const Json mini = bundled("mini");
  expect_refused(with(mini, "rope_scaling", {{"rope_type", "yarn"}, {"factor", 4.0}}), ErrorCode::unsupported, "\"yarn\"");
  expect_refused(with(mini, "rope_scaling", {{"type", "linear"}, {"factor", 4.0}}), ErrorCode::unsupported, "\"linear\"");
  expect_refused(with(mini, "rope_scaling", {{"rope_type", "llama3"}}), ErrorCode::not_found, "rope_scaling.factor");
  expect_refused(with(mini, "rope_parameters", {{"full_attention", {{"rope_theta", 1e4}}}}), ErrorCode::unsupported,
                 "full_attention");
  expect_refused(with(mini, "rope_parameters", {{"rope_theta", 5e5}}), ErrorCode::invalid_argument,
                 "rope_parameters.rope_theta");
  expect_refused(with(with(mini, "rope_parameters", {{"rope_theta", 1e4}}), "rope_scaling", {{"type", "default"}}),
                 ErrorCode::invalid_argument, "rope_scaling");
  expect_refused(with(mini, "rope_parameters", {{"partial_rotary_factor", 0.5}}), ErrorCode::unsupported,
                 "partial_rotary_factor");
  const Json backwards = {{"rope_type", "llama3"},
                          {"factor", 8.0},
                          {"low_freq_factor", 4.0},
                          {"high_freq_factor", 4.0},
                          {"original_max_position_embeddings", 8192}};
  expect_refused(with(mini, "rope_scaling", backwards), ErrorCode::invalid_argument, "high_freq_factor");
}

TEST(Config, RefusesOtherArchitecturesByName) {
  Json mistral = bundled("mini");
  mistral["architectures"] = {"MistralForCausalLM"};
  mistral["model_type"] = "mistral";
  expect_refused(mistral, ErrorCode::unsupported, "\"MistralForCausalLM\"");
  expect_refused(mistral, ErrorCode::unsupported, "LlamaForCausalLM, Qwen3ForCausalLM, Qwen3MoeForCausalLM");
  expect_refused(without(mistral, "architectures"), ErrorCode::unsupported, "\"mistral\"");
  expect_refused(with(bundled("mini"), "model_type", "qwen3"), ErrorCode::invalid_argument, "model_type");
  expect_refused(with(bundled("mini"), "architectures", Json::array()), ErrorCode::unsupported, "architectures");
  expect_refused(with(bundled("mini"), "architectures", {"LlamaForCausalLM", "Qwen3ForCausalLM"}), ErrorCode::unsupported,
                 "architectures");
  expect_refused(without(bundled("mini"), "model_type"), ErrorCode::not_found, "model_type");
}

TEST(Config, RefusesWhatWouldChangeTheArithmetic) {
  const Json medium = bundled("medium");
  expect_refused(with(medium, "attention_bias", true), ErrorCode::unsupported, "attention_bias");
  expect_refused(with(bundled("mini"), "mlp_bias", true), ErrorCode::unsupported, "mlp_bias");
  expect_refused(with(medium, "hidden_act", "gelu"), ErrorCode::unsupported, "\"gelu\"");
  expect_refused(with(with(medium, "use_sliding_window", true), "sliding_window", 4096), ErrorCode::unsupported,
                 "use_sliding_window");
  accepted(with(medium, "sliding_window", 4096));
  expect_refused(with(medium, "layer_types", {"full_attention", "sliding_attention"}), ErrorCode::unsupported,
                 "\"sliding_attention\"");
  expect_refused(with(medium, "quantization_config", {{"quant_method", "gptq"}}), ErrorCode::unsupported,
                 "quantization_config");
}

TEST(Config, RefusesShapesThatDoNotFit) {
  const Json mini = bundled("mini");
  expect_refused(with(mini, "num_key_value_heads", 2), ErrorCode::invalid_argument, "multiple of num_key_value_heads");
  expect_refused(with(mini, "head_dim", 40), ErrorCode::unsupported, "head_dim is 40");
  expect_refused(with(mini, "head_dim", 272), ErrorCode::out_of_range, "head_dim");
  expect_refused(without(with(mini, "num_attention_heads", 5), "head_dim"), ErrorCode::unsupported,
                 "head_dim is 38 (not given");
  expect_refused(without(with(with(mini, "hidden_size", 1024), "num_attention_heads", 1), "head_dim"), ErrorCode::unsupported,
                 "head_dim is 1024 (not given");
  expect_refused(with(mini, "hidden_size", 200), ErrorCode::unsupported, "hidden_size");
  expect_refused(with(mini, "intermediate_size", 500), ErrorCode::unsupported, "intermediate_size");
  expect_refused(with(bundled("heavy"), "num_experts_per_tok", 9), ErrorCode::out_of_range, "num_experts_per_tok");
  expect_refused(with(bundled("heavy"), "mlp_only_layers", {8}), ErrorCode::out_of_range, "mlp_only_layers[0]");
  expect_refused(with(mini, "eos_token_id", 4096), ErrorCode::out_of_range, "eos_token_id");
  expect_refused(with(mini, "eos_token_id", {2, -1}), ErrorCode::out_of_range, "eos_token_id[1]");
}

TEST(Config, RefusesNumbersOutOfRange) {
  for (const char* field : {"vocab_size", "num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads",
                            "num_key_value_heads", "head_dim", "max_position_embeddings"}) {
    for (const Json& value : {Json(0), Json(-64), Json(std::int64_t{1} << 40), Json(~std::uint64_t{0})}) {
      expect_refused(with(bundled("mini"), field, value), ErrorCode::out_of_range, field);
    }
    for (const Json& value : {Json("64"), Json(64.5), Json(true), Json::array()}) {
      expect_refused(with(bundled("mini"), field, value), ErrorCode::invalid_argument, field);
    }
  }
  for (const char* field : {"vocab_size", "num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads"}) {
    expect_refused(without(bundled("mini"), field), ErrorCode::not_found, field);
  }
  for (const char* field : {"num_experts", "num_experts_per_tok", "moe_intermediate_size", "decoder_sparse_step"}) {
    expect_refused(with(bundled("heavy"), field, 0), ErrorCode::out_of_range, field);
  }
  expect_refused(with(bundled("mini"), "rms_norm_eps", 0), ErrorCode::out_of_range, "rms_norm_eps");
  expect_refused(with(bundled("mini"), "rope_theta", -1), ErrorCode::out_of_range, "rope_theta");
}

TEST(Config, RefusesModelsOfAbsurdSize) {
  Json config = bundled("heavy");
  config["num_hidden_layers"] = 1024;
  config["num_experts"] = 1024;
  config["mlp_only_layers"] = Json::array();
  expect_refused(config, ErrorCode::too_large, "num_experts");
  config = bundled("mini");
  config["num_hidden_layers"] = 1024;
  config["hidden_size"] = 1 << 17;
  config["intermediate_size"] = 1 << 20;
  expect_refused(config, ErrorCode::too_large, "parameters");
}

TEST(Config, ChoosesDenseLayersLikeTransformers) {
  Json heavy = with(with(bundled("heavy"), "decoder_sparse_step", 2), "mlp_only_layers", {3});
  // Sparse are the layers whose number, counted from 1, the step divides, except those listed.
  EXPECT_EQ(accepted(heavy).moe->dense_layers, (std::vector<std::int32_t>{0, 2, 3, 4, 6}));
  EXPECT_TRUE(accepted(heavy).is_sparse(1));
  EXPECT_FALSE(accepted(heavy).is_sparse(3));
}

TEST(Config, RefusesWhatIsNoJsonObject) {
  for (const char* text : {"", "{", "[]", "3", "{\"a\":1,\"a\":2}", "\xff", "{\"model_type\": \"llama\"} x"}) {
    const auto parsed = parse_config(text, "config.json");
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find("config.json"), std::string::npos) << parsed.error().message;
  }
  const auto missing = load_config("/nowhere/config.json");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, ErrorCode::not_found);
}

TEST(Config, KvBlocksHoldTheNumbersOfTheirDevice) {
  const auto config = *parse(bundled("medium"));
  const std::size_t numbers = std::size_t{2} * kernels::kv_block_positions * static_cast<std::size_t>(config.kv_width()) *
                              static_cast<std::size_t>(config.layers);
  EXPECT_EQ(config.kv_layout(kernels::DeviceKind::cpu).block_bytes(), 4 * numbers);
  EXPECT_EQ(config.kv_layout(kernels::DeviceKind::cuda).block_bytes(), 2 * numbers) << "bf16";
}

}  // namespace
}  // namespace troupe::model
