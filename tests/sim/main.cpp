// Runs simulated clusters (scenario.hpp) of any seeds, one after the other, until something is wrong with enough of them.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>

#include "tests/sim/scenario.hpp"
#include "tests/sim/shadows.hpp"

namespace {

using troupe::sim::Defect;

constexpr std::uint64_t bad_seeds_max = 10;

struct Options {
  std::uint64_t seeds = 100;
  std::uint64_t seed = 1;
  std::string defect_name;
  Defect defect = Defect::none;
  bool trace = false;
  bool shadows = false;
  bool json = false;
};

/// Describes the options; what is parsed is written to `options`.
void add_options(CLI::App& app, Options& options) {
  std::string defects = "With something wrong on purpose; the exit status should then be 1:";
  std::set<std::string> names;
  for (const auto& each : troupe::sim::defects()) {
    names.insert(std::string(each.name));
    defects += "\n  " + std::string(each.name) + ": " + std::string(each.what);
  }
  app.footer("The exit status is 0 if nothing is wrong, 1 if something is, 2 if the options are wrong.");
  app.add_option("--seeds", options.seeds, "How many to run")->capture_default_str();
  app.add_option("--seed", options.seed, "The first of them")->capture_default_str();
  app.add_flag("--trace", options.trace,
               "Tells what happens; with more than one seed, only of those in which something is wrong");
  app.add_option("--defect", options.defect_name, defects)->check(CLI::IsMember(names));
  app.add_flag("--shadows", options.shadows, "Every turn is answered once more, unseen by clients");
  app.add_flag("--json", options.json,
               "Ends with one JSON object: seeds, violations, first_bad_seed, blocks_fetched, blocks_restored, blocks_wrong");
}

struct Summary {
  std::uint64_t seeds = 0;
  std::uint64_t violations = 0;
  std::uint64_t bad = 0;
  troupe::policy::BlockTraffic blocks;
  std::optional<std::uint64_t> first_bad;
};

void run_one(const Options& options, std::uint64_t seed, Summary& summary) {
  const bool alone = options.seeds == 1;
  troupe::sim::RunOptions run{.keep_trace = options.trace && alone, .defect = options.defect};
  if (options.shadows) run.shadows = troupe::sim::shadow_arms();
  auto outcome = troupe::sim::run_seed(seed, run);
  ++summary.seeds;
  summary.blocks += outcome.blocks;
  summary.violations += outcome.violations.size();
  if (options.trace && !alone && !outcome.violations.empty()) {
    run.keep_trace = true;
    outcome = troupe::sim::run_seed(seed, run);
  }
  for (const std::string& line : outcome.lines) std::cerr << line << "\n";
  if (outcome.violations.empty()) return;
  ++summary.bad;
  if (!summary.first_bad) summary.first_bad = seed;
  for (const std::string& violation : outcome.violations) std::cerr << "sim: seed " << seed << ": " << violation << "\n";
  std::cerr << "sim: to replay: dev/sim --seeds 1 --seed " << seed << " --trace"
            << (options.defect_name.empty() ? "" : " --defect " + options.defect_name) << (options.shadows ? " --shadows" : "")
            << "\n";
}

}  // namespace

int main(int count, char** values) {
  Options options;
  CLI::App app("Three nodes, their clients, crashes, a bad network and bad disks in one process, on virtual time, from a seed.",
               "sim");
  add_options(app, options);
  try {
    app.parse(count, values);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  for (const auto& each : troupe::sim::defects()) {
    if (each.name == options.defect_name) options.defect = each.defect;
  }
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  const bool terminal = isatty(STDERR_FILENO) != 0;
  double next = 2;
  Summary summary;
  for (std::uint64_t i = 0; i < options.seeds && summary.bad < bad_seeds_max; ++i) {
    run_one(options, options.seed + i, summary);
    if (seconds() < next) continue;
    next = seconds() + (terminal ? 1 : 10);
    std::cerr << "sim: " << summary.seeds << " of " << options.seeds << " seeds, " << summary.bad << " bad"
              << (terminal ? "\r" : "\n") << std::flush;
  }
  if (summary.seeds < options.seeds) std::cerr << "sim: stopped after " << summary.seeds << " seeds, enough is wrong\n";
  if (options.json) {
    nlohmann::json object{{"seeds", summary.seeds},
                          {"violations", summary.violations},
                          {"first_bad_seed", nullptr},
                          {"blocks_fetched", summary.blocks.fetched_blocks},
                          {"blocks_restored", summary.blocks.restored_blocks},
                          {"blocks_wrong", summary.blocks.wrong_blocks}};
    if (summary.first_bad) object["first_bad_seed"] = *summary.first_bad;
    std::cout << object << "\n";
  } else {
    std::cout << std::fixed << std::setprecision(1) << summary.seeds << " seeds from " << options.seed << " in " << seconds()
              << " s: " << summary.bad << " bad, " << summary.violations << " violations; of KV blocks "
              << summary.blocks.fetched_blocks << " fetched, " << summary.blocks.restored_blocks << " restored, "
              << summary.blocks.wrong_blocks << " wrong\n";
  }
  return summary.bad == 0 ? 0 : 1;
}
