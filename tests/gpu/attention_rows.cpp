#include "tests/gpu/attention_rows.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace troupe::kernels::cuda {

namespace {

constexpr std::int32_t no_block = 1 << 28;

std::size_t product_of(int left, int right) { return static_cast<std::size_t>(left) * static_cast<std::size_t>(right); }

KvTiles tiles_of(const AttentionShape& shape) { return {nullptr, shape.layers, shape.kv_heads, shape.head_dim}; }

std::vector<std::int32_t> shuffled(std::size_t count, std::mt19937& random) {
  std::vector<std::int32_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

}  // namespace

AttentionRows::AttentionRows(const AttentionShape& shape, int rows, int kv_blocks, int positions_max, int entries)
    : shape_(shape),
      blocks_stride_(divided_up(positions_max, kv_block_positions)),
      kv_memory_(static_cast<std::size_t>(kv_blocks) * tiles_of(shape).block_elements()),
      queries_(product_of(rows, shape.width())),
      attended_(rows, shape.width()),
      row_memory_(static_cast<std::size_t>(rows)),
      block_memory_(product_of(rows, blocks_stride_)),
      shares_(static_cast<std::size_t>(decode_attention_blocks())),
      counters_(static_cast<std::size_t>(2 * decode_attention_blocks())),
      values_(product_of(entries, shape.group * shape.head_dim)),
      sums_(product_of(entries, shape.group)) {
  fill_noise(kv_memory_.data(), kv_memory_.count(), 1, 2);
  fill_noise(queries_.data(), queries_.count(), 2, 3);
  values_.fill_bytes(0xFF);
  sums_.fill_bytes(0xFF);
  decode_.queries = queries_.data();
  decode_.attended = attended_.tiles;
  decode_.kv = tiles_of(shape);
  decode_.kv.data = kv_memory_.data();
  decode_.heads = shape.heads();
  decode_.scale = 1 / std::sqrt(static_cast<float>(shape.head_dim));
  decode_.rows = row_memory_.data();
  decode_.row_count = rows;
  decode_.blocks = block_memory_.data();
  decode_.blocks_stride = blocks_stride_;
  decode_.workspace = {shares_.data(), counters_.data(), values_.data(), sums_.data(), entries};
}

void AttentionRows::set(const std::vector<int>& positions, unsigned seed) {
  std::mt19937 random(seed);
  const auto row_order = shuffled(positions.size(), random);
  const auto sequence_order = shuffled(positions.size(), random);
  auto free_blocks = shuffled(kv_memory_.count() / decode_.kv.block_elements(), random);
  rows_.clear();
  blocks_.assign(block_memory_.count(), no_block);
  fill_noise(kv_memory_.data(), kv_memory_.count(), 1, 2);
  for (std::size_t i = 0; i < positions.size(); ++i) {
    rows_.push_back({row_order[i], sequence_order[i], positions[i]});
    const int count = divided_up(positions[i] + 1, kv_block_positions);
    if (count > blocks_stride_ || static_cast<std::size_t>(count) > free_blocks.size())
      throw std::runtime_error("rows want more KV blocks than there are");
    std::copy(free_blocks.end() - count, free_blocks.end(),
              blocks_.begin() + std::ptrdiff_t{sequence_order[i]} * blocks_stride_);
    free_blocks.resize(free_blocks.size() - static_cast<std::size_t>(count));
    const int used = (positions[i] + 1) % kv_block_positions;
    if (used == 0) continue;
    const std::int32_t last = blocks_[product_of(sequence_order[i], blocks_stride_) + static_cast<std::size_t>(count) - 1];
    constexpr std::size_t row_bytes = panel_inputs * sizeof(bf16);
    check_cuda(cudaMemset2D(decode_.kv.head(last, 0, 0, 0) + used * panel_inputs, kv_block_positions * row_bytes, 0xFF,
                            static_cast<std::size_t>(kv_block_positions - used) * row_bytes,
                            decode_.kv.block_elements() / (kv_block_positions * panel_inputs)));
  }
  row_memory_.write(rows_);
  block_memory_.write(blocks_);
  check_cuda(cudaDeviceSynchronize());
}

void AttentionRows::attend(cudaStream_t stream, int layer) const {
  DecodeAttention arguments = decode_;
  arguments.layer = layer;
  check_cuda(decode_attention(stream, arguments));
}

void AttentionRows::prefill(cudaStream_t stream, int layer) const {
  std::vector<PrefillSequence> sequences(rows_.size());
  for (const DecodeRow& row : rows_) {
    if (row.position >= 0) sequences[static_cast<std::size_t>(row.sequence)] = {row.row, 1, row.position};
  }
  const DeviceArray<PrefillSequence> sequence_memory(sequences);
  const DeviceArray<PrefillTile> tiles(prefill_tiles(sequences, shape_.group));
  PrefillAttention arguments;
  arguments.queries = decode_.queries;
  arguments.attended = decode_.attended;
  arguments.kv = decode_.kv;
  arguments.layer = layer;
  arguments.heads = decode_.heads;
  arguments.scale = decode_.scale;
  arguments.sequences = sequence_memory.data();
  arguments.blocks = decode_.blocks;
  arguments.blocks_stride = blocks_stride_;
  arguments.tiles = tiles.data();
  arguments.tile_count = static_cast<std::int32_t>(tiles.count());
  check_cuda(prefill_attention(stream, arguments));
  check_cuda(cudaStreamSynchronize(stream));
}

std::vector<bf16> AttentionRows::output() const {
  const auto tiled = attended_.memory.read();
  std::vector<bf16> plain;
  plain.reserve(tiled.size());
  for (int row = 0; row < attended_.tiles.capacity; ++row)
    for (int i = 0; i < shape_.width(); ++i) plain.push_back(tiled[attended_.tiles.offset(row, i)]);
  return plain;
}

std::vector<double> AttentionRows::exact(const DecodeRow& row, int layer, int head) const {
  const auto head_dim = static_cast<std::size_t>(shape_.head_dim);
  const auto number = [](const bf16& element) { return static_cast<double>(__bfloat162float(element)); };
  const auto query = queries_.read(product_of(row.row * shape_.heads() + head, shape_.head_dim), head_dim);
  const auto elements = static_cast<std::size_t>(decode_.kv.head_elements());
  const auto read = [&](int position, int values) {
    const auto at = product_of(row.sequence, blocks_stride_) + static_cast<std::size_t>(position / kv_block_positions);
    const auto begin = decode_.kv.head(blocks_[at], layer, values, head / shape_.group) - decode_.kv.data;
    return kv_memory_.read(static_cast<std::size_t>(begin), elements);
  };
  std::vector<double> output(head_dim);
  double largest = -INFINITY;
  double sum = 0;
  for (int first = 0; first <= row.position; first += kv_block_positions) {
    const auto keys = read(first, 0);
    const auto values = read(first, 1);
    for (int position = first; position < std::min(first + kv_block_positions, row.position + 1); ++position) {
      double score = 0;
      for (std::size_t i = 0; i < head_dim; ++i)
        score += number(query[i]) * number(keys[static_cast<std::size_t>(KvTiles::place(position, static_cast<int>(i)))]);
      score *= static_cast<double>(decode_.scale);
      const double larger = std::max(largest, score);
      const double old_factor = std::exp(largest - larger);
      const double weight = std::exp(score - larger);
      largest = larger;
      sum = sum * old_factor + weight;
      for (std::size_t i = 0; i < head_dim; ++i) {
        const bf16& value = values[static_cast<std::size_t>(KvTiles::place(position, static_cast<int>(i)))];
        output[i] = output[i] * old_factor + weight * number(value);
      }
    }
  }
  for (double& element : output) element /= sum;
  return output;
}

double AttentionRows::bytes() const {
  double positions = 0;
  for (const DecodeRow& row : rows_) positions += row.position + 1;
  return positions * shape_.kv_heads * shape_.head_dim * 2 * sizeof(bf16);
}

}  // namespace troupe::kernels::cuda
