// troupe bench fabric: how fast bulk bytes cross from one process to another.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/fabric.hpp"
#include "bench/fabric_nccl.hpp"
#include "cli/command.hpp"

namespace troupe::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr double mark_20_mib = 0.6;  ///< of UCX alone
constexpr double mark_64_mib = 0.8;
constexpr std::size_t mebibyte = std::size_t{1} << 20;

struct FabricCommand {
  bench::FabricBenchOptions measure;
  std::string transport = "ucx";
  int device = 0;
  bool json = false;
};

double microseconds(Duration time) { return std::chrono::duration<double, std::micro>(time).count(); }

void print(const bench::FabricBenchResult& result) {
  std::printf("GB/s, and the share of UCX alone (marks: %.1f at 20 MiB, %.1f at 64 MiB) and of a socket over loopback\n\n",
              mark_20_mib, mark_64_mib);
  for (const bench::FabricBandwidth& measured : result.bandwidth) {
    std::printf("%6.1f MiB  UCX alone %.2f  socket %.2f\n", static_cast<double>(measured.bytes) / static_cast<double>(mebibyte),
                measured.raw / 1e9, measured.tcp / 1e9);
    for (const auto& [name, rate] :
         {std::pair("messages", measured.messages), {"gets", measured.gets}, {"puts", measured.puts}}) {
      std::printf("            %-9s %.2f  %.2f of UCX alone  %.2f of the socket\n", name, rate / 1e9, measured.of_raw(rate),
                  measured.of_tcp(rate));
    }
  }
  std::printf("\nthere and back, microseconds (UCX alone never sleeps)\n\n");
  for (const bench::FabricLatency& measured : result.latency) {
    std::printf("%8zu B  median %7.1f  99th percentile %7.1f   UCX alone %7.1f  %7.1f\n", measured.bytes,
                microseconds(measured.median), microseconds(measured.p99), microseconds(measured.raw_median),
                microseconds(measured.raw_p99));
  }
}

Json describe(const bench::FabricBenchOptions& options, const bench::FabricBenchResult& result) {
  Json object{{"transports", options.transports}, {"transfers", options.transfers}, {"round_trips", options.round_trips},
              {"rounds", options.rounds},         {"mark_20_mib", mark_20_mib},     {"mark_64_mib", mark_64_mib}};
  for (const bench::FabricBandwidth& measured : result.bandwidth) {
    object["bandwidth"].push_back({{"bytes", measured.bytes},
                                   {"raw_bytes_per_second", measured.raw},
                                   {"socket_bytes_per_second", measured.tcp},
                                   {"messages_bytes_per_second", measured.messages},
                                   {"gets_bytes_per_second", measured.gets},
                                   {"puts_bytes_per_second", measured.puts},
                                   {"messages_of_raw", measured.of_raw(measured.messages)},
                                   {"gets_of_raw", measured.of_raw(measured.gets)},
                                   {"puts_of_raw", measured.of_raw(measured.puts)}});
  }
  for (const bench::FabricLatency& measured : result.latency) {
    object["round_trips_us"].push_back({{"bytes", measured.bytes},
                                        {"p50", microseconds(measured.median)},
                                        {"p99", microseconds(measured.p99)},
                                        {"raw_p50", microseconds(measured.raw_median)},
                                        {"raw_p99", microseconds(measured.raw_p99)}});
  }
  return object;
}

void print(const std::vector<bench::NcclBandwidth>& result) {
  std::printf("GB/s, and the share of NCCL alone (marks: %.1f at 20 MiB, %.1f at 64 MiB)\n\n", mark_20_mib, mark_64_mib);
  for (const bench::NcclBandwidth& measured : result) {
    std::printf("%6.1f MiB  NCCL alone %.2f  gets %.2f, %.2f of it  puts %.2f, %.2f of it\n",
                static_cast<double>(measured.bytes) / static_cast<double>(mebibyte), measured.plain / 1e9, measured.gets / 1e9,
                measured.of_plain(measured.gets), measured.puts / 1e9, measured.of_plain(measured.puts));
  }
}

Json describe(const bench::NcclBenchOptions& options, const std::vector<bench::NcclBandwidth>& result) {
  Json object{{"transport", "nccl"},      {"device", options.device},   {"transfers", options.transfers},
              {"rounds", options.rounds}, {"mark_20_mib", mark_20_mib}, {"mark_64_mib", mark_64_mib}};
  for (const bench::NcclBandwidth& measured : result) {
    object["bandwidth"].push_back({{"bytes", measured.bytes},
                                   {"plain_bytes_per_second", measured.plain},
                                   {"gets_bytes_per_second", measured.gets},
                                   {"puts_bytes_per_second", measured.puts},
                                   {"gets_of_plain", measured.of_plain(measured.gets)},
                                   {"puts_of_plain", measured.of_plain(measured.puts)}});
  }
  return object;
}

void tell_progress(const std::string& what) { std::cerr << "measuring " << what << "\n"; }

Result<int> run_nccl(const FabricCommand& command) {
  bench::NcclBenchOptions options;
  options.transfers = command.measure.transfers;
  options.rounds = command.measure.rounds;
  options.transports = command.measure.transports;
  options.device = command.device;
  TROUPE_TRY(const auto result, bench::bench_nccl(options, tell_progress));
  if (command.json) {
    std::cout << describe(options, result).dump(2) << '\n';
  } else {
    print(result);
  }
  return 0;
}

Result<int> run(const FabricCommand& command) {
  if (command.transport == "nccl") return run_nccl(command);
  TROUPE_TRY(const auto result, bench::bench_fabric(command.measure, tell_progress));
  if (command.json) {
    std::cout << describe(command.measure, result).dump(2) << '\n';
  } else {
    print(result);
  }
  return 0;
}

}  // namespace

void add_bench_fabric(CLI::App& bench, Action& action) {
  auto options = std::make_shared<FabricCommand>();
  CLI::App& command = *bench.add_subcommand("fabric", "Bulk bytes from one process to another, against the transport alone");
  command.footer(
      "Forks a second process for the other end.\n"
      "Examples:\n"
      "  troupe bench fabric\n"
      "  troupe bench fabric --transport nccl\n"
      "  troupe bench fabric --transports tcp --json");
  command
      .add_option(
          "--transport", options->transport,
          "ucx: host memory, against UCX alone and a socket; nccl: memory of a GPU that both processes share, against NCCL "
          "alone")
      ->check(CLI::IsMember({"ucx", "nccl"}))
      ->capture_default_str();
  command.add_option("--device", options->device, "With --transport nccl: CUDA's number of the GPU")
      ->check(CLI::Range(0, 63))
      ->capture_default_str();
  command.add_option("--transports", options->measure.transports, "Which of UCX's transports may be used, as in UCX_TLS")
      ->capture_default_str();
  command.add_option("--transfers", options->measure.transfers, "Transfers of each large size in a round")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--round-trips", options->measure.round_trips, "Messages of each small size in a round")
      ->check(CLI::Range(10, 1000000))
      ->capture_default_str();
  command.add_option("--rounds", options->measure.rounds, "Rounds; each number is their median")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  command.add_flag("--json", options->json, "One JSON object");
  command.callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace troupe::cli
