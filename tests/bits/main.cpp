// Runs the Bits property (tests/support/bits.hpp) with any seed and number of cases.
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

#include "tests/support/bits.hpp"
#include "tests/support/broken_kernels.hpp"

namespace {

using troupe::tests::bits::Property;
using troupe::tests::bits::Summary;

struct Options {
  std::uint64_t cases = 1000;
  std::uint64_t seed = 1;
  std::optional<std::uint64_t> only;
  std::string defect;
  bool json = false;
  bool help = false;
};

void print_usage() {
  std::cout << "usage: bits [--cases N] [--seed S] [--case K] [--break NAME] [--json]\n\n"
               "Draws schedules at random and demands that every answer has the bits that it has alone (docs/numerics.md).\n\n"
               "  --cases N     how many cases to run (default 1000)\n"
               "  --seed S      of requests and schedules (default 1)\n"
               "  --case K      only case K of the seed, with its schedule\n"
               "  --break NAME  with kernels that are wrong on purpose; the exit status should then be 1:\n";
  for (const auto& defect : troupe::tests::defects())
    std::cout << "                  " << defect.name << ": " << defect.what << "\n";
  std::cout << "  --json        one JSON object on standard output: cases, sequences, tokens, differing, seed, seconds\n\n"
               "The exit status is 0 if nothing differs, 1 if something does, 2 if the options are wrong.\n";
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

/// Empty if the options are wrong, after saying so.
std::optional<Options> parse(const std::vector<std::string_view>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view name = arguments[i];
    if (name == "--json" || name == "--help" || name == "-h") {
      (name == "--json" ? options.json : options.help) = true;
      continue;
    }
    if (name != "--cases" && name != "--seed" && name != "--case" && name != "--break") {
      std::cerr << "bits: unknown option " << name << "; see --help\n";
      return std::nullopt;
    }
    const std::string_view value = i + 1 < arguments.size() ? arguments[++i] : "";
    if (name == "--break") {
      options.defect = value;
      if (troupe::tests::broken_operations(value, troupe::kernels::InstructionSet::plain) != nullptr) continue;
      std::cerr << "bits: no defect is called \"" << value << "\"; see --help\n";
      return std::nullopt;
    }
    const auto parsed = number(value);
    if (!parsed) {
      std::cerr << "bits: " << name << " is \"" << value << "\", expected a number of at most 64 bits\n";
      return std::nullopt;
    }
    if (name == "--cases") options.cases = *parsed;
    if (name == "--seed") options.seed = *parsed;
    if (name == "--case") options.only = parsed;
  }
  return options;
}

/// Says how far it is once it takes over two seconds: every second on a terminal, else every ten.
class Progress {
 public:
  explicit Progress(std::uint64_t cases) : cases_(cases) {}

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  void show(const Summary& summary) {
    if (seconds() < next_) return;
    next_ = seconds() + (is_terminal_ ? 1 : 10);
    std::cerr << "bits: " << summary.cases << " of " << cases_ << " cases, " << summary.differing << " differences"
              << (is_terminal_ ? "\r" : "\n") << std::flush;
  }

 private:
  std::uint64_t cases_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  bool is_terminal_ = isatty(STDERR_FILENO) != 0;
  double next_ = 2;
};

void print(const Summary& summary, const Options& options, double seconds) {
  if (options.json) {
    std::cout << nlohmann::json{{"cases", summary.cases},         {"sequences", summary.sequences}, {"tokens", summary.tokens},
                                {"differing", summary.differing}, {"seed", options.seed},           {"seconds", seconds}}
              << "\n";
    return;
  }
  std::cout << std::fixed << std::setprecision(1) << summary.cases << " cases of seed " << options.seed << " in " << seconds
            << " s: " << summary.sequences << " answers, " << summary.tokens << " tokens, " << summary.differing
            << " differences\nshare of cases with:\n";
  for (const auto& [feature, cases] : summary.features) {
    std::cout << std::setw(7) << 100.0 * static_cast<double>(cases) / static_cast<double>(summary.cases) << " %  " << feature
              << "\n";
  }
}

Summary run(const Options& options, Progress& progress) {
  Property property(options.seed, options.defect);
  Summary summary;
  const auto run_one = [&](std::uint64_t number) {
    const auto result = property.run(number);
    summary.add(result);
    if (result.differences.empty()) return;
    for (const std::string& difference : result.differences) std::cerr << "bits: " << difference << "\n";
    std::cerr << "bits: to repeat: dev/bits --seed " << options.seed << " --case " << number
              << (options.defect.empty() ? "" : " --break " + options.defect) << "\n";
  };
  if (options.only) {
    if (!options.json) std::cout << property.describe(*options.only);
    run_one(*options.only);
    return summary;
  }
  for (std::uint64_t i = 0; i < options.cases && summary.differing < Summary::differences_max; ++i) {
    run_one(i);
    progress.show(summary);
  }
  if (summary.cases < options.cases) std::cerr << "bits: stopped after " << summary.cases << " cases, enough is wrong\n";
  return summary;
}

}  // namespace

int main(int count, char** values) {
  const auto options = parse({values + 1, values + count});
  if (!options) return 2;
  if (options->help) {
    print_usage();
    return 0;
  }
  Progress progress(options->cases);
  const Summary summary = run(*options, progress);
  print(summary, *options, progress.seconds());
  return summary.differing == 0 ? 0 : 1;
}
