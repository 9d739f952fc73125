// What the subcommands share: how one is added to the command line, which model and device the user meant, and progress.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "engine/options.hpp"
#include "kernels/cpu_device.hpp"
#include "model/fingerprint.hpp"

namespace troupe::cli {

/// What the chosen subcommand does after the command line is read; returns the exit status.
using Action = std::function<Result<int>()>;

// One function a subcommand: describes its options and sets `action` when it is chosen.
void add_generate(CLI::App& app, Action& action);
void add_model(CLI::App& app, Action& action);
/// Adds to the subcommand `model`.
void add_model_placement(CLI::App& model, Action& action);
void add_bench(CLI::App& app, Action& action);
// These add to the subcommand `bench`.
void add_bench_experts(CLI::App& bench, Action& action);
void add_bench_stream(CLI::App& bench, Action& action);
void add_bench_fabric(CLI::App& bench, Action& action);
void add_bench_prefix(CLI::App& bench, Action& action);
void add_bench_story(CLI::App& bench, Action& action);
void add_node(CLI::App& app, Action& action);
void add_ask(CLI::App& app, Action& action);
void add_chat(CLI::App& app, Action& action);
void add_history(CLI::App& app, Action& action);
void add_explain(CLI::App& app, Action& action);
void add_pin(CLI::App& app, Action& action);
void add_policy(CLI::App& app, Action& action);
void add_cluster(CLI::App& app, Action& action);
void add_corpus(CLI::App& app, Action& action);
void add_shadow(CLI::App& app, Action& action);
void add_eval(CLI::App& app, Action& action);
/// Adds to the subcommand `cluster`.
void add_cluster_drain(CLI::App& cluster, Action& action);

/// The folder of a model: a path, or the name of a bundled one (mini, medium, heavy), which is looked for in $TROUPE_PORTFOLIO,
/// in ./portfolio and beside the program. `not_found` says where it looked.
Result<std::filesystem::path> find_model(const std::string& name);

/// For an option that is a number of 64 bits: digits alone, taken as decimal however they begin.
CLI::Validator whole_number();
/// For an option of seconds, from 0 to a day, as a deadline may have.
CLI::Validator seconds_of_a_day();

/// Whether the standard output is a pipe whose reader has ended: what would be written there is of no use to anybody.
bool output_unread();
/// As a shell calls the end of a process that wrote to such a pipe.
inline constexpr int status_of_unread_output = 141;
/// The status, or `io` if what was written to the standard output did not all get there (a full disk); without a word if nobody
/// reads it.
Result<int> checked_output(Result<int> status);

/// Options of the device, the same for every subcommand that computes.
struct DeviceChoice {
  std::string device = "auto";
  int gpu = 0;
  std::string instruction_set;  ///< empty: the best there is
  int threads = 0;

  void add_to(CLI::App& command);
  /// Says on the error stream if there is a GPU that cannot be used, and goes on with the CPU unless a GPU was asked for.
  Result<std::unique_ptr<kernels::Device>> open() const;
  /// For what computes on CPUs only; `unsupported` if a GPU was asked for.
  Result<std::unique_ptr<kernels::CpuDevice>> open_cpu() const;

 private:
  kernels::CpuOptions cpu_options() const;
};

/// Options of the engine's size.
struct EngineChoice {
  std::int64_t kv_mebibytes = 0;
  std::int32_t context = 0;
  std::int32_t batch_tokens = 0;
  std::int32_t batch_sequences = 0;

  void add_to(CLI::App& command);
  /// For an engine on such a device.
  engine::EngineOptions options(kernels::DeviceKind kind) const;
};

/// "what: 42 %" on the error stream, only if it takes over two seconds.
model::Progress show_progress(std::string what);

}  // namespace troupe::cli
