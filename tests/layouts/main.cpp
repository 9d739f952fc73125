// Runs random layouts (layout.hpp), as many as one likes.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/layouts/blocks.hpp"
#include "tests/layouts/processes.hpp"
#include "tests/layouts/summary.hpp"
#include "tests/support/temporary_folder.hpp"

namespace {

using namespace troupe::tests::layouts;

constexpr std::uint64_t bad_layouts_max = 10;
constexpr std::uint64_t layouts_per_process = 20;  // of real processes one, unless said otherwise

struct Options {
  std::uint64_t count = 200;
  std::uint64_t seed = 1;
  std::optional<std::uint64_t> only;
  std::optional<std::uint64_t> processes;
  std::uint64_t blocks = 0;
  Defect defect = Defect::none;
  bool json = false;
};

const std::map<std::string, Defect> defects{{"arrival-order", Defect::arrival_order},
                                            {"unverified-block", Defect::unverified_block}};

/// Describes the options; what is parsed is written to `options`.
void add_options(CLI::App& app, Options& options) {
  app.footer("The exit status is 0 if nothing differs, 1 if something does, 2 if the options are wrong.");
  app.add_option("--count", options.count, "How many layouts to run")->capture_default_str();
  app.add_option("--seed", options.seed, "Of the layouts' seeds")->capture_default_str();
  app.add_option("--layout-seed", options.only, "Only the layout of this seed, and what it looks like");
  app.add_option("--processes", options.processes,
                 "How many of the layouts are real processes (default: every twentieth, none with --layout-seed or --defect)");
  app.add_option("--blocks", options.blocks,
                 "No layouts: caches ask for blocks until so many that came were wrong, in memory, on disks and on their way");
  app.add_option("--defect", options.defect,
                 "With something wrong on purpose; the exit status should then be 1:\n"
                 "  arrival-order: a layer adds the results of its experts in the order in which they come\n"
                 "  unverified-block: a cache takes whatever comes as the block that it asked for")
      ->transform(CLI::Transformer(defects));
  app.add_flag("--json", options.json, "One JSON object on standard output");
}

/// Says how far it is, now and then.
class Progress {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }
  void show(const std::string& what) {
    if (seconds() < next_) return;
    const bool terminal = isatty(STDERR_FILENO) != 0;
    next_ = seconds() + (terminal ? 1 : 10);
    std::cerr << "layouts: " << what << (terminal ? "\r" : "\n") << std::flush;
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  double next_ = 2;
};

class Runner {
 public:
  explicit Runner(const Options& options) : options_(options) {}

  void run_all() {
    std::vector<std::uint64_t> seeds;
    for (std::uint64_t i = 0; i < options_.count; ++i) seeds.push_back(layout_seed(options_.seed, i));
    if (options_.only) seeds = {*options_.only};
    const bool alone = options_.only || options_.defect != Defect::none;
    const std::uint64_t processes = options_.processes.value_or(alone ? 0 : seeds.size() / layouts_per_process);
    const std::size_t in_process = seeds.size() - std::min<std::size_t>(seeds.size(), processes);
    for (std::size_t i = 0; i < in_process && bad_ < bad_layouts_max; ++i) {
      run(seeds[i]);
      progress_.show(std::to_string(summary_.layouts) + " of " + std::to_string(seeds.size()) + ", " +
                     std::to_string(summary_.streams) + " answers, " + std::to_string(summary_.differing) + " differ");
    }
    if (summary_.layouts < in_process) {
      std::cerr << "layouts: stopped after " << summary_.layouts << " layouts, enough is wrong\n";
    } else if (in_process < seeds.size()) {
      seeds.erase(seeds.begin(), seeds.begin() + static_cast<std::ptrdiff_t>(in_process));
      run_as_processes(seeds);
    }
  }

  void print() const {
    nlohmann::ordered_json object{{"layouts", summary_.layouts},     {"prompts", summary_.prompts.size()},
                                  {"streams", summary_.streams},     {"tokens", summary_.tokens},
                                  {"differing", summary_.differing}, {"complaints", summary_.complaints},
                                  {"seed", options_.seed},           {"seconds", progress_.seconds()}};
    for (const auto& [what, times] : summary_.happened) object["happened"][std::string(what)] = times;
    if (options_.json) {
      std::cout << object.dump() << "\n";
      return;
    }
    std::cout << std::fixed << std::setprecision(1) << summary_.layouts << " layouts in " << progress_.seconds()
              << " s: " << summary_.streams << " answers to " << summary_.prompts.size() << " prompts, " << summary_.tokens
              << " tokens, " << summary_.differing << " differ, " << summary_.complaints << " complaints\n";
    for (const auto& [what, times] : summary_.happened) std::cout << std::setw(9) << times << "  " << what << "\n";
  }

  bool all_is_well() const { return summary_.complaints == 0; }

 private:
  void run(std::uint64_t layout_seed) {
    const Layout layout = draw_layout(layout_seed, prompts_);
    const auto outcome = run_layout(layout, prompts_, options_.defect);
    summary_.add(layout, outcome);
    const bool tells = options_.only || !outcome.complaints.empty();
    if (tells) std::cerr << describe(layout, prompts_);
    if (outcome.complaints.empty()) return;
    ++bad_;
    for (const std::string& complaint : outcome.complaints) std::cerr << "layouts: " << complaint << "\n";
    std::cerr << "layouts: to repeat: dev/layouts --layout-seed " << layout_seed;
    for (const auto& [name, defect] : defects) {
      if (defect == options_.defect) std::cerr << " --defect " << name;
    }
    std::cerr << "\n";
  }

  void run_as_processes(const std::vector<std::uint64_t>& seeds) {
    if (options_.only) std::cerr << draw_processes(seeds.front()).layout;
    const auto chaos = run_processes(seeds);
    if (!chaos) {
      std::cerr << "layouts: " << chaos.error().message << "\n";
      ++summary_.complaints;
      return;
    }
    summary_.layouts += seeds.size();
    summary_.streams += chaos->turns;
    summary_.differing += chaos->differing;
    summary_.complaints += chaos->differing + chaos->lost + chaos->doubled;
    summary_.happened["layouts of processes"] = seeds.size();
    summary_.happened["layouts of processes with experts apart"] =
        static_cast<std::uint64_t>(std::ranges::count_if(seeds, [](std::uint64_t seed) {
          const auto cluster = draw_processes(seed);
          return cluster.setups.size() > 1 && !cluster.placement.empty();
        }));
    summary_.happened["answers of processes"] = chaos->turns;
    summary_.happened["kills of processes"] = chaos->kills;
    summary_.happened["drains of processes"] = chaos->drains;
  }

  Options options_;
  Prompts prompts_;
  Summary summary_;
  std::uint64_t bad_ = 0;
  Progress progress_;
};

/// True if all is well.
bool run_blocks(const Options& options) {
  const troupe::tests::TemporaryFolder folder;
  Prompts prompts;
  WrongBlocks wrong(prompts, options.seed, folder.path(), options.defect != Defect::unverified_block);
  const BlocksSummary& summary = wrong.summary();
  Progress progress;
  while (summary.blocks < options.blocks && summary.complaints.size() < bad_layouts_max) {
    wrong.ask();
    progress.show(std::to_string(summary.blocks) + " of " + std::to_string(options.blocks) + " wrong blocks, " +
                  std::to_string(summary.refused) + " refused");
  }
  for (const std::string& complaint : summary.complaints) std::cerr << "layouts: " << complaint << "\n";
  nlohmann::ordered_json object{{"blocks", summary.blocks},
                                {"served_wrong", summary.served_wrong},
                                {"refused", summary.refused},
                                {"right", summary.right},
                                {"refused_right", summary.refused_right},
                                {"asks", summary.asks},
                                {"answers", summary.answers},
                                {"differing", summary.differing},
                                {"seed", options.seed},
                                {"seconds", progress.seconds()},
                                {"kinds", summary.kinds}};
  if (options.json) {
    std::cout << object.dump() << "\n";
  } else {
    for (const auto& [name, value] : object.items()) std::cout << name << ' ' << value << '\n';
  }
  return summary.complaints.empty();
}

}  // namespace

int main(int count, char** values) {
  Options options;
  CLI::App app("Answers prompts in random layouts of a cluster and demands the same bits from all of them.", "layouts");
  add_options(app, options);
  try {
    app.parse(count, values);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (options.blocks > 0) return run_blocks(options) ? 0 : 1;
  Runner runner(options);
  runner.run_all();
  runner.print();
  return runner.all_is_well() ? 0 : 1;
}
