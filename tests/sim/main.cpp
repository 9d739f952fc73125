// Runs simulated clusters (scenario.hpp) of any seeds, one after the other, until something is wrong with enough of them.
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/scenario.hpp"

namespace {

using troupe::sim::Defect;

constexpr std::uint64_t bad_seeds_max = 10;

struct Options {
  std::uint64_t seeds = 100;
  std::uint64_t seed = 1;
  std::string defect_name;
  Defect defect = Defect::none;
  bool trace = false;
  bool json = false;
  bool help = false;
};

void print_usage() {
  std::cout
      << "usage: sim [--seeds N] [--seed S] [--trace] [--defect NAME] [--json]\n\n"
         "Three nodes, their clients, crashes, a bad network and bad disks in one process, on virtual time, from a seed.\n\n"
         "  --seeds N      how many to run (default 100)\n"
         "  --seed S       the first of them (default 1)\n"
         "  --trace        tells what happens; with more than one seed, only of those in which something is wrong\n"
         "  --defect NAME  with something wrong on purpose; the exit status should then be 1:\n";
  for (const auto& each : troupe::sim::defects()) std::cout << "                   " << each.name << ": " << each.what << "\n";
  std::cout << "  --json         ends with one JSON object: seeds, violations, first_bad_seed\n\n"
               "The exit status is 0 if nothing is wrong, 1 if something is, 2 if the options are wrong.\n";
}

bool parse_value(Options& options, std::string_view name, std::string_view value) {
  if (name == "--defect") {
    options.defect_name = value;
    for (const auto& each : troupe::sim::defects()) {
      if (each.name == value) options.defect = each.defect;
    }
    if (options.defect == Defect::none) std::cerr << "sim: no defect is called \"" << value << "\"; see --help\n";
    return options.defect != Defect::none;
  }
  std::uint64_t& number = name == "--seeds" ? options.seeds : options.seed;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error == std::errc() && end == value.data() + value.size() && !value.empty()) return true;
  std::cerr << "sim: " << name << " is \"" << value << "\", expected a number of at most 64 bits\n";
  return false;
}

/// Empty if the options are wrong, after saying so.
std::optional<Options> parse(const std::vector<std::string_view>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view name = arguments[i];
    if (name == "--json") {
      options.json = true;
    } else if (name == "--trace") {
      options.trace = true;
    } else if (name == "--help" || name == "-h") {
      options.help = true;
    } else if (name == "--seeds" || name == "--seed" || name == "--defect") {
      if (!parse_value(options, name, i + 1 < arguments.size() ? arguments[i + 1] : "")) return std::nullopt;
      ++i;
    } else {
      std::cerr << "sim: unknown option " << name << "; see --help\n";
      return std::nullopt;
    }
  }
  return options;
}

struct Summary {
  std::uint64_t seeds = 0;
  std::uint64_t violations = 0;
  std::uint64_t bad = 0;
  std::optional<std::uint64_t> first_bad;
};

void run_one(const Options& options, std::uint64_t seed, Summary& summary) {
  const bool alone = options.seeds == 1;
  auto outcome = troupe::sim::run_seed(seed, {.keep_trace = options.trace && alone, .defect = options.defect});
  ++summary.seeds;
  summary.violations += outcome.violations.size();
  if (options.trace && !alone && !outcome.violations.empty()) {
    outcome = troupe::sim::run_seed(seed, {.keep_trace = true, .defect = options.defect});
  }
  for (const std::string& line : outcome.lines) std::cerr << line << "\n";
  if (outcome.violations.empty()) return;
  ++summary.bad;
  if (!summary.first_bad) summary.first_bad = seed;
  for (const std::string& violation : outcome.violations) std::cerr << "sim: seed " << seed << ": " << violation << "\n";
  std::cerr << "sim: to replay: dev/sim --seeds 1 --seed " << seed << " --trace"
            << (options.defect_name.empty() ? "" : " --defect " + options.defect_name) << "\n";
}

}  // namespace

int main(int count, char** values) {
  const auto options = parse({values + 1, values + count});
  if (!options) return 2;
  if (options->help) {
    print_usage();
    return 0;
  }
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  const bool terminal = isatty(STDERR_FILENO) != 0;
  double next = 2;
  Summary summary;
  for (std::uint64_t i = 0; i < options->seeds && summary.bad < bad_seeds_max; ++i) {
    run_one(*options, options->seed + i, summary);
    if (seconds() < next) continue;
    next = seconds() + (terminal ? 1 : 10);
    std::cerr << "sim: " << summary.seeds << " of " << options->seeds << " seeds, " << summary.bad << " bad"
              << (terminal ? "\r" : "\n") << std::flush;
  }
  if (summary.seeds < options->seeds) std::cerr << "sim: stopped after " << summary.seeds << " seeds, enough is wrong\n";
  if (options->json) {
    nlohmann::json object{{"seeds", summary.seeds}, {"violations", summary.violations}, {"first_bad_seed", nullptr}};
    if (summary.first_bad) object["first_bad_seed"] = *summary.first_bad;
    std::cout << object << "\n";
  } else {
    std::cout << std::fixed << std::setprecision(1) << summary.seeds << " seeds from " << options->seed << " in " << seconds()
              << " s: " << summary.bad << " bad, " << summary.violations << " violations\n";
  }
  return summary.bad == 0 ? 0 : 1;
}
