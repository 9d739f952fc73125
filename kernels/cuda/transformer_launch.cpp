// How a pass becomes kernels: which of them, in which order, and with which memory.
#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "kernels/cuda/pass_ends.hpp"
#include "kernels/cuda/rows.hpp"
#include "kernels/cuda/transformer_pass.hpp"

namespace troupe::kernels::cuda {

namespace {

constexpr int span_positions = 128;

using Bf16 = __nv_bfloat16;

WeightTiles tiles_of(const PackedMatrix& matrix) { return {data_of(matrix), matrix.outputs, matrix.inputs}; }

void check_launch(cudaError_t status) { check_device(status, "launching a pass"); }

}  // namespace

/// Puts one batch's kernels on the stream.
class Transformer::Launcher {
 public:
  Launcher(Transformer& transformer, Pass& pass, const TransformerBatch& batch)
      : self_(transformer),
        shape_(transformer.shape_),
        memory_(*transformer.buffers_),
        weights_(transformer.weights_),
        pass_(pass),
        batch_(batch),
        stream_(transformer.device_.stream().handle()),
        rows_(static_cast<std::int32_t>(batch.tokens.size())),
        sequences_(static_cast<std::int32_t>(batch.sequences.size())),
        logit_rows_(static_cast<std::int32_t>(batch.logit_rows.size())),
        blocks_stride_(divided_up(transformer.limits_.context_max, kv_block_positions)),
        layout_(rows_ <= decode_rows_max ? decode_rows_max : transformer.limits_.rows_max,
                rows_ <= decode_rows_max ? std::min(decode_rows_max, transformer.limits_.logit_rows_max)
                                         : transformer.limits_.logit_rows_max) {}

  void run() {
    TROUPE_CHECK(
        self_.chosen_before_ != nullptr || std::ranges::none_of(batch_.tokens, [](std::int32_t token) { return token < 0; }),
        "a token that was chosen before has a pass that chose it");
    describe();
    if (is_decoding()) {
      decode();
      choose();
    } else if (can_be_graph()) {
      self_.graphs_->run(self_.device_.stream(),
                         {pass_.results.data(), self_.chosen_before_, rows_, batch_.pool, batch_.wants_logits},
                         [this] { compute(); });
    } else {
      compute();
    }
    check_launch(end_pass(stream_, {pass_.results.as<SampledRow>(), pass_.host_results.as<SampledRow>(), logit_rows_,
                                    pass_.report.as<PassReport>(), ++pass_.begun_count}));
  }

 private:
  template <class T>
  T* host(std::size_t offset) const {
    return reinterpret_cast<T*>(pass_.host.as<std::byte>() + offset);
  }
  template <class T>
  T* device(std::size_t offset) const {
    return reinterpret_cast<T*>(pass_.device.as<std::byte>() + offset);
  }

  /// Tells the GPU what the batch is, while it computes the one before.
  void describe() {
    std::ranges::copy(batch_.tokens, host<std::int32_t>(layout_.tokens));
    auto* const positions = host<std::int32_t>(layout_.positions);
    auto* const row_sequences = host<std::int32_t>(layout_.row_sequences);
    auto* const spans_before = host<std::int32_t>(layout_.spans_before);
    auto* const sequences = host<PrefillSequence>(layout_.sequences);
    std::int32_t blocks_most = 1;
    spans_before[0] = 0;
    for (std::int32_t i = 0; i < sequences_; ++i) {
      const SequenceRows& sequence = batch_.sequences[static_cast<std::size_t>(i)];
      sequences[i] = {sequence.first_row, sequence.rows, sequence.first_position};
      for (std::int32_t row = 0; row < sequence.rows; ++row) {
        const std::int32_t at = sequence.first_row + row;
        positions[at] = sequence.first_position + row;
        row_sequences[at] = i;
        spans_before[at + 1] = spans_before[at] + positions[at] / span_positions + 1;
      }
      blocks_most = std::max(blocks_most, blocks_of(sequence));
    }
    spans_ = spans_before[rows_];
    auto* const blocks = pass_.host_blocks.as<std::int32_t>();
    for (std::int32_t i = 0; i < sequences_; ++i) {
      const SequenceRows& sequence = batch_.sequences[static_cast<std::size_t>(i)];
      std::copy_n(sequence.blocks, blocks_of(sequence), blocks + static_cast<std::ptrdiff_t>(i) * blocks_most);
    }
    std::ranges::copy(batch_.logit_rows, host<std::int32_t>(layout_.logit_rows));
    std::ranges::copy(batch_.samples, host<RowSampling>(layout_.samples));
    std::size_t bytes = layout_.bytes;
    if (!is_decoding()) {
      const std::vector<PrefillTile> tiles =
          prefill_tiles(take_single_rows({sequences, static_cast<std::size_t>(sequences_)}), group());
      tile_count_ = static_cast<std::int32_t>(tiles.size());
      std::ranges::copy(tiles, host<PrefillTile>(layout_.tiles));
      bytes += (tiles.size() * sizeof(PrefillTile) + 15) / 16 * 16;
    }
    TROUPE_CHECK(bytes <= pass_.host.bytes(), "a batch within the limits has its room");
    check_launch(begin_pass(
        stream_, {pass_.host.as<std::byte>(), pass_.device.as<std::byte>(), bytes, blocks, pass_.blocks.as<std::int32_t>(),
                  sequences_, blocks_most, blocks_stride_, pass_.report.as<PassReport>()}));
  }
  /// The rows of sequences that have one are listed by themselves; what is left for tiles are the other sequences.
  std::vector<PrefillSequence> take_single_rows(std::span<const PrefillSequence> sequences) {
    std::vector<PrefillSequence> others(sequences.begin(), sequences.end());
    auto* const rows = host<DecodeRow>(layout_.single_rows);
    for (std::int32_t i = 0; i < sequences_; ++i) {
      PrefillSequence& sequence = others[static_cast<std::size_t>(i)];
      if (sequence.rows != 1 || single_rows_ == decode_attention_rows_max) continue;
      rows[single_rows_++] = {sequence.first_row, i, sequence.first_position};
      sequence.rows = 0;
    }
    return others;
  }
  static std::int32_t blocks_of(const SequenceRows& sequence) {
    return divided_up(sequence.first_position + sequence.rows, kv_block_positions);
  }

  /// Whether each sequence has one token, and wants to know the next.
  bool is_decoding() const {
    return shape_.experts == 0 && rows_ <= decode_rows_max && sequences_ == rows_ && logit_rows_ == rows_ &&
           spans_ <= memory_.spans_max;
  }
  /// Whether the launches follow from the number of rows alone.
  bool can_be_graph() const { return rows_ <= decode_rows_max && single_rows_ == rows_ && logit_rows_ == rows_; }
  int group() const { return shape_.heads / shape_.kv_heads; }
  KvTiles kv() const { return {reinterpret_cast<Bf16*>(batch_.pool), shape_.layers, shape_.kv_heads, shape_.head_dim}; }

  void decode() {
    DecodeStep step;
    step.shape = decode_shape(shape_);
    step.layers = memory_.decode_layers;
    step.embedding = data_of(weights_.embedding);
    step.output_projection = data_of(weights_.output_projection);
    step.final_norm = weights_.final_norm;
    step.cosine = weights_.cosine;
    step.sine = weights_.sine;
    step.kv = kv();
    step.rows = rows_;
    step.tokens = device<std::int32_t>(layout_.tokens);
    step.chosen = self_.chosen_before_;
    step.positions = device<std::int32_t>(layout_.positions);
    step.blocks = pass_.blocks.as<std::int32_t>();
    step.blocks_stride = blocks_stride_;
    step.spans_before = device<std::int32_t>(layout_.spans_before);
    step.row_capacity =
        *std::ranges::find_if(TransformerMemory::decode_capacities, [&](std::int32_t capacity) { return capacity >= rows_; });
    step.logits = memory_.logits;
    step.workspace = memory_.decode_workspace;
    step.span_capacity = memory_.spans_max;
    check_launch(decode_step(stream_, step));
  }

  void compute() {
    compute_layers();
    if (logit_rows_ == 0) return;
    multiply_logits();
    choose();
  }

  void compute_layers() {
    const std::vector<TransformerLayer>& layers = weights_.layers;
    check_launch(embed(stream_, {tiles_of(weights_.embedding), device<std::int32_t>(layout_.tokens), rows_,
                                 residual(layers.front().attention_norm), self_.chosen_before_}));
    if (single_rows_ > 0) check_launch(plan_decode_attention(stream_, attention_of_single_rows(0)));
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const TransformerLayer& layer = layers[i];
      const float* const next_norm = i + 1 < layers.size() ? layers[i + 1].attention_norm : weights_.final_norm;
      scale_norms();
      multiply(layer.qkv, memory_.normed, memory_.scales, rows_, memory_.qkv);
      attend(layer, static_cast<std::int32_t>(i));
      add_product(layer.attention_output, memory_.attended, layer.feed_forward_norm);
      scale_norms();
      if (layer.sparse()) {
        add_experts(layer, next_norm);
      } else {
        Product gated = product_of(layer.gate_up, memory_.normed, memory_.scales, rows_);
        gated.gated = memory_.gated;
        check_launch(product(stream_, gated));
        add_product(layer.down, memory_.gated, next_norm);
      }
    }
    scale_norms();
  }

  DecodeAttention attention_of_single_rows(std::int32_t layer) const {
    DecodeAttention attention;
    attention.queries = memory_.queries;
    attention.attended = memory_.attended;
    attention.kv = kv();
    attention.layer = layer;
    attention.heads = shape_.heads;
    attention.scale = decode_shape(shape_).scale;
    attention.rows = device<DecodeRow>(layout_.single_rows);
    attention.row_count = single_rows_;
    attention.blocks = pass_.blocks.as<std::int32_t>();
    attention.blocks_stride = blocks_stride_;
    attention.workspace = memory_.single_rows;
    return attention;
  }

  void attend(const TransformerLayer& layer, std::int32_t index) {
    RotateAppend rotation;
    rotation.qkv = memory_.qkv;
    rotation.query_norm = layer.query_norm;
    rotation.key_norm = layer.key_norm;
    rotation.cosine = weights_.cosine;
    rotation.sine = weights_.sine;
    rotation.rows = rows_;
    rotation.heads = shape_.heads;
    rotation.epsilon = shape_.epsilon;
    rotation.positions = device<std::int32_t>(layout_.positions);
    rotation.sequences = device<std::int32_t>(layout_.row_sequences);
    rotation.blocks = pass_.blocks.as<std::int32_t>();
    rotation.blocks_stride = blocks_stride_;
    rotation.layer = index;
    rotation.queries = memory_.queries;
    rotation.kv = kv();
    check_launch(rotate_append(stream_, rotation));

    if (single_rows_ > 0) check_launch(decode_attention(stream_, attention_of_single_rows(index)));
    if (tile_count_ == 0) return;
    PrefillAttention attention;
    attention.queries = memory_.queries;
    attention.attended = memory_.attended;
    attention.kv = kv();
    attention.layer = index;
    attention.heads = shape_.heads;
    attention.scale = decode_shape(shape_).scale;
    attention.sequences = device<PrefillSequence>(layout_.sequences);
    attention.blocks = pass_.blocks.as<std::int32_t>();
    attention.blocks_stride = blocks_stride_;
    attention.tiles = device<PrefillTile>(layout_.tiles);
    attention.tile_count = tile_count_;
    check_launch(prefill_attention(stream_, attention));
  }

  void add_experts(const TransformerLayer& layer, const float* next_norm) {
    multiply(layer.router, memory_.normed, memory_.scales, rows_, memory_.router);
    Moe experts;
    experts.shape = moe_shape(shape_);
    experts.shape.stride = static_cast<std::int64_t>(layer.expert_stride);
    experts.gate_up = data_of(layer.expert_gate_up);
    experts.down = data_of(layer.expert_down);
    experts.rows = rows_;
    experts.logits = memory_.router;
    experts.input = memory_.normed;
    experts.row_scales = memory_.scales;
    experts.residual = residual(next_norm);
    experts.buffers = memory_.moe;
    check_launch(moe(stream_, experts));
  }

  void multiply_logits() {
    GatherRows gather;
    gather.source = memory_.normed;
    gather.source_scales = memory_.scales;
    gather.rows = device<std::int32_t>(layout_.logit_rows);
    gather.count = logit_rows_;
    gather.target = memory_.last;
    gather.target_scales = memory_.last_scales;
    check_launch(gather_rows(stream_, gather));
    multiply(weights_.output_projection, memory_.last, memory_.last_scales, logit_rows_, memory_.logits);
  }

  void choose() {
    Sample choice;
    choice.logits = memory_.logits;
    choice.logits_stride = shape_.vocabulary;
    choice.rows = logit_rows_;
    choice.vocabulary = shape_.vocabulary;
    choice.parameters = device<RowSampling>(layout_.samples);
    choice.results = pass_.results.as<SampledRow>();
    choice.tokens = pass_.chosen.as<std::int32_t>();
    check_launch(sample(stream_, choice));
    if (batch_.wants_logits) {  // the next pass overwrites them
      self_.device_.stream().copy(
          pass_.logits.as<float>(), memory_.logits,
          static_cast<std::size_t>(logit_rows_) * static_cast<std::size_t>(shape_.vocabulary) * sizeof(float));
    }
  }

  ResidualRows residual(const float* next_norm) const {
    return {memory_.x, next_norm, memory_.normed, memory_.squares, shape_.hidden};
  }
  void scale_norms() { check_launch(norm_scales(stream_, residual(nullptr), rows_, shape_.epsilon, memory_.scales)); }
  static Product product_of(const PackedMatrix& weight, const RowTiles& input, const float* scales, std::int32_t rows) {
    Product arguments;
    arguments.weight = tiles_of(weight);
    arguments.input = input;
    arguments.rows = rows;
    arguments.row_scales = scales;
    return arguments;
  }
  void multiply(const PackedMatrix& weight, const RowTiles& input, const float* scales, std::int32_t rows, float* output) {
    Product arguments = product_of(weight, input, scales, rows);
    arguments.output = output;
    arguments.output_stride = weight.outputs;
    check_launch(product(stream_, arguments));
  }
  void add_product(const PackedMatrix& weight, const RowTiles& input, const float* next_norm) {
    Product arguments = product_of(weight, input, nullptr, rows_);
    arguments.residual = residual(next_norm);
    check_launch(product(stream_, arguments));
  }

  Transformer& self_;
  const TransformerShape& shape_;
  const TransformerMemory& memory_;
  const TransformerWeights& weights_;
  Pass& pass_;
  const TransformerBatch& batch_;
  cudaStream_t stream_;
  std::int32_t rows_;
  std::int32_t sequences_;
  std::int32_t logit_rows_;
  std::int32_t blocks_stride_;
  Pass::Layout layout_;
  std::int32_t spans_ = 0;
  std::int32_t tile_count_ = 0;
  std::int32_t single_rows_ = 0;
};

void Transformer::launch(Pass& pass, const TransformerBatch& batch) { Launcher(*this, pass, batch).run(); }

}  // namespace troupe::kernels::cuda
