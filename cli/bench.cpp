// troupe bench: how fast this machine runs models, as shares of what it could do.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/engine.hpp"
#include "cli/command.hpp"
#include "kernels/numeric_class.hpp"
#include "model/model.hpp"

namespace troupe::cli {

namespace {

using Json = nlohmann::ordered_json;

/// The shapes of Llama 3.2 1B: what a small model of use looks like, and larger than any cache.
constexpr const char* billion_config = R"({
  "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "hidden_size": 2048,
  "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64,
  "vocab_size": 128256, "max_position_embeddings": 8192, "rms_norm_eps": 1e-05, "rope_theta": 500000.0,
  "tie_word_embeddings": true, "eos_token_id": 128001
})";

struct BenchOptions {
  std::string model;
  std::string config;
  bench::EngineBenchOptions measure;
  DeviceChoice device;
  bool json = false;
};

Result<model::Model> open_model(const BenchOptions& options, kernels::Device& device, std::string& name) {
  if (!options.model.empty()) {
    TROUPE_TRY(const auto folder, find_model(options.model));
    name = folder.string();
    return model::Model::load(folder, device, show_progress("loading " + name));
  }
  name = options.config.empty() ? "random weights, shapes of Llama 3.2 1B" : "random weights, " + options.config;
  TROUPE_TRY(const auto config, options.config.empty() ? model::parse_config(billion_config, "built-in config.json")
                                                       : model::load_config(options.config));
  return model::Model::random(config, 1, device, show_progress("making random weights"));
}

void print(const std::string& name, const std::string& device, std::int64_t parameters,
           const bench::EngineBenchOptions& options, const bench::EngineMeasurement& measured) {
  std::printf("%s: %.2f M parameters active, on %s, %s\n\n", name.c_str(), static_cast<double>(parameters) / 1e6,
              device.c_str(), std::string(kernels::numeric_class(kernels::DeviceKind::cpu)).c_str());
  std::printf("decode    %8.1f tokens/s  %6.1f GB/s    of %6.1f read        fraction %.3f\n", measured.decode_tokens_per_second,
              measured.decode_bytes * measured.decode_tokens_per_second / 1e9, measured.read_ceiling / 1e9,
              measured.decode_fraction);
  std::printf("prefill   %8.1f tokens/s  %6.1f GFLOP/s of %6.1f multiply-add fraction %.3f\n",
              measured.prefill_tokens_per_second,
              measured.prefill_operations / options.prompt_tokens * measured.prefill_tokens_per_second / 1e9,
              measured.arithmetic_ceiling / 1e9, measured.prefill_fraction);
  std::printf("overhead  %8.3f ms of a decode step of %.3f ms is outside of kernels: fraction %.4f\n",
              1e3 * measured.overhead_fraction * measured.decode_step_seconds, 1e3 * measured.decode_step_seconds,
              measured.overhead_fraction);
  if (measured.invariance_cost) {
    std::printf("invariance cost %.3f: our time for a layer's products at %d rows, over oneDNN's (below 1: faster)\n",
                *measured.invariance_cost, options.prompt_tokens);
  } else {
    std::printf("invariance cost unknown: not compared with oneDNN (--no-onednn, or a build without Debian's libdnnl-dev)\n");
  }
}

Json describe(const std::string& name, const std::string& device, std::int64_t parameters,
              const bench::EngineBenchOptions& options, const bench::EngineMeasurement& measured) {
  Json object{{"model", name},
              {"device", device},
              {"numeric_class", kernels::numeric_class(kernels::DeviceKind::cpu)},
              {"active_parameters", parameters},
              {"prompt_tokens", options.prompt_tokens},
              {"decode_tokens", options.decode_tokens},
              {"rounds", options.rounds},
              {"decode_fraction", measured.decode_fraction},
              {"prefill_fraction", measured.prefill_fraction},
              {"overhead_fraction", measured.overhead_fraction},
              {"invariance_cost", nullptr},
              {"decode_tokens_per_second", measured.decode_tokens_per_second},
              {"decode_step_seconds", measured.decode_step_seconds},
              {"decode_bytes", measured.decode_bytes},
              {"read_bytes_per_second", measured.read_ceiling},
              {"prefill_tokens_per_second", measured.prefill_tokens_per_second},
              {"prefill_operations", measured.prefill_operations},
              {"operations_per_second", measured.arithmetic_ceiling}};
  if (measured.invariance_cost) object["invariance_cost"] = *measured.invariance_cost;
  return object;
}

Result<int> bench_engine(const BenchOptions& options) {
  TROUPE_TRY(const auto device, options.device.open_cpu());
  std::string name;
  TROUPE_TRY(const auto model, open_model(options, *device, name));
  TROUPE_TRY(const auto measured, bench::measure_engine(model, *device, options.measure, show_progress("measuring")));
  const std::int64_t parameters = model::count_parameters(model.config).active;
  if (options.json) {
    std::cout << describe(name, device->description(), parameters, options.measure, measured).dump(2) << '\n';
  } else {
    print(name, device->description(), parameters, options.measure, measured);
  }
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Action& action) {
  CLI::App& bench = *app.add_subcommand("bench", "Measure this machine");
  bench.require_subcommand(1);
  auto options = std::make_shared<BenchOptions>();
  CLI::App& command = *bench.add_subcommand("engine", "Decode, prefill and overhead of an engine, against measured ceilings");
  command.footer(
      "Without options: random weights of a model of 1.2 billion parameters (2.5 GB; about a minute and a half on two cores).\n"
      "Fractions are shares of a ceiling measured in the same run: decode of the memory's read bandwidth, prefill of the "
      "float32\n"
      "multiply-adds. docs/performance.md says what to expect.\n"
      "Examples:\n"
      "  troupe bench engine --json\n"
      "  troupe bench engine --model heavy --prompt-tokens 256");
  auto* model = command.add_option("-m,--model", options->model, "Real weights: a folder, or mini, medium, heavy");
  command.add_option("--config", options->config, "Random weights of this config.json's shapes")->excludes(model);
  command.add_option("--prompt-tokens", options->measure.prompt_tokens, "Tokens prefilled at once")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  command.add_option("--decode-tokens", options->measure.decode_tokens, "Decode steps in a round")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  command.add_option("--rounds", options->measure.rounds, "Rounds; each number is their median")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_flag("!--no-onednn", options->measure.onednn, "Leave the comparison with oneDNN out");
  command.add_flag("--json", options->json, "One JSON object");
  options->device.add_to(command);
  command.callback([options, &action] { action = [options] { return bench_engine(*options); }; });
  add_bench_experts(bench, action);
  add_bench_stream(bench, action);
  add_bench_fabric(bench, action);
  add_bench_prefix(bench, action);
  add_bench_story(bench, action);
}

}  // namespace troupe::cli
