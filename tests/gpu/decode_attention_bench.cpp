#include "tests/gpu/decode_attention_bench.hpp"

#include <algorithm>
#include <cstdio>

#include "tests/gpu/attention_rows.hpp"
#include "tests/gpu/timing.hpp"

namespace troupe::kernels::cuda {

namespace {

constexpr double bytes_of_layers = 6e8;  ///< far more than the L2 cache holds
constexpr int layers_max = 48;
constexpr int plans_per_graph = 10;

struct Lengths {
  std::string words;
  std::vector<int> positions;
};

Lengths uniform(int rows, int length) {
  return {std::to_string(length), std::vector<int>(static_cast<std::size_t>(rows), length - 1)};
}
Lengths one_beside(int length, int rows, int others) {
  Lengths lengths = uniform(rows, others);
  lengths.positions[0] = length - 1;
  return {std::to_string(length) + " and " + std::to_string(others), lengths.positions};
}
/// Each a tenth shorter than the one before.
Lengths skewed(int rows, int longest) {
  Lengths lengths{"up to " + std::to_string(longest), {}};
  for (double length = longest; static_cast<int>(lengths.positions.size()) < rows; length = std::max(length * 0.9, 100.0))
    lengths.positions.push_back(static_cast<int>(length) - 1);
  return lengths;
}

DecodeAttentionSpeed measured(const AttentionShape& heads, const Lengths& lengths) {
  const auto rows_count = static_cast<int>(lengths.positions.size());
  int blocks = 0;
  int spans = 0;
  double positions = 0;
  for (const int position : lengths.positions) {
    blocks += divided_up(position + 1, kv_block_positions);
    spans += divided_up(position + 1, 128);
    positions += position + 1;
  }
  AttentionShape shape = heads;
  const double layer_bytes = positions * heads.kv_heads * heads.head_dim * 4;
  shape.layers = std::clamp(static_cast<int>(bytes_of_layers / layer_bytes), 2, layers_max);
  const int longest = *std::max_element(lengths.positions.begin(), lengths.positions.end()) + 1;
  AttentionRows rows(shape, rows_count, blocks, longest, spans * heads.kv_heads);
  rows.set(lengths.positions, 1);

  const Stream stream;
  rows.plan(stream.get());
  rows.attend(stream.get(), 0);  // what is loaded at the first use is not loaded while capturing
  check_cuda(cudaStreamSynchronize(stream.get()));
  DecodeAttentionSpeed speed{shape.head_dim, shape.heads(), shape.kv_heads, rows_count, lengths.words};
  const Graph plans(stream, [&](cudaStream_t captured) {
    for (int i = 0; i < plans_per_graph; ++i) rows.plan(captured);
  });
  speed.plan_seconds = median_seconds(stream, [&] { plans.launch(stream); }) / plans_per_graph;
  const int turns = divided_up(layers_max, shape.layers);  // so that what a graph begins with does not count
  const Graph graph(stream, [&](cudaStream_t captured) {
    for (int turn = 0; turn < turns; ++turn)
      for (int layer = 0; layer < shape.layers; ++layer) rows.attend(captured, layer);
  });
  speed.seconds = median_seconds(stream, [&] { graph.launch(stream); }) / (turns * shape.layers);
  speed.bytes = rows.bytes();
  return speed;
}

}  // namespace

void measure_decode_attention(std::vector<DecodeAttentionSpeed>& speeds) {
  std::fprintf(stderr, "gpu_kernels_bench: attention of decoding rows\n");
  constexpr int k = 1024;
  const std::vector<Lengths> all = {
      uniform(1, k),      uniform(1, 16 * k),
      uniform(1, 64 * k), uniform(8, k),
      uniform(8, 16 * k), uniform(32, k),
      uniform(32, 4 * k), uniform(32, 16 * k),
      uniform(64, 2 * k), uniform(128, k),
      uniform(256, k),    uniform(256, 4 * k),
      uniform(256, 100),  one_beside(64 * k, 256, 100),
      skewed(64, 32 * k),
  };
  for (const AttentionShape& heads : {AttentionShape{128, 8, 4}, AttentionShape{128, 4, 8}})
    for (const Lengths& lengths : all) speeds.push_back(measured(heads, lengths));
  for (const Lengths& lengths : {uniform(1, 16 * k), uniform(32, k), uniform(32, 4 * k), uniform(256, k), skewed(64, 32 * k)})
    speeds.push_back(measured({64, 8, 4}, lengths));
}

}  // namespace troupe::kernels::cuda
