#include "tests/gpu/passes_bench.hpp"

#include <cmath>
#include <cstdio>

#include "tests/gpu/pass_model.hpp"
#include "tests/gpu/timing.hpp"

namespace troupe::kernels::cuda {

namespace {

constexpr int launches_per_run = 5;

std::size_t product_of(int left, int right) { return static_cast<std::size_t>(left) * static_cast<std::size_t>(right); }

/// Blocks one after another in strides, as a pool that has been in use for a while gives them: `count` is no multiple of 7.
std::vector<std::int32_t> scattered_blocks(int count) {
  std::vector<std::int32_t> blocks;
  for (int i = 0; i < count; ++i) blocks.push_back(i * 7 % count);
  return blocks;
}

/// The speed's shape is given; the rest is measured.
AttentionSpeed measured(AttentionSpeed speed) {
  const std::vector<PrefillSequence> sequences{{0, speed.rows, speed.context}};
  const int positions = speed.context + speed.rows;
  const int width = speed.heads * speed.head_dim;
  KvTiles kv{nullptr, 1, speed.kv_heads, speed.head_dim};
  const int block_count = divided_up(positions, kv_block_positions) / 7 * 7 + 8;
  const DeviceArray<bf16> kv_memory(static_cast<std::size_t>(block_count) * kv.block_elements());
  const DeviceArray<bf16> queries(product_of(speed.rows, width));
  fill_noise(kv_memory.data(), kv_memory.count(), 1, 1.7f);
  fill_noise(queries.data(), queries.count(), 2, 1.7f);
  kv.data = kv_memory.data();
  const Rows attended(speed.rows, width);
  const DeviceArray<PrefillSequence> sequence_memory(sequences);
  const DeviceArray<PrefillTile> tiles(prefill_tiles(sequences, speed.heads / speed.kv_heads));
  const DeviceArray<std::int32_t> blocks(scattered_blocks(block_count));

  PrefillAttention attention;
  attention.queries = queries.data();
  attention.attended = attended.tiles;
  attention.kv = kv;
  attention.heads = speed.heads;
  attention.scale = 1 / std::sqrt(static_cast<float>(speed.head_dim));
  attention.sequences = sequence_memory.data();
  attention.blocks = blocks.data();
  attention.blocks_stride = block_count;
  attention.tiles = tiles.data();
  attention.tile_count = static_cast<std::int32_t>(tiles.count());
  const Stream stream;
  const auto run = [&] {
    for (int i = 0; i < launches_per_run; ++i) check_cuda(prefill_attention(stream.get(), attention));
  };
  speed.seconds = median_seconds(stream, run) / launches_per_run;
  speed.operations = attention_operations(sequences[0], speed.heads, speed.head_dim);
  return speed;
}

struct PassKind {
  const char* model;
  DecodeShape shape;
  std::vector<int> rows;
};

PassSpeed measure_pass(const char* name, const DecodeModel& model, int rows) {
  PassBatch batch(model, rows, 1, rows);
  PassPart part;
  for (int row = 0; row < rows; ++row) part.tokens.push_back(row * 37 % model.shape().vocabulary);
  batch.set({part});
  const Stream stream;
  return {name, rows, median_seconds(stream, [&] { batch.run(stream.get()); }), batch.operations()};
}

}  // namespace

void measure_attention(std::vector<AttentionSpeed>& speeds) {
  std::fprintf(stderr, "gpu_kernels_bench: prefill attention\n");
  const AttentionSpeed shapes[] = {{128, 32, 8, 0, 8192}, {128, 32, 8, 30720, 2048}, {64, 32, 8, 0, 8192}};
  for (const AttentionSpeed& shape : shapes) speeds.push_back(measured(shape));
}

void measure_passes(std::vector<PassSpeed>& speeds) {
  // Logits are not measured, so that few tokens will do.
  const std::vector<PassKind> kinds = {
      {"8B", {32, 4096, 14336, 32, 8, 128, 1024}, {8192, 1024}},
      {"1B", {16, 2048, 8192, 32, 8, 64, 1024}, {8192}},
  };
  for (const PassKind& kind : kinds) {
    std::fprintf(stderr, "gpu_kernels_bench: passes with %s\n", kind.model);
    const DecodeModel model(kind.shape, false, kind.rows.front());
    for (const int rows : kind.rows) speeds.push_back(measure_pass(kind.model, model, rows));
  }
}

}  // namespace troupe::kernels::cuda
