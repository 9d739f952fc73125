// troupe bench prefix: what it saves that a prompt's beginning is fetched instead of computed.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/prefix.hpp"
#include "cli/command.hpp"

namespace troupe::cli {

namespace {

using Json = nlohmann::ordered_json;

struct PrefixCommand {
  std::string model = "heavy";
  bench::PrefixBenchOptions measure;
  DeviceChoice device;
  bool json = false;
};

double milliseconds(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

void print(const std::string& model, const bench::PrefixBenchResult& result) {
  std::printf("%s, time to the first token, medians\n\nprompt tokens   computed    fetched    in the pool   fetched bytes\n",
              model.c_str());
  for (const bench::PrefixMeasurement& measured : result.measured) {
    std::printf("%13d %8.2f ms %7.2f ms %11.2f ms %10.2f MB\n", measured.prompt_tokens, milliseconds(measured.computed),
                milliseconds(measured.fetched), milliseconds(measured.local), static_cast<double>(measured.bytes) / 1e6);
  }
  std::printf("\ncomputing %.1f us a token; fetching %.2f ms and then %.2f GB/s: ", 1e6 * result.prefill_seconds_per_token,
              1e3 * result.fetch_fixed_seconds, result.fetch_bytes_per_second / 1e9);
  if (result.break_even_blocks) {
    std::printf("sooner from %zu blocks of 16 tokens on\n", *result.break_even_blocks);
  } else {
    std::printf("never sooner\n");
  }
}

Json describe(const std::string& model, const bench::PrefixBenchResult& result) {
  Json object{{"model", model}};
  for (const bench::PrefixMeasurement& measured : result.measured) {
    object["prompts"].push_back({{"tokens", measured.prompt_tokens},
                                 {"blocks_fetched", measured.blocks},
                                 {"bytes_fetched", measured.bytes},
                                 {"computed_ms", milliseconds(measured.computed)},
                                 {"fetched_ms", milliseconds(measured.fetched)},
                                 {"local_ms", milliseconds(measured.local)}});
  }
  object["prefill_seconds_per_token"] = result.prefill_seconds_per_token;
  object["fetch_fixed_seconds"] = result.fetch_fixed_seconds;
  object["fetch_bytes_per_second"] = result.fetch_bytes_per_second;
  object["break_even_blocks"] = nullptr;
  if (result.break_even_blocks) object["break_even_blocks"] = *result.break_even_blocks;
  return object;
}

Result<int> run(const PrefixCommand& command) {
  TROUPE_TRY(const auto folder, find_model(command.model));
  TROUPE_TRY(const auto device, command.device.open_cpu());
  TROUPE_TRY(const auto model, model::Model::load(folder, *device, show_progress("loading " + folder.string())));
  TROUPE_TRY(const auto result, bench::bench_prefix(model, *device, command.measure, [](const std::string& what) {
               std::cerr << "measuring " << what << "\n";
             }));
  if (command.json) {
    std::cout << describe(folder.filename().string(), result).dump(2) << '\n';
  } else {
    print(folder.filename().string(), result);
  }
  return 0;
}

}  // namespace

void add_bench_prefix(CLI::App& bench, Action& action) {
  auto options = std::make_shared<PrefixCommand>();
  CLI::App& command =
      *bench.add_subcommand("prefix", "The first token of a prompt that is computed, fetched from a neighbour, or in the pool");
  command.footer(
      "Two engines in this process, joined by a fabric over UCX; the answers of the three ways are compared bit by bit.\n"
      "Examples:\n"
      "  troupe bench prefix\n"
      "  troupe bench prefix --model mini --prompt-tokens 32 --prompt-tokens 1500 --json");
  command.add_option("-m,--model", options->model, "A folder, or mini, medium, heavy")->capture_default_str();
  command.add_option("--prompt-tokens", options->measure.prompt_tokens, "Tokens of a prompt; may be repeated")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  command.add_option("--rounds", options->measure.rounds, "Rounds; each number is their median")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--transports", options->measure.transports, "What UCX may use, as in UCX_TLS")->capture_default_str();
  command.add_flag("--json", options->json, "One JSON object");
  options->device.add_to(command);
  command.callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace troupe::cli
