#include "tests/gpu/pass_model.hpp"

namespace troupe::kernels::cuda {

namespace {

std::size_t product_of(int left, int right) { return static_cast<std::size_t>(left) * static_cast<std::size_t>(right); }

int qkv_width(const DecodeShape& shape) { return (shape.heads + 2 * shape.kv_heads) * shape.head_dim; }

const float* data_of(const std::optional<DeviceArray<float>>& array) { return array ? array->data() : nullptr; }

}  // namespace

PassBatch::PassBatch(const DecodeModel& model, int rows_max, int sequences, int positions)
    : model_(model),
      step_(model.step()),
      blocks_each_(divided_up(positions, kv_block_positions)),
      kv_(product_of(sequences, blocks_each_) * step_.kv.block_elements()),
      x_(product_of(rows_max, step_.shape.hidden)),
      normed_(rows_max, step_.shape.hidden),
      squares_(product_of(normed_.tiles.capacity, divided_up(step_.shape.hidden, 16))),
      scales_(static_cast<std::size_t>(rows_max)),
      qkv_(product_of(rows_max, qkv_width(step_.shape))),
      queries_(product_of(rows_max, step_.shape.heads * step_.shape.head_dim)),
      attended_(rows_max, step_.shape.heads * step_.shape.head_dim),
      gated_(rows_max, step_.shape.intermediate),
      logits_(product_of(rows_max, step_.shape.vocabulary)) {
  kv_.fill_bytes(0xFF);
  step_.kv.data = kv_.data();
  for (int i = 0; i < sequences * blocks_each_; ++i) placed_blocks_.push_back(i);
}

void PassBatch::set(const std::vector<PassPart>& parts) {
  std::vector<std::int32_t> tokens;
  std::vector<std::int32_t> positions;
  std::vector<std::int32_t> part_of_row;
  std::vector<std::int32_t> blocks;
  parts_.clear();
  for (const PassPart& part : parts) {
    const auto rows = static_cast<std::int32_t>(part.tokens.size());
    for (std::int32_t i = 0; i < rows; ++i) {
      positions.push_back(part.first_position + i);
      part_of_row.push_back(static_cast<std::int32_t>(parts_.size()));
    }
    parts_.push_back({static_cast<std::int32_t>(tokens.size()), rows, part.first_position});
    tokens.insert(tokens.end(), part.tokens.begin(), part.tokens.end());
    const auto first_block = placed_blocks_.begin() + static_cast<std::ptrdiff_t>(part.sequence) * blocks_each_;
    blocks.insert(blocks.end(), first_block, first_block + blocks_each_);
  }
  rows_ = static_cast<int>(tokens.size());
  if (tokens.size() > scales_.count()) throw std::runtime_error("a pass has more rows than there is room for");
  tokens_ = DeviceArray<std::int32_t>(tokens);
  positions_ = DeviceArray<std::int32_t>(positions);
  part_of_row_ = DeviceArray<std::int32_t>(part_of_row);
  blocks_ = DeviceArray<std::int32_t>(blocks);
  sequences_ = DeviceArray<PrefillSequence>(parts_);
  tiles_ = DeviceArray<PrefillTile>(prefill_tiles(parts_, step_.shape.heads / step_.shape.kv_heads));
}

void PassBatch::run(cudaStream_t stream) const {
  const std::vector<LayerWeights>& layers = model_.layers();
  check_cuda(
      embed(stream, {model_.embedding().weights, tokens_.data(), rows_, residual(layers.front().attention_norm.data())}));
  for (int i = 0; i < step_.shape.layers; ++i) {
    const auto index = static_cast<std::size_t>(i);
    const LayerWeights& layer = layers[index];
    const bool last = index + 1 == layers.size();
    scale_norms(stream);
    multiply_normed(stream, layer.qkv.weights, qkv_.data());
    attend(stream, i);
    multiply_residual(stream, layer.attention_output.weights, attended_.tiles, layer.feed_forward_norm.data());
    scale_norms(stream);
    multiply_normed(stream, layer.gate_up.weights, nullptr);
    multiply_residual(stream, layer.down.weights, gated_.tiles,
                      last ? step_.final_norm : layers[index + 1].attention_norm.data());
  }
}

void PassBatch::run_logits(cudaStream_t stream) const {
  scale_norms(stream);
  multiply_normed(stream, model_.output_projection().weights, logits_.data());
}

std::vector<float> PassBatch::logits(int row) const {
  return logits_.read(product_of(row, step_.shape.vocabulary), static_cast<std::size_t>(step_.shape.vocabulary));
}

double PassBatch::operations() const {
  double operations = 0;
  for (const LayerWeights& layer : model_.layers()) {
    for (const Matrix* matrix : {&layer.qkv, &layer.attention_output, &layer.gate_up, &layer.down})
      operations += 2.0 * matrix->weights.outputs * matrix->weights.inputs * rows_;
    for (const PrefillSequence& part : parts_)
      operations += attention_operations(part, step_.shape.heads, step_.shape.head_dim);
  }
  return operations;
}

ResidualRows PassBatch::residual(const float* next_norm) const {
  return {x_.data(), next_norm, normed_.tiles, squares_.data(), step_.shape.hidden};
}

void PassBatch::scale_norms(cudaStream_t stream) const {
  check_cuda(norm_scales(stream, residual(nullptr), rows_, step_.shape.epsilon, scales_.data()));
}

void PassBatch::multiply_normed(cudaStream_t stream, const WeightTiles& weights, float* output) const {
  Product arguments;
  arguments.weight = weights;
  arguments.input = normed_.tiles;
  arguments.rows = rows_;
  arguments.row_scales = scales_.data();
  if (output == nullptr) {
    arguments.gated = gated_.tiles;
  } else {
    arguments.output = output;
    arguments.output_stride = weights.outputs;
  }
  check_cuda(product(stream, arguments));
}

void PassBatch::multiply_residual(cudaStream_t stream, const WeightTiles& weights, const RowTiles& input,
                                  const float* next_norm) const {
  Product arguments;
  arguments.weight = weights;
  arguments.input = input;
  arguments.rows = rows_;
  arguments.residual = residual(next_norm);
  check_cuda(product(stream, arguments));
}

void PassBatch::attend(cudaStream_t stream, int layer) const {
  const LayerWeights& weights = model_.layers()[static_cast<std::size_t>(layer)];
  RotateAppend rotation;
  rotation.qkv = qkv_.data();
  rotation.query_norm = data_of(weights.query_norm);
  rotation.key_norm = data_of(weights.key_norm);
  rotation.cosine = step_.cosine;
  rotation.sine = step_.sine;
  rotation.rows = rows_;
  rotation.heads = step_.shape.heads;
  rotation.epsilon = step_.shape.epsilon;
  rotation.positions = positions_.data();
  rotation.sequences = part_of_row_.data();
  rotation.blocks = blocks_.data();
  rotation.blocks_stride = blocks_each_;
  rotation.layer = layer;
  rotation.queries = queries_.data();
  rotation.kv = step_.kv;
  check_cuda(rotate_append(stream, rotation));

  PrefillAttention attention;
  attention.queries = queries_.data();
  attention.attended = attended_.tiles;
  attention.kv = step_.kv;
  attention.layer = layer;
  attention.heads = step_.shape.heads;
  attention.scale = step_.shape.scale;
  attention.sequences = sequences_.data();
  attention.blocks = blocks_.data();
  attention.blocks_stride = blocks_each_;
  attention.tiles = tiles_.data();
  attention.tile_count = static_cast<std::int32_t>(tiles_.count());
  check_cuda(prefill_attention(stream, attention));
}

double attention_operations(const PrefillSequence& sequence, int heads, int head_dim) {
  const double rows = sequence.rows;
  const double pairs = rows * sequence.first_position + rows * (rows + 1) / 2;
  return 4.0 * head_dim * heads * pairs;
}

}  // namespace troupe::kernels::cuda
