// Runs the Bits property (tests/support/bits.hpp) with any seed and number of cases.
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

#include "kernels/open_device.hpp"
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
  std::string device = "cpu";
  bool json = false;

  troupe::kernels::DeviceKind kind() const {
    return device == "cuda" ? troupe::kernels::DeviceKind::cuda : troupe::kernels::DeviceKind::cpu;
  }
};

/// Describes the options; what is parsed is written to `options`.
void add_options(CLI::App& app, Options& options) {
  std::string defects = "With kernels that are wrong on purpose; the exit status should then be 1:";
  std::set<std::string> names;
  for (const auto& defect : troupe::tests::defects()) {
    names.insert(std::string(defect.name));
    defects += "\n  " + std::string(defect.name) + ": " + std::string(defect.what);
  }
  app.footer(
      "The exit status is 0 if nothing differs, 1 if something does, 2 if the options are wrong, 3 without a GPU for --device "
      "cuda.");
  app.add_option("--cases", options.cases, "How many cases to run")->capture_default_str();
  app.add_option("--seed", options.seed, "Of requests and schedules")->capture_default_str();
  app.add_option("--case", options.only, "Only this case of the seed, with its schedule");
  app.add_option("--break", options.defect, defects)->check(CLI::IsMember(names));
  app.add_option("--device", options.device, "cpu, or cuda: on a Hopper GPU, with models that its kernels compute")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_flag("--json", options.json,
               "One JSON object on standard output: cases, sequences, tokens, differing, seed, seconds");
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
  Property property(options.seed, options.defect, options.kind());
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
  Options options;
  CLI::App app("Draws schedules at random and demands that every answer has the bits that it has alone (docs/numerics.md).",
               "bits");
  add_options(app, options);
  try {
    app.parse(count, values);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (options.device == "cuda") {
    if (!options.defect.empty()) {
      std::cerr << "bits: --break has kernels for CPUs only\n";
      return 2;
    }
    troupe::kernels::DeviceOptions wish;
    wish.wish = troupe::kernels::DeviceWish::cuda;
    if (const auto opened = troupe::kernels::open_device(wish); !opened) {
      std::cerr << "bits: " << opened.error().message << "\n";
      return 3;
    }
  }
  Progress progress(options.cases);
  const Summary summary = run(options, progress);
  print(summary, options, progress.seconds());
  return summary.differing == 0 ? 0 : 1;
}
