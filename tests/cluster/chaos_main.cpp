// Random questions to real processes that are killed at random times; dev/chaos runs it.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/cluster/chaos.hpp"
#include "tests/support/temporary_folder.hpp"

namespace {

using troupe::tests::Chaos;
using troupe::tests::ChaosSummary;

struct Options {
  std::uint64_t events = 50;
  std::uint64_t seed = 1;
  std::uint64_t nodes = 0;
  bool drains = false;
  std::string device = "cpu";
  bool json = false;
  std::filesystem::path folder;
};

void print(const ChaosSummary& summary, const Options& options) {
  const nlohmann::ordered_json object{{"events", summary.events},
                                      {"streams", summary.streams},
                                      {"turns", summary.turns},
                                      {"kills", summary.kills},
                                      {"drains", summary.drains},
                                      {"failed_requests", summary.failed_requests},
                                      {"interrupted", summary.gaps_ms.size()},
                                      {"differing", summary.differing},
                                      {"lost", summary.lost},
                                      {"doubled", summary.doubled},
                                      {"gap_p50_ms", summary.gap_ms(0.5)},
                                      {"gap_p99_ms", summary.gap_ms(0.99)},
                                      {"seed", options.seed}};
  if (options.json) {
    std::cout << object.dump() << '\n';
    return;
  }
  for (const auto& [name, value] : object.items()) std::cout << name << ' ' << value << '\n';
}

}  // namespace

int main(int count, char** values) {
  Options options;
  CLI::App app("Asks clusters of real processes at random, kills and drains nodes at random, and compares every bit.", "chaos");
  app.footer("The exit status is 0 if nothing differs, is lost or comes twice, 1 otherwise, 2 if the options are wrong.");
  app.add_option("--events", options.events, "How many bursts of questions")->capture_default_str();
  app.add_option("--seed", options.seed, "Of everything that is drawn")->capture_default_str();
  app.add_option("--nodes", options.nodes, "Only clusters of so many nodes (default: of one, two and three, in turn)")
      ->check(CLI::Range(1, 3));
  app.add_flag("--drains", options.drains,
               "Instead of killing nodes, drains one of three in every burst and lets it join again");
  app.add_option("--device", options.device, "What the nodes compute on: cpu, or cuda, a GPU that they share")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--folder", options.folder, "Where the nodes' data and logs are, and stay (default: a temporary folder)");
  app.add_flag("--json", options.json, "One JSON object on standard output");
  try {
    app.parse(count, values);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const troupe::tests::TemporaryFolder temporary;
  if (!options.folder.empty()) std::filesystem::create_directories(options.folder);
  Chaos chaos(options.folder.empty() ? temporary.path() : options.folder, {.seed = options.seed,
                                                                           .nodes = static_cast<std::size_t>(options.nodes),
                                                                           .only_drains = options.drains,
                                                                           .device = options.device,
                                                                           .clusters = {}});
  const auto summary = chaos.run(options.events);
  if (!summary) {
    std::cerr << "chaos: " << summary.error().message << '\n';
    return 1;
  }
  print(*summary, options);
  return summary->differing + summary->lost + summary->doubled == 0 ? 0 : 1;
}
