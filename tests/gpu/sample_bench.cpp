#include "tests/gpu/sample_bench.hpp"

#include <cstdio>
#include <optional>

#include "tests/gpu/sample_cases.hpp"
#include "tests/gpu/timing.hpp"

namespace troupe::kernels::cuda {

namespace {

constexpr int launches_per_run = 20;

struct Options {
  const char* name;
  RowSampling row;
  LogitKind kind = LogitKind::normal;
};
const std::vector<Options> all_options = {
    {"greedy", {}},
    {"greedy, 20 listed", {.log_probabilities = 20}},
    {"temperature 1", {.temperature = 1}},
    {"temperature 0.7", {.temperature = 0.7F}},
    {"top_k 50", {.temperature = 0.7F, .top_k = 50}},
    {"top_p 0.9", {.temperature = 0.7F, .top_p = 0.9F}},
    {"min_p 0.05", {.temperature = 0.7F, .min_p = 0.05F}},
    {"top_k 50, top_p 0.9", {.temperature = 0.7F, .top_k = 50, .top_p = 0.9F}},
    {"all, 20 listed", {.temperature = 0.7F, .top_k = 50, .top_p = 0.9F, .min_p = 0.05F, .log_probabilities = 20}},
    {"top_p 0.9, steep", {.temperature = 1, .top_p = 0.9F}, LogitKind::steep},
    {"top_p 0.9, few values", {.temperature = 1, .top_p = 0.9F}, LogitKind::few_values},
    {"top_p 0.9, flat", {.temperature = 1, .top_p = 0.9F}, LogitKind::flat},
};

/// Of a kind, of which each row is one of a few.
std::vector<float> rows_of_logits(LogitKind kind, int vocabulary, int rows) {
  constexpr int different_max = 4;
  std::vector<float> logits;
  for (int row = 0; row < rows; ++row) {
    if (row < different_max) {
      const auto own = random_logits(kind, static_cast<std::size_t>(vocabulary), static_cast<std::uint64_t>(row));
      logits.insert(logits.end(), own.begin(), own.end());
    } else {
      const std::size_t first = logits.size() - static_cast<std::size_t>(different_max) * static_cast<std::size_t>(vocabulary);
      for (std::size_t i = 0; i < static_cast<std::size_t>(vocabulary); ++i) logits.push_back(logits[first + i]);
    }
  }
  return logits;
}

double seconds_of(SampleBatch& batch, const RowSampling& options, int blocks_per_row) {
  std::vector<RowSampling> parameters(static_cast<std::size_t>(batch.rows()), options);
  for (std::size_t row = 0; row < parameters.size(); ++row) parameters[row].position = static_cast<std::int32_t>(row);
  batch.write_parameters(parameters);
  batch.set_blocks_per_row(blocks_per_row);
  const Stream stream;
  batch.run(stream.get());  // what is loaded at the first use is not loaded while capturing
  check_cuda(cudaStreamSynchronize(stream.get()));
  const Graph graph(stream, [&](cudaStream_t captured) {
    for (int i = 0; i < launches_per_run; ++i) batch.run(captured);
  });
  return median_seconds(stream, [&] { graph.launch(stream); }) / launches_per_run;
}

}  // namespace

void measure_sampling(std::vector<SampleSpeed>& speeds) {
  std::fprintf(stderr, "gpu_kernels_bench: sampling\n");
  for (const int vocabulary : {128256, sampled_vocabulary_max}) {
    for (const int rows : {1, 4, 32, 256}) {
      SampleBatch batch(rows, vocabulary, vocabulary);
      std::optional<LogitKind> kind;
      for (const Options& options : all_options) {
        if (kind != options.kind) batch.write_logits(rows_of_logits(options.kind, vocabulary, rows));
        kind = options.kind;
        for (const int blocks : {7, 8, 16})
          speeds.push_back({options.name, vocabulary, rows, blocks, seconds_of(batch, options.row, blocks)});
        if (vocabulary == sampled_vocabulary_max) break;  // greedy alone
      }
    }
  }
}

}  // namespace troupe::kernels::cuda
