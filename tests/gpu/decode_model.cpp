#include "tests/gpu/decode_model.hpp"

#include <cmath>

namespace troupe::kernels::cuda {

namespace {

constexpr int positions_per_span = 128;  // attention_tile_span
constexpr double rope_base = 10000;

std::size_t product_of(int left, int right) { return static_cast<std::size_t>(left) * static_cast<std::size_t>(right); }

int qkv_width(const DecodeShape& shape) { return (shape.heads + 2 * shape.kv_heads) * shape.head_dim; }

DecodeShape completed(DecodeShape shape) {
  shape.epsilon = 1e-5f;
  shape.scale = 1 / std::sqrt(static_cast<float>(shape.head_dim));
  return shape;
}

Matrix random_matrix(int outputs, int inputs, std::uint32_t seed) {
  return {outputs, inputs, seed, 2 / std::sqrt(static_cast<float>(inputs))};
}

DeviceArray<float> random_norm(int width, std::uint32_t seed) {
  std::vector<float> weights;
  for (int i = 0; i < width; ++i) weights.push_back(1 + 0.2f * noise(static_cast<std::uint64_t>(i), seed));
  return DeviceArray<float>(weights);
}

LayerWeights random_layer(const DecodeShape& shape, bool query_key_norms, std::uint32_t seed) {
  LayerWeights layer{random_matrix(qkv_width(shape), shape.hidden, seed + 1),
                     random_matrix(shape.hidden, shape.heads * shape.head_dim, seed + 2),
                     random_matrix(2 * shape.intermediate, shape.hidden, seed + 3),
                     random_matrix(shape.hidden, shape.intermediate, seed + 4),
                     random_norm(shape.hidden, seed + 5),
                     random_norm(shape.hidden, seed + 6),
                     std::nullopt,
                     std::nullopt};
  if (query_key_norms) {
    layer.query_norm = random_norm(shape.head_dim, seed + 7);
    layer.key_norm = random_norm(shape.head_dim, seed + 8);
  }
  return layer;
}

DecodeLayer pointers_of(const LayerWeights& layer) {
  DecodeLayer pointers;
  pointers.qkv = layer.qkv.memory.data();
  pointers.attention_output = layer.attention_output.memory.data();
  pointers.gate_up = layer.gate_up.memory.data();
  pointers.down = layer.down.memory.data();
  pointers.attention_norm = layer.attention_norm.data();
  pointers.feed_forward_norm = layer.feed_forward_norm.data();
  pointers.query_norm = layer.query_norm ? layer.query_norm->data() : nullptr;
  pointers.key_norm = layer.key_norm ? layer.key_norm->data() : nullptr;
  return pointers;
}

/// [positions, head_dim / 2] of a function of the angle.
DeviceArray<float> rope_table(int positions, int head_dim, double (*function)(double)) {
  std::vector<float> table;
  for (int position = 0; position < positions; ++position)
    for (int i = 0; i < head_dim / 2; ++i) table.push_back(static_cast<float>(function(rope_angle(position, i, head_dim))));
  return DeviceArray<float>(table);
}

/// The rows that tiles of activations have room for.
int capacity_of(int rows) {
  int capacity = 8;
  while (capacity < rows) capacity *= 2;
  return capacity;
}

}  // namespace

double rope_angle(int position, int dimension, int head_dim) {
  return position * std::pow(rope_base, -2.0 * dimension / head_dim);
}

DecodeModel::DecodeModel(DecodeShape shape, bool query_key_norms, int positions)
    : shape_(completed(shape)),
      embedding_(shape.vocabulary, shape.hidden, 777, 1),
      output_projection_(random_matrix(shape.vocabulary, shape.hidden, 888)),
      final_norm_(random_norm(shape.hidden, 999)),
      cosine_(rope_table(positions, shape.head_dim, std::cos)),
      sine_(rope_table(positions, shape.head_dim, std::sin)) {
  std::vector<DecodeLayer> table;
  for (int layer = 0; layer < shape_.layers; ++layer) {
    layers_.push_back(random_layer(shape_, query_key_norms, static_cast<std::uint32_t>(10 * layer)));
    table.push_back(pointers_of(layers_.back()));
  }
  layer_table_ = DeviceArray<DecodeLayer>(table);
}

std::size_t DecodeModel::weight_bytes() const {
  std::size_t bytes = output_projection_.memory.bytes();
  for (const LayerWeights& layer : layers_) {
    for (const Matrix* matrix : {&layer.qkv, &layer.attention_output, &layer.gate_up, &layer.down})
      bytes += matrix->memory.bytes();
  }
  return bytes;
}

std::size_t DecodeModel::kv_bytes_per_position() const {
  return product_of(shape_.layers * 2, shape_.kv_heads * shape_.head_dim) * sizeof(bf16);
}

DecodeStep DecodeModel::step() const {
  DecodeStep step;
  step.shape = shape_;
  step.layers = layer_table_.data();
  step.embedding = embedding_.memory.data();
  step.output_projection = output_projection_.memory.data();
  step.final_norm = final_norm_.data();
  step.cosine = cosine_.data();
  step.sine = sine_.data();
  step.kv.layers = shape_.layers;
  step.kv.kv_heads = shape_.kv_heads;
  step.kv.head_dim = shape_.head_dim;
  return step;
}

DecodeBatch::DecodeBatch(const DecodeModel& model, int rows, int positions)
    : rows_(rows),
      vocabulary_(model.shape().vocabulary),
      blocks_each_(divided_up(positions, kv_block_positions)),
      step_(model.step()),
      kv_(product_of(rows, blocks_each_) * step_.kv.block_elements()),
      tokens_(static_cast<std::size_t>(rows)),
      positions_(static_cast<std::size_t>(rows)),
      blocks_(product_of(rows, blocks_each_)),
      spans_before_(static_cast<std::size_t>(rows) + 1),
      logits_(product_of(capacity_of(rows), vocabulary_)) {
  step_.span_capacity = rows * divided_up(positions, positions_per_span);
  workspace_ = DeviceArray<std::byte>(decode_workspace_bytes(step_.shape, capacity_of(rows), step_.span_capacity));
  kv_.fill_bytes(0xFF);
  // A step makes no assumption of what its workspace holds: here words that look unwritten, there ones that look written.
  workspace_.fill_bytes(rows % 2 == 0 ? 0xFF : 0);
  std::vector<std::int32_t> blocks;
  for (int i = 0; i < rows * blocks_each_; ++i) blocks.push_back(i);
  place_blocks(blocks);

  step_.rows = rows;
  step_.row_capacity = capacity_of(rows);
  step_.kv.data = kv_.data();
  step_.tokens = tokens_.data();
  step_.positions = positions_.data();
  step_.blocks = blocks_.data();
  step_.blocks_stride = blocks_each_;
  step_.spans_before = spans_before_.data();
  step_.logits = logits_.data();
  step_.workspace = workspace_.data();
}

void DecodeBatch::set(const std::vector<std::int32_t>& tokens, const std::vector<std::int32_t>& positions) {
  std::vector<std::int32_t> spans_before{0};
  for (const std::int32_t position : positions) spans_before.push_back(spans_before.back() + position / positions_per_span + 1);
  tokens_.write(tokens);
  positions_.write(positions);
  spans_before_.write(spans_before);
}

void DecodeBatch::set(const std::vector<int>& sequences, const std::vector<std::int32_t>& tokens,
                      const std::vector<std::int32_t>& positions) {
  std::vector<std::int32_t> blocks;
  for (const int sequence : sequences) {
    const auto first = placed_blocks_.begin() + static_cast<std::ptrdiff_t>(sequence) * blocks_each_;
    blocks.insert(blocks.end(), first, first + blocks_each_);
  }
  blocks_.write(blocks);
  step_.rows = static_cast<std::int32_t>(sequences.size());
  step_.row_capacity = capacity_of(step_.rows);
  set(tokens, positions);
}

std::vector<float> DecodeBatch::logits(int row) const {
  return logits_.read(product_of(row, vocabulary_), static_cast<std::size_t>(vocabulary_));
}

}  // namespace troupe::kernels::cuda
