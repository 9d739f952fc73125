// Runs the Bits property (tests/support/bits.hpp) with any seed, for any number of cases or seconds.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
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
#include "tests/bits/campaign.hpp"
#include "tests/bits/jobs.hpp"
#include "tests/bits/summary_json.hpp"
#include "tests/support/broken_kernels.hpp"
#ifdef TROUPE_CUDA
#include "tests/gpu/broken_launchers.hpp"
#endif

namespace {

using namespace troupe::tests::bits;
using troupe::kernels::DeviceKind;
using troupe::tests::Defect;

constexpr std::uint64_t cases_without_a_clock = 1000;
constexpr std::size_t jobs_max = 256;
constexpr int no_gpu_status = 3;

struct Options {
  Campaign campaign;
  std::optional<std::uint64_t> cases;
  std::optional<std::uint64_t> only;
  std::string device = "cpu";
  std::size_t jobs = 1;
  bool json = false;
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
  std::string defects = "With kernels that are wrong on purpose; the exit status should then be 1. On a CPU";
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::cuda}) {
    if (kind == DeviceKind::cuda) defects += "\non a GPU";
    for (const Defect& defect : defects_of(kind)) {
      defects += "\n  " + std::string(defect.name) + ": " + std::string(defect.what);
    }
  }
  app.footer(
      "The exit status is 0 if nothing differs, 1 if something does, 2 if the options are wrong, 3 without a GPU for --device "
      "cuda; higher if a process died.\n"
      "A token counts if it is of an answer and was compared with all of its logits; tokens of prompts do not, but their keys\n"
      "and values are in the blocks that are compared. SIGTERM and SIGINT end it after the cases under way, with a summary.");
  app.add_option("--cases", options.cases,
                 "How many cases to run (default " + std::to_string(cases_without_a_clock) + ", or any number with --seconds)");
  app.add_option("--seconds", options.campaign.seconds, "After which no other case begins")->check(CLI::PositiveNumber);
  app.add_option("--jobs", options.jobs, "Processes that share the cases")
      ->check(CLI::Range(std::size_t{1}, jobs_max))
      ->capture_default_str();
  app.add_option("--seed", options.campaign.seed, "Of requests and schedules")->capture_default_str();
  app.add_option("--case", options.only, "Only this case of the seed, with its schedule");
  app.add_option("--break", options.campaign.defect, defects);
  app.add_option("--device", options.device, "cpu, or cuda: on a Hopper GPU, with models that its kernels compute")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  app.add_flag(
      "--json", options.json,
      "One JSON object on standard output: cases, sequences, tokens, tokens_by_batch (in steps that gave a token to 1, "
      "2 to 8, 9 to 64, 65 to 255, and more answers), blocks, steps, differing, features (how many cases had each), "
      "seed, jobs, seconds");
}

/// Says how far it is once it takes over two seconds: every second on a terminal, else every ten.
class Progress {
 public:
  explicit Progress(const Options& options) : options_(options) {}

  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  void show(const Summary& summary) {
    if (seconds() < next_) return;
    next_ = seconds() + (is_terminal_ ? 1 : 10);
    std::cerr << "bits: " << std::fixed << std::setprecision(0) << seconds() << " s, " << summary.cases;
    if (options_.cases) std::cerr << " of " << *options_.cases;
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

void print(const Summary& summary, const Options& options, double seconds) {
  if (options.json) {
    nlohmann::json json = to_json(summary);
    json["seed"] = options.campaign.seed;
    json["jobs"] = options.jobs;
    json["seconds"] = seconds;
    std::cout << json << "\n";
    return;
  }
  std::cout << std::fixed << std::setprecision(1) << summary.cases << " cases of seed " << options.campaign.seed << " in "
            << seconds << " s: " << summary.sequences << " answers, " << summary.tokens << " tokens, " << summary.blocks
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

/// In the process that computes. What the campaign found is told; the result is its exit status.
int work(const Options& options, const Job& job, const std::function<void(const Summary&)>& tell) {
  std::signal(SIGINT, [](int) { stop_campaign(); });
  std::signal(SIGTERM, [](int) { stop_campaign(); });
  if (options.campaign.kind == DeviceKind::cuda) {
    troupe::kernels::DeviceOptions wish;
    wish.wish = troupe::kernels::DeviceWish::cuda;
    if (const auto opened = troupe::kernels::open_device(wish); !opened) {
      if (job.index == 0) std::cerr << "bits: " << opened.error().message << "\n";
      return no_gpu_status;
    }
  }
  return run_campaign(options.campaign, job, tell).differing == 0 ? 0 : 1;
}

int run_only(const Options& options, std::uint64_t number) {
  Property property(options.campaign.seed, options.campaign.defect, options.campaign.kind);
  if (!options.json) std::cout << property.describe(number);
  const CaseResult result = property.run(number);
  for (const std::string& difference : result.differences) std::cerr << "bits: " << difference << "\n";
  Summary summary;
  summary.add(result);
  print(summary, options, 0);
  return result.differences.empty() ? 0 : 1;
}

int run_all(const Options& options) {
  Progress progress(options);
  JobsEnd end;
  if (options.jobs == 1) {
    end.status = work(options, {}, [&](const Summary& summary) {
      end.summary = summary;
      progress.show(summary);
    });
  } else {
    std::signal(SIGINT, [](int) { stop_campaign(); });
    std::signal(SIGTERM, [](int) { stop_campaign(); });
    end = run_jobs(
        options.jobs, [&](const Job& job, const auto& tell) { return work(options, job, tell); },
        [&](const Summary& summary) { progress.show(summary); });
  }
  if (end.status == no_gpu_status) return end.status;
  if (end.status > 1) std::cerr << "bits: a process ended with status " << end.status << "; this is what is known until then\n";
  print(end.summary, options, progress.seconds());
  return end.status;
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
  options.campaign.kind = options.device == "cuda" ? DeviceKind::cuda : DeviceKind::cpu;
  const std::string& defect = options.campaign.defect;
  if (!defect.empty() &&
      std::ranges::find(defects_of(options.campaign.kind), defect, &Defect::name) == defects_of(options.campaign.kind).end()) {
    std::cerr << "bits: --device " << options.device << " has no defect " << defect << "; see bits --help\n";
    return 2;
  }
  if (options.campaign.kind == DeviceKind::cuda) break_gpu(defect);
  if (!options.cases && !options.campaign.seconds) options.cases = cases_without_a_clock;
  options.campaign.cases = options.cases.value_or(std::numeric_limits<std::uint64_t>::max());
  return options.only ? run_only(options, *options.only) : run_all(options);
}
