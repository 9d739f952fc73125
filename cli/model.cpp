// troupe model: what a model folder holds, without running it.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.hpp"
#include "engine/options.hpp"
#include "kernels/numeric_class.hpp"
#include "model/model.hpp"

namespace troupe::cli {

namespace {

using Json = nlohmann::ordered_json;

struct InspectOptions {
  std::string model;
  EngineChoice engine;
  bool json = false;
};

std::string bytes_text(std::size_t bytes) {
  char text[32];
  constexpr double mebibyte = 1 << 20;
  std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / mebibyte);
  return text;
}

std::string millions(std::int64_t count) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f M", static_cast<double>(count) / 1e6);
  return text;
}

Json describe(const std::string& folder, const model::Model& model, const engine::EngineOptions& options,
              const engine::MemoryPlan& plan) {
  const model::ModelConfig& config = model.config;
  const model::ParameterCount parameters = model::count_parameters(config);
  Json object{
      {"folder", folder},
      {"architecture", to_string(config.architecture)},
      {"numeric_class", kernels::numeric_class(kernels::DeviceKind::cpu)},
      {"fingerprint", to_hex(model.fingerprint)},
      {"parameters", {{"total", parameters.total}, {"active", parameters.active}}},
      {"shape",
       {{"layers", config.layers},
        {"hidden", config.hidden},
        {"heads", config.heads},
        {"kv_heads", config.kv_heads},
        {"head_dim", config.head_dim},
        {"intermediate", config.intermediate},
        {"vocabulary", config.vocabulary},
        {"positions", config.positions_max},
        {"tied_embeddings", config.tied_embeddings}}},
      {"tokenizer", {{"tokens", model.tokenizer->vocabulary_size()}, {"chat_template", model.chat_template.has_value()}}},
      {"end_tokens", config.end_tokens},
      {"memory",
       {{"weights_bytes", plan.weights_bytes},
        {"kv_bytes", plan.kv_bytes},
        {"kv_blocks", plan.kv_blocks},
        {"kv_bytes_per_token", plan.kv_bytes_per_token},
        {"activation_bytes", plan.activation_bytes},
        {"rope_bytes", plan.rope_bytes},
        {"total_bytes", plan.total()},
        {"context_max", plan.context_max},
        {"batch_tokens", options.batch.tokens_max},
        {"batch_sequences", options.batch.sequences_max}}}};
  if (config.moe) {
    object["experts"] = {{"count", config.moe->experts},
                         {"per_token", config.moe->experts_per_token},
                         {"intermediate", config.moe->intermediate},
                         {"dense_layers", config.moe->dense_layers}};
  }
  return object;
}

void print(const std::string& folder, const model::Model& model, const engine::EngineOptions& options,
           const engine::MemoryPlan& plan) {
  const model::ModelConfig& config = model.config;
  const model::ParameterCount parameters = model::count_parameters(config);
  const auto line = [](const char* name, const std::string& value) { std::printf("%-15s %s\n", name, value.c_str()); };
  const auto number = [](auto value) { return std::to_string(value); };
  line("model", folder);
  line("architecture", std::string(to_string(config.architecture)) + ", " + number(config.layers) + " layers x " +
                           number(config.hidden) + ", " + number(config.heads) + " heads of " + number(config.head_dim) + ", " +
                           number(config.kv_heads) + " KV heads");
  if (config.moe) line("experts", number(config.moe->experts) + ", " + number(config.moe->experts_per_token) + " a token");
  line("parameters", millions(parameters.total) + " (" + millions(parameters.active) + " active)");
  line("vocabulary", number(config.vocabulary) + " tokens, " + number(config.positions_max) + " positions" +
                         (model.chat_template ? ", with a chat template" : ", without a chat template"));
  line("numeric class", std::string(kernels::numeric_class(kernels::DeviceKind::cpu)));
  line("fingerprint", to_hex(model.fingerprint));
  line("memory plan", bytes_text(plan.total()) + " in all");
  line("  weights", bytes_text(plan.weights_bytes));
  line("  KV pool", bytes_text(plan.kv_bytes) + ": " + number(plan.kv_blocks) + " blocks, " +
                        number(std::int64_t{plan.kv_blocks} * kernels::kv_block_positions) + " tokens of " +
                        number(plan.kv_bytes_per_token) + " bytes");
  line("  activations", bytes_text(plan.activation_bytes) + ": " + number(options.batch.tokens_max) + " tokens, " +
                            number(options.batch.sequences_max) + " sequences a step");
  line("  rope tables", bytes_text(plan.rope_bytes) + ": context of " + number(plan.context_max) + " tokens");
}

Result<int> inspect(const InspectOptions& options) {
  TROUPE_TRY(const auto folder, find_model(options.model));
  TROUPE_TRY(const auto device, kernels::CpuDevice::create());
  TROUPE_TRY(const auto model, model::Model::load(folder, *device, show_progress("reading " + folder.string())));
  const engine::EngineOptions engine_options = options.engine.options(device->kind());
  TROUPE_TRY(const auto plan, engine::plan_memory(model.config, engine_options, {device->kind(), device->free_bytes()}));
  if (options.json) {
    std::cout << describe(folder.string(), model, engine_options, plan).dump(2) << '\n';
  } else {
    print(folder.string(), model, engine_options, plan);
  }
  return 0;
}

}  // namespace

void add_model(CLI::App& app, Action& action) {
  CLI::App& model = *app.add_subcommand("model", "Look at models");
  model.require_subcommand(1);
  auto options = std::make_shared<InspectOptions>();
  CLI::App& command = *model.add_subcommand("inspect", "Architecture, parameters, memory plan, numeric class and fingerprint");
  command.footer(
      "Loads the model to check every tensor, so that what is printed can run.\n"
      "Example:  troupe model inspect heavy --kv-memory 64");
  command.add_option("model", options->model, "A Hugging Face folder, or a bundled model: mini, medium, heavy")->required();
  command.add_flag("--json", options->json, "One JSON object");
  options->engine.add_to(command);
  command.callback([options, &action] { action = [options] { return inspect(*options); }; });
  add_model_placement(model, action);
}

}  // namespace troupe::cli
