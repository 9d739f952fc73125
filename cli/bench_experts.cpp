// troupe bench experts: what it costs that experts are on other nodes.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/experts.hpp"
#include "cli/command.hpp"

namespace troupe::cli {

namespace {

using Json = nlohmann::ordered_json;

struct ExpertsCommand {
  bench::ExpertsBenchOptions measure;
  std::string model = "heavy";
  std::string config;
  bool json = false;
};

double microseconds(Duration duration) { return std::chrono::duration<double, std::micro>(duration).count(); }

void print(const bench::ExpertsBenchOptions& options, const std::vector<bench::ExpertsMeasurement>& measured) {
  std::printf("Microseconds of a layer over %s, nodes in one process; here and away are medians, the parts means.\n\n",
              options.local ? "the in-process fabric" : "UCX");
  std::printf("nodes rows     here     away    added      p99 |  encode    send  framing  compute    read     wait\n");
  for (const bench::ExpertsMeasurement& each : measured) {
    std::printf("%5d %4d %8.1f %8.1f %8.1f %8.1f | %7.1f %7.1f %8.1f %8.1f %7.1f %8.1f\n", each.nodes, each.rows,
                microseconds(each.here), microseconds(each.away), microseconds(each.added()), microseconds(each.away_p99),
                microseconds(each.encoding), microseconds(each.sending), microseconds(each.framing),
                microseconds(each.computing), microseconds(each.reading), microseconds(each.waiting));
  }
}

Json describe(const ExpertsCommand& command, const std::vector<bench::ExpertsMeasurement>& measured) {
  Json object{{"model", command.config.empty() ? command.model : command.config},
              {"transport", command.measure.local ? "local" : "ucx"},
              {"layers", command.measure.layers}};
  for (const bench::ExpertsMeasurement& each : measured) {
    object["measured"].push_back({{"nodes", each.nodes},
                                  {"rows", each.rows},
                                  {"here_us", microseconds(each.here)},
                                  {"away_us", microseconds(each.away)},
                                  {"added_us", microseconds(each.added())},
                                  {"away_p99_us", microseconds(each.away_p99)},
                                  {"encode_us", microseconds(each.encoding)},
                                  {"send_us", microseconds(each.sending)},
                                  {"framing_us", microseconds(each.framing)},
                                  {"compute_us", microseconds(each.computing)},
                                  {"read_us", microseconds(each.reading)},
                                  {"wait_us", microseconds(each.waiting)}});
  }
  return object;
}

Result<int> bench_experts(const ExpertsCommand& command) {
  std::filesystem::path file = command.config;
  if (command.config.empty()) {
    TROUPE_TRY(const auto folder, find_model(command.model));
    file = folder / "config.json";
  }
  TROUPE_TRY(const auto config, model::load_config(file));
  TROUPE_TRY(const auto measured, bench::bench_experts(config, command.measure, [](const std::string& what) {
               std::cerr << "measuring " << what << "\n";
             }));
  if (command.json) {
    std::cout << describe(command, measured).dump(2) << '\n';
  } else {
    print(command.measure, measured);
  }
  return 0;
}

}  // namespace

void add_bench_experts(CLI::App& bench, Action& action) {
  auto options = std::make_shared<ExpertsCommand>();
  CLI::App& command = *bench.add_subcommand("experts", "What a layer costs whose experts are on other nodes");
  command.footer(
      "Starts nodes with experts in this process, each with a fabric of its own, and asks them for one layer after the other.\n"
      "The weights are random, of a model's shapes.\n"
      "Examples:\n"
      "  troupe bench experts --json\n"
      "  troupe bench experts --rows 1 --nodes 3 --local");
  auto* model = command.add_option("-m,--model", options->model, "Whose shapes: a folder, or heavy")->capture_default_str();
  command.add_option("--config", options->config, "The shapes of this config.json")->excludes(model);
  command.add_option("--rows", options->measure.rows, "Tokens of a batch; may be repeated")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_option("--nodes", options->measure.nodes, "Nodes with experts; may be repeated")
      ->check(CLI::Range(1, 16))
      ->capture_default_str();
  command.add_option("--layers", options->measure.layers, "Layers that are asked for")
      ->check(CLI::Range(10, 1000000))
      ->capture_default_str();
  command.add_flag("--local", options->measure.local, "The in-process fabric instead of UCX");
  command.add_flag("--json", options->json, "One JSON object");
  command.callback([options, &action] { action = [options] { return bench_experts(*options); }; });
}

}  // namespace troupe::cli
