#include "cli/command.hpp"

#include <poll.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <utility>
#include <vector>

#include "kernels/open_device.hpp"

namespace troupe::cli {

namespace {

constexpr auto patience = std::chrono::seconds(2);                     // shorter work shows no progress
constexpr auto interval_on_terminal = std::chrono::milliseconds(250);  // where a line is written over
constexpr auto interval_in_log = std::chrono::seconds(5);

}  // namespace

Result<std::filesystem::path> find_model(const std::string& name) {
  namespace fs = std::filesystem;
  constexpr const char* what_to_give = "; give a Hugging Face folder, or one of the bundled mini, medium, heavy";
  std::error_code ignored;
  if (name.empty()) return Error{ErrorCode::invalid_argument, std::string("the model's name is empty") + what_to_give};
  if (fs::is_directory(name, ignored)) return fs::path(name);
  if (fs::is_regular_file(name, ignored)) {
    return Error{ErrorCode::invalid_argument,
                 name + " is a file; a model is a folder with config.json, tokenizer.json and safetensors"};
  }
  if (name.find('/') != std::string::npos) return Error{ErrorCode::not_found, "there is no folder " + name};

  std::vector<fs::path> places;
  if (const char* portfolio = std::getenv("TROUPE_PORTFOLIO")) places.emplace_back(portfolio);
  places.emplace_back("portfolio");
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  for (const char* beside : {"../../portfolio", "../share/troupe/portfolio"}) {
    places.push_back((program.parent_path() / beside).lexically_normal());
  }
  std::string looked;
  for (const fs::path& place : places) {
    if (fs::is_regular_file(place / name / "config.json", ignored)) return place / name;
    looked += (looked.empty() ? "" : ", ") + (place / name).string();
  }
  return Error{ErrorCode::not_found, "there is no model " + name + " (looked for " + looked + ")" + what_to_give};
}

CLI::Validator whole_number() {
  return {[](std::string& text) -> std::string {
            std::uint64_t number = 0;
            const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
            if (error != std::errc() || stop != text.data() + text.size())
              return "\"" + text + "\" is no whole number from 0 to " + std::to_string(~std::uint64_t{0});
            text = std::to_string(number);  // a zero in front would make it octal
            return "";
          },
          ""};
}

CLI::Validator seconds_of_a_day() {
  return {[](std::string& text) -> std::string {
            constexpr double day = 86400;
            double seconds = -1;
            const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
            if (error == std::errc() && stop == text.data() + text.size() && seconds >= 0 && seconds <= day) return "";
            return "\"" + text + "\" is not from 0 to 86400 seconds";
          },
          ""};
}

bool output_unread() {
  pollfd output{STDOUT_FILENO, 0, 0};
  return ::poll(&output, 1, 0) > 0 && (output.revents & POLLERR) != 0;
}

Result<int> checked_output(Result<int> status) {
  std::cout.flush();
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good();
  if (!status || written) return status;
  if (output_unread()) return status_of_unread_output;
  return Error{ErrorCode::io, "cannot write to the standard output; is the disk full, or has its reader ended?"};
}

void DeviceChoice::add_to(CLI::App& command) {
  command
      .add_option(
          "--device", device,
          "What to compute on: auto (a Hopper GPU if there is one, else the CPU), cpu or cuda. Answers are the same within a "
          "kind, and close between them")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str()
      ->group("Machine");
  command.add_option("--gpu", gpu, "Which GPU, as nvidia-smi counts them")
      ->check(CLI::Range(0, 63))
      ->capture_default_str()
      ->group("Machine");
  command.add_option("--threads", threads, "Compute threads (0: one per processor)")
      ->check(CLI::Range(0, 1024))
      ->group("Machine");
  command
      .add_option("--isa", instruction_set,
                  "Instruction set: plain, avx2 or avx512 (default: the best here; the answer is the same)")
      ->check(CLI::IsMember({"plain", "avx2", "avx512"}))
      ->group("Machine");
}

Result<std::unique_ptr<kernels::Device>> DeviceChoice::open() const {
  kernels::DeviceOptions options;
  // Who says how the CPU should compute wants the CPU.
  const bool means_cpu = device == "cpu" || (device == "auto" && (threads != 0 || !instruction_set.empty()));
  options.wish = means_cpu          ? kernels::DeviceWish::cpu
                 : device == "cuda" ? kernels::DeviceWish::cuda
                                    : kernels::DeviceWish::automatic;
  options.gpu = gpu;
  options.cpu = cpu_options();
  TROUPE_TRY(kernels::OpenedDevice opened, kernels::open_device(options));
  if (!opened.why.empty()) std::fprintf(stderr, "troupe: computing on the CPU: %s\n", opened.why.c_str());
  return std::move(opened.device);
}

Result<std::unique_ptr<kernels::CpuDevice>> DeviceChoice::open_cpu() const {
  if (device == "cuda") {
    return Error{ErrorCode::unsupported, "this measures CPUs; what a GPU can do, dev/gpu measures on a machine that has one"};
  }
  return kernels::CpuDevice::create(cpu_options());
}

kernels::CpuOptions DeviceChoice::cpu_options() const {
  kernels::CpuOptions options;
  options.threads = threads;
  if (!instruction_set.empty()) options.instruction_set = kernels::instruction_set_named(instruction_set);
  return options;
}

void EngineChoice::add_to(CLI::App& command) {
  command.add_option("--kv-memory", kv_mebibytes, "Memory for keys and values, MiB (0: 512 on a CPU; on a GPU what is free)")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str()
      ->group("Engine");
  command.add_option("--context", context, "Longest prompt and answer together, tokens (0: what the model allows)")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str()
      ->group("Engine");
  command.add_option("--batch-tokens", batch_tokens, "Tokens computed in one step at most (0: 512 on a CPU, 8192 on a GPU)")
      ->check(CLI::Range(0, 1 << 16))
      ->capture_default_str()
      ->group("Engine");
  command.add_option("--batch-sequences", batch_sequences, "Answers under way at once at most (0: 64 on a CPU, 256 on a GPU)")
      ->check(CLI::Range(0, 1 << 12))
      ->capture_default_str()
      ->group("Engine");
}

engine::EngineOptions EngineChoice::options(kernels::DeviceKind kind) const {
  const bool on_gpu = kind == kernels::DeviceKind::cuda;
  const auto chosen = [on_gpu](std::int32_t said, std::int32_t cpu, std::int32_t gpu) {
    return said > 0 ? said : on_gpu ? gpu : cpu;
  };
  engine::EngineOptions options;
  options.kv_bytes = static_cast<std::size_t>(kv_mebibytes) << 20;
  options.context_max = context;
  options.batch.tokens_max = chosen(batch_tokens, 512, 8192);
  options.batch.chunk_tokens_max = options.batch.tokens_max;
  options.batch.sequences_max = chosen(batch_sequences, 64, 256);
  return options;
}

model::Progress show_progress(std::string what) {
  using Steady = std::chrono::steady_clock;
  return [what = std::move(what), begin = Steady::now(), last = Steady::time_point()](double done) mutable {
    const auto now = Steady::now();
    const bool shown = last != Steady::time_point();
    const bool terminal = isatty(STDERR_FILENO) != 0;
    const Steady::duration interval = terminal ? interval_on_terminal : interval_in_log;
    if (done >= 1) {
      if (shown) std::fprintf(stderr, terminal ? "\r%s: done          \n" : "%s: done\n", what.c_str());
      return;
    }
    if (now - begin < patience || (shown && now - last < interval)) return;
    last = now;
    std::fprintf(stderr, terminal ? "\r%s: %3.0f %%" : "%s: %.0f %%\n", what.c_str(), 100 * done);
    std::fflush(stderr);
  };
}

}  // namespace troupe::cli
