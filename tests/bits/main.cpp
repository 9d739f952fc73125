// Runs the Bits property (tests/support/bits.hpp) with any seed, for any number of cases or seconds.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kernels/open_device.hpp"
#include "tests/support/bits.hpp"
#include "tests/support/broken_kernels.hpp"
#ifdef TROUPE_CUDA
#include "tests/gpu/broken_launchers.hpp"
#endif

namespace {

using troupe::kernels::DeviceKind;
using troupe::tests::Defect;
using troupe::tests::bits::batch_classes;
using troupe::tests::bits::Property;
using troupe::tests::bits::Summary;

constexpr std::uint64_t default_cases = 1000;
constexpr std::int64_t seconds_max = 1'000'000;

struct Options {
  std::optional<std::uint64_t> cases;
  std::optional<std::int64_t> seconds;
  std::uint64_t seed = 1;
  std::optional<std::uint64_t> only;
  std::string defect;
  std::string device = "cpu";
  bool json = false;

  DeviceKind kind() const { return device == "cuda" ? DeviceKind::cuda : DeviceKind::cpu; }
  /// As many as time allows, if only the time is given.
  std::uint64_t cases_max() const {
    return cases.value_or(seconds ? std::numeric_limits<std::uint64_t>::max() : default_cases);
  }
};

std::span<const Defect> defects_of(DeviceKind kind) {
  if (kind == DeviceKind::cpu) return troupe::tests::defects();
#ifdef TROUPE_CUDA
  return troupe::tests::launcher_defects();
#else
  return {};
#endif
}

void break_gpu([[maybe_unused]] std::string_view defect) {
#ifdef TROUPE_CUDA
  troupe::tests::break_launchers(defect);
#endif
}

/// Describes the options; what is parsed is written to `options`.
void add_options(CLI::App& app, Options& options) {
  std::string defects = "With kernels that are wrong on purpose; the exit status should then be 1. On a CPU:";
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::cuda}) {
    if (kind == DeviceKind::cuda) defects += "\non a GPU:";
    for (const Defect& defect : defects_of(kind)) {
      defects += "\n  " + std::string(defect.name) + ": " + std::string(defect.what);
    }
  }
  app.footer(
      "The exit status is 0 if nothing differs, 1 if something does, 2 if the options are wrong, 3 without a GPU for --device "
      "cuda.\n"
      "Tokens of answers are counted, each compared with all of its logits; tokens of prompts are not, but their keys and "
      "values\n"
      "are in the blocks that are compared.");
  app.add_option(
      "--cases", options.cases,
      "How many cases to run (default " + std::to_string(default_cases) + "; with --seconds, as many as time allows)");
  app.add_option("--seconds", options.seconds, "After which no other case begins")
      ->check(CLI::Range(std::int64_t{1}, seconds_max));
  app.add_option("--seed", options.seed, "Of requests and schedules")->capture_default_str();
  app.add_option("--case", options.only, "Only this case of the seed, with its schedule");
  app.add_option("--break", options.defect, defects);
  app.add_option("--device", options.device, "cpu, or cuda: on a Hopper GPU, with models that its kernels compute")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_flag(
      "--json", options.json,
      "One JSON object on standard output: cases, sequences, tokens, tokens_by_batch (from steps that gave a token to 1, 2 to "
      "8, "
      "9 to 64, 65 to 255, and more answers), blocks, steps, differing, features (how many cases had each), seed, seconds");
}

/// Says how far it is once it takes over two seconds: every second on a terminal, else every ten.
class Progress {
 public:
  explicit Progress(const Options& options) : options_(options) {}

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  bool is_time_up() const { return options_.seconds && seconds() >= static_cast<double>(*options_.seconds); }
  void show(const Summary& summary) {
    if (seconds() < next_) return;
    next_ = seconds() + (is_terminal_ ? 1 : 10);
    std::cerr << "bits: " << std::fixed << std::setprecision(0) << seconds();
    if (options_.seconds) std::cerr << " of " << *options_.seconds;
    std::cerr << " s, " << summary.cases;
    if (!options_.seconds) std::cerr << " of " << options_.cases_max();
    std::cerr << " cases, " << summary.tokens << " tokens, " << summary.differing << " differences"
              << (is_terminal_ ? "\r" : "\n") << std::flush;
  }

 private:
  const Options& options_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  bool is_terminal_ = isatty(STDERR_FILENO) != 0;
  double next_ = 2;
};

double share(std::uint64_t part, std::uint64_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

void print_json(const Summary& summary, const Options& options, double seconds) {
  std::cout << nlohmann::json{{"cases", summary.cases},         {"sequences", summary.sequences},
                              {"tokens", summary.tokens},       {"tokens_by_batch", summary.tokens_by_batch},
                              {"blocks", summary.blocks},       {"steps", summary.steps},
                              {"differing", summary.differing}, {"features", summary.features},
                              {"seed", options.seed},           {"seconds", seconds}}
            << "\n";
}

void print(const Summary& summary, const Options& options, double seconds) {
  if (options.json) return print_json(summary, options, seconds);
  std::cout << std::fixed << std::setprecision(1) << summary.cases << " cases of seed " << options.seed << " in " << seconds
            << " s: " << summary.sequences << " answers, " << summary.tokens << " tokens, " << summary.blocks
            << " blocks of keys and values, " << summary.differing
            << " differences\nshare of tokens from steps that gave one to:\n";
  constexpr std::array<std::string_view, batch_classes.size()> classes{"1 answer", "2 to 8 answers", "9 to 64 answers",
                                                                       "65 to 255 answers", "256 answers or more"};
  for (std::size_t i = 0; i < classes.size(); ++i) {
    std::cout << std::setw(7) << share(summary.tokens_by_batch[i], summary.tokens) << " %  " << classes[i] << "\n";
  }
  std::cout << "share of cases with:\n";
  for (const auto& [feature, cases] : summary.features) {
    std::cout << std::setw(7) << share(cases, summary.cases) << " %  " << feature << "\n";
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
              << (options.kind() == DeviceKind::cuda ? " --device cuda" : "")
              << (options.defect.empty() ? "" : " --break " + options.defect) << "\n";
  };
  if (options.only) {
    if (!options.json) std::cout << property.describe(*options.only);
    run_one(*options.only);
    return summary;
  }
  for (std::uint64_t i = 0; i < options.cases_max() && !progress.is_time_up(); ++i) {
    run_one(i);
    progress.show(summary);
    if (summary.differing < Summary::differences_max) continue;
    std::cerr << "bits: stopped after " << summary.cases << " cases, enough is wrong\n";
    break;
  }
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
  const auto defects = defects_of(options.kind());
  if (!options.defect.empty() && std::ranges::find(defects, options.defect, &Defect::name) == defects.end()) {
    std::cerr << "bits: --device " << options.device << " has no defect \"" << options.defect << "\"; see bits --help\n";
    return 2;
  }
  if (options.kind() == DeviceKind::cuda) {
    troupe::kernels::DeviceOptions wish;
    wish.wish = troupe::kernels::DeviceWish::cuda;
    if (const auto opened = troupe::kernels::open_device(wish); !opened) {
      std::cerr << "bits: " << opened.error().message << "\n";
      return 3;
    }
    break_gpu(options.defect);
  }
  Progress progress(options);
  const Summary summary = run(options, progress);
  print(summary, options, progress.seconds());
  return summary.differing == 0 ? 0 : 1;
}
