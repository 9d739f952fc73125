#include "tests/gpu/sample_bench.hpp"

#include <cstdio>

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

/// Rows of the same kind that differ.
SampleSpeed measure(const Options& options, int vocabulary, int rows, int blocks_per_row) {
  SampleBatch batch(rows, vocabulary, vocabulary);
  constexpr int different = 4;
  std::vector<std::vector<float>> logits;
  for (int i = 0; i < different; ++i)
    logits.push_back(random_logits(options.kind, static_cast<std::size_t>(vocabulary), static_cast<std::uint64_t>(i)));
  std::vector<float> all;
  std::vector<RowSampling> parameters;
  for (int row = 0; row < rows; ++row) {
    const auto& own = logits[static_cast<std::size_t>(row % different)];
    all.insert(all.end(), own.begin(), own.end());
    parameters.push_back(options.row);
    parameters.back().position = row;
  }
  batch.write_logits(all);
  batch.write_parameters(parameters);
  batch.set_blocks_per_row(blocks_per_row);
  const Stream stream;
  batch.run(stream.get());
  check_cuda(cudaStreamSynchronize(stream.get()));
  const Graph graph(stream, [&](cudaStream_t captured) {
    for (int i = 0; i < launches_per_run; ++i) batch.run(captured);
  });
  const double seconds = median_seconds(stream, [&] { graph.launch(stream); }) / launches_per_run;
  return {options.name, vocabulary, rows, blocks_per_row, seconds};
}

}  // namespace

void measure_sampling(std::vector<SampleSpeed>& speeds) {
  std::fprintf(stderr, "gpu_kernels_bench: sampling\n");
  constexpr int vocabulary = 128256;
  for (const Options& options : all_options) {
    for (const int rows : {1, 4, 32, 256}) {
      for (const int blocks_per_row : {8, 16}) speeds.push_back(measure(options, vocabulary, rows, blocks_per_row));
    }
  }
  speeds.push_back(measure(all_options.front(), sampled_vocabulary_max, 1, 16));
  speeds.push_back(measure(all_options.back(), sampled_vocabulary_max, 256, 8));
}

}  // namespace troupe::kernels::cuda
