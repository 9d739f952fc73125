// troupe bench stream: what the way of a token costs.
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "bench/stream.hpp"
#include "cli/command.hpp"
#include "cli/scratch_folder.hpp"

namespace troupe::cli {

namespace {

using Json = nlohmann::ordered_json;

// Marks: what a first prototype of the path reached, and what a reader should not notice.
constexpr double tokens_per_second_mark = 25000;
constexpr double first_token_mark_ms = 3;
constexpr double slow_reader_mark_bytes = 1 << 20;

struct StreamCommand {
  bench::StreamBenchOptions measure;
  std::string folder;
  bool json = false;
};

double milliseconds(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

void print(const bench::StreamBenchOptions& options, const bench::StreamBenchResult& result) {
  std::printf(
      "tokens/s: answers of %d tokens, as fast as they go; first token: answers of a token each %.0f ms.\n"
      "One event a token, acknowledged; everything durable with fsync.\n\n",
      options.tokens, milliseconds(options.pace));
  std::printf("streams   tokens/s   of the mark   first token: median      p99\n");
  for (const bench::StreamMeasurement& measured : result.measured) {
    std::printf("%7d %10.0f %13.2f %18.2f ms %8.2f ms\n", measured.streams, measured.tokens_per_second,
                measured.tokens_per_second / tokens_per_second_mark, milliseconds(measured.first_token_median),
                milliseconds(measured.first_token_p99));
  }
  std::printf("\n%d slow readers: %.0f KiB each, node and client together (mark: %.0f KiB)\n", options.slow_readers,
              static_cast<double>(result.slow_bytes) / options.slow_readers / 1024, slow_reader_mark_bytes / 1024);
}

Json describe(const bench::StreamBenchOptions& options, const bench::StreamBenchResult& result) {
  Json object{{"tokens", options.tokens},
              {"tokens_per_second_mark", tokens_per_second_mark},
              {"first_token_mark_ms", first_token_mark_ms}};
  for (const bench::StreamMeasurement& measured : result.measured) {
    object["streams"].push_back({{"streams", measured.streams},
                                 {"tokens_per_second", measured.tokens_per_second},
                                 {"first_token_p50_ms", milliseconds(measured.first_token_median)},
                                 {"first_token_p99_ms", milliseconds(measured.first_token_p99)}});
  }
  object["slow_readers"] = options.slow_readers;
  object["slow_reader_bytes"] = result.slow_bytes / static_cast<std::size_t>(options.slow_readers);
  object["slow_reader_mark_bytes"] = slow_reader_mark_bytes;
  return object;
}

Result<int> bench_stream(const StreamCommand& command) {
  TROUPE_TRY(const auto folder, ScratchFolder::make(command.folder));
  bench::StreamBenchOptions options = command.measure;
  options.folder = folder->path();
  TROUPE_TRY(const auto result,
             bench::bench_streams(options, [](const std::string& what) { std::cerr << "measuring " << what << "\n"; }));
  if (command.json) {
    std::cout << describe(options, result).dump(2) << '\n';
  } else {
    print(options, result);
  }
  return 0;
}

}  // namespace

void add_bench_stream(CLI::App& bench, Action& action) {
  auto options = std::make_shared<StreamCommand>();
  CLI::App& command = *bench.add_subcommand("stream", "The way of a token from a model that needs no time to a client");
  command.footer(
      "Starts a node, its gateway and clients in this process. The data folder is made in the temporary folder, or where "
      "--folder\n"
      "says: its disk decides what an fsync costs.\n"
      "Examples:\n"
      "  troupe bench stream\n"
      "  troupe bench stream --streams 1 --streams 64 --tokens 2000 --json");
  command.add_option("--streams", options->measure.streams, "Answers at once; may be repeated")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_option("--tokens", options->measure.tokens, "Tokens of an answer")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command.add_option("--answers", options->measure.answers, "Answers of a stream; the first is not measured")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  command.add_option("--slow-readers", options->measure.slow_readers, "Readers that pause at each event")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_option("--folder", options->folder, "Where the data folder is made")->check(CLI::ExistingDirectory);
  command.add_flag("--json", options->json, "One JSON object");
  command.callback([options, &action] { action = [options] { return bench_stream(*options); }; });
}

}  // namespace troupe::cli
