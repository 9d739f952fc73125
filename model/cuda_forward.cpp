#include "model/cuda_forward.hpp"

#include <utility>

#include "base/check.hpp"
#include "kernels/cuda/transformer.hpp"

namespace troupe::model {

namespace {

using kernels::cuda::RowSampling;
using kernels::cuda::SampledRow;
using kernels::cuda::SampleStatus;
using kernels::cuda::Transformer;
using kernels::cuda::TransformerLayer;
using kernels::cuda::TransformerLimits;
using kernels::cuda::TransformerShape;
using kernels::cuda::TransformerWeights;

static_assert(kernels::cuda::listed_tokens_max == log_probabilities_max);

TransformerShape shape_of(const ModelConfig& config) {
  TransformerShape shape;
  shape.layers = config.layers;
  shape.hidden = config.hidden;
  shape.intermediate = config.intermediate;
  shape.heads = config.heads;
  shape.kv_heads = config.kv_heads;
  shape.head_dim = config.head_dim;
  shape.vocabulary = config.vocabulary;
  shape.epsilon = config.norm_epsilon;
  if (config.moe) {
    shape.experts = config.moe->experts;
    shape.experts_per_token = config.moe->experts_per_token;
    shape.expert_intermediate = config.moe->intermediate;
    shape.normalize_expert_weights = config.moe->normalize_weights;
  }
  return shape;
}

TransformerLayer layer_of(const LayerWeights& weights) {
  TransformerLayer layer;
  layer.qkv = weights.qkv;
  layer.attention_output = weights.attention_output;
  layer.attention_norm = weights.attention_norm;
  layer.feed_forward_norm = weights.feed_forward_norm;
  layer.query_norm = weights.query_norm;
  layer.key_norm = weights.key_norm;
  layer.gate_up = weights.feed_forward.gate_up;
  layer.down = weights.feed_forward.down;
  layer.router = weights.router;
  if (!weights.experts.empty()) {
    layer.expert_gate_up = weights.experts.front().gate_up;
    layer.expert_down = weights.experts.front().down;
    if (weights.experts.size() > 1) {
      layer.expert_stride = static_cast<std::size_t>(weights.experts[1].gate_up.data - layer.expert_gate_up.data);
    }
    for (std::size_t i = 0; i < weights.experts.size(); ++i) {
      TROUPE_CHECK(weights.experts[i].gate_up.data == layer.expert_gate_up.data + i * layer.expert_stride &&
                       weights.experts[i].down.data == layer.expert_down.data + i * layer.expert_stride,
                   "a layer's experts lie one after the other");
    }
  }
  return layer;
}

TransformerWeights weights_of(const Weights& weights, const RopeTable& rope) {
  TransformerWeights pointers;
  pointers.embedding = weights.embedding();
  pointers.output_projection = weights.output_projection();
  pointers.final_norm = weights.final_norm();
  pointers.cosine = rope.cosine();
  pointers.sine = rope.sine();
  for (const LayerWeights& layer : weights.layers()) pointers.layers.push_back(layer_of(layer));
  return pointers;
}

RowSampling sampling_of(const TokenChoice& choice) {
  const SamplingParameters& parameters = choice.parameters;
  return {.temperature = parameters.temperature,
          .top_k = parameters.top_k,
          .top_p = parameters.top_p,
          .min_p = parameters.min_p,
          .seed = parameters.seed,
          .position = choice.position,
          .log_probabilities = parameters.log_probabilities};
}

class CudaForwardPass final : public ForwardPass {
 public:
  CudaForwardPass(std::shared_ptr<Transformer> transformer, std::int32_t index, std::int32_t vocabulary)
      : transformer_(std::move(transformer)), index_(index), vocabulary_(static_cast<std::size_t>(vocabulary)) {}
  ~CudaForwardPass() override { transformer_->wait(index_); }

  void start(const ForwardBatch& batch, std::function<void()> /*wake*/) override {
    TROUPE_CHECK(state_ == State::idle || state_ == State::done, "a pass computes one batch at a time");
    std::vector<RowSampling> samples;
    positions_.clear();
    for (const TokenChoice& choice : batch.choices) {
      samples.push_back(sampling_of(choice));
      positions_.push_back(choice.position);
    }
    transformer_->start(index_, {batch.tokens, batch.sequences, batch.logit_rows, samples, batch.shows_logits, batch.pool});
    state_ = State::running;
  }
  Result<State> advance(Experts& /*experts*/) override {
    transformer_->wait(index_);
    return state_ = State::done;
  }
  State state() const override { return state_; }
  bool ready() const override { return state_ == State::running; }

  Result<SampledToken> sampled(std::size_t row) override {
    const SampledRow& result = transformer_->sampled(index_)[row];
    if (result.status == SampleStatus::corrupt) return corrupt_logits(result.summary, positions_[row]);
    SampledToken token{result.token, result.log_probability, {}};
    for (std::int32_t i = 0; i < result.listed_count; ++i)
      token.top.push_back({result.listed[i].token, result.listed[i].log_probability});
    return token;
  }
  std::span<const float> logits(std::size_t row) override {
    return {transformer_->logits(index_) + row * vocabulary_, vocabulary_};
  }

 private:
  std::shared_ptr<Transformer> transformer_;
  std::int32_t index_;
  std::size_t vocabulary_;
  State state_ = State::idle;
  std::vector<std::int32_t> positions_;
};

TransformerLimits limits_of(const ForwardLimits& limits, std::int32_t count, std::int32_t context) {
  return {limits.rows_max, limits.logit_rows_max, context, count};
}

}  // namespace

Result<std::vector<std::unique_ptr<ForwardPass>>> create_cuda_passes(const ModelConfig& config, const Weights& weights,
                                                                     const RopeTable& rope, kernels::Device& device,
                                                                     const ForwardLimits& limits, std::int32_t count) {
  if (weights.experts().count() < expert_shape(config).count()) {
    return Error{ErrorCode::unsupported, "on a GPU a model computes all of its experts itself, and " +
                                             std::to_string(weights.experts().count()) + " of " +
                                             std::to_string(expert_shape(config).count()) + " are loaded"};
  }
  TROUPE_TRY(std::shared_ptr<Transformer> transformer,
             Transformer::create(static_cast<kernels::cuda::CudaDevice&>(device), shape_of(config), weights_of(weights, rope),
                                 limits_of(limits, count, rope.positions())));
  std::vector<std::unique_ptr<ForwardPass>> passes;
  for (std::int32_t i = 0; i < count; ++i)
    passes.push_back(std::make_unique<CudaForwardPass>(transformer, i, config.vocabulary));
  return passes;
}

std::size_t cuda_passes_bytes(const ModelConfig& config, const ForwardLimits& limits, std::int32_t count,
                              std::int32_t context) {
  return Transformer::bytes(shape_of(config), limits_of(limits, count, context));
}

}  // namespace troupe::model
