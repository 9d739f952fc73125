#include "tests/gpu/moe_bench.hpp"

#include <cstdio>
#include <numeric>
#include <set>

#include "tests/gpu/moe_model.hpp"
#include "tests/gpu/timing.hpp"

namespace troupe::kernels::cuda {

namespace {

constexpr int row_counts[] = {1, 2, 4, 8, 9, 16, 32, 64, 256, 1024, 4096, 8192};
constexpr int layers_of_few_rows = 16;
constexpr int layers_of_many_rows = 3;

MoeSpeed measure_layer(const char* model, const MoeLayer& layer, int rows) {
  const MoeShape& shape = layer.shape();
  const int layers = rows <= 64 ? layers_of_few_rows : layers_of_many_rows;
  MoeBatch batch(layer, rows);
  std::vector<int> order(static_cast<std::size_t>(rows));
  std::iota(order.begin(), order.end(), 0);
  batch.set(random_moe_rows(shape, rows, 21), order);
  std::vector<DeviceArray<float>> logits;
  for (int i = 0; i < layers; ++i)
    logits.emplace_back(random_moe_rows(shape, rows, static_cast<std::uint32_t>(100 + 5 * i)).logits);

  const Stream stream;
  std::size_t experts = 0;
  for (const auto& each : logits) {
    batch.begin(stream.get(), each.data());
    const auto chosen = batch.experts();
    experts += std::set<std::int32_t>(chosen.begin(), chosen.end()).size();
  }
  const Graph graph(stream, [&](cudaStream_t captured) {
    for (const auto& each : logits) batch.begin(captured, each.data());
  });
  MoeSpeed speed{model, rows, static_cast<double>(experts) / layers, 0, 0, 0};
  speed.seconds = median_seconds(stream, [&] { graph.launch(stream); }) / layers;
  speed.bytes = speed.experts * layer.expert_bytes();
  speed.operations = layer.expert_bytes() * rows * shape.chosen;  // two for each weight, of two bytes
  return speed;
}

}  // namespace

void measure_moe(std::vector<MoeSpeed>& speeds) {
  std::fprintf(stderr, "gpu_kernels_bench: mixture of experts\n");
  const MoeLayer layer({2048, 768, 128, 8, true});  // Qwen3-30B-A3B
  for (const int rows : row_counts) speeds.push_back(measure_layer("30B-A3B", layer, rows));
}

}  // namespace troupe::kernels::cuda
