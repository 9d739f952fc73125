#include "model/weight_plan.hpp"

#include <cmath>
#include <utility>

#include "kernels/bf16.hpp"

namespace troupe::model {

namespace {

using kernels::bf16;

constexpr std::size_t alignment = 64;

// Random weights keep activations near 1: a product of normalised inputs with weights of 1 / sqrt(inputs) does, and the
// branches that are added to the residual stream are made smaller by the number of branches. Logits spread by about this:
constexpr float logit_deviation = 2.5F;

class Planner {
 public:
  Planner(const ModelConfig& config, const WeightParts& parts, kernels::DeviceKind kind)
      : config_(config), parts_(parts), kind_(kind), branch_scale_(1 / std::sqrt(2 * static_cast<float>(config.layers))) {}

  WeightPlan plan(WeightMap& map) {
    map.layers.assign(static_cast<std::size_t>(config_.layers), LayerWeights{});
    wanted_ = parts_.trunk;
    add_matrix(map.embedding, {{"model.embed_tokens.weight", config_.vocabulary}}, config_.hidden, logit_deviation);
    for (std::int32_t layer = 0; layer < config_.layers; ++layer) add_layer(layer, map.layers[static_cast<std::size_t>(layer)]);
    add_vector(map.final_norm, "model.norm.weight", config_.hidden);
    if (!config_.tied_embeddings) {
      add_matrix(map.output_projection, {{"lm_head.weight", config_.vocabulary}}, config_.hidden, logit_deviation);
    }
    return std::move(plan_);
  }

 private:
  void add_layer(std::int32_t index, LayerWeights& layer) {
    const std::string prefix = "model.layers." + std::to_string(index) + ".";
    const std::string attention = prefix + "self_attn.";
    add_vector(layer.attention_norm, prefix + "input_layernorm.weight", config_.hidden);
    add_matrix(layer.qkv,
               {{attention + "q_proj.weight", config_.query_width()},
                {attention + "k_proj.weight", config_.kv_width()},
                {attention + "v_proj.weight", config_.kv_width()}},
               config_.hidden);
    if (config_.query_key_norm) {
      add_vector(layer.query_norm, attention + "q_norm.weight", config_.head_dim);
      add_vector(layer.key_norm, attention + "k_norm.weight", config_.head_dim);
    }
    add_matrix(layer.attention_output, {{attention + "o_proj.weight", config_.hidden}}, config_.query_width(), branch_scale_);
    add_vector(layer.feed_forward_norm, prefix + "post_attention_layernorm.weight", config_.hidden);
    if (!config_.is_sparse(index)) {
      add_feed_forward(layer.feed_forward, prefix + "mlp.", config_.intermediate);
      return;
    }
    add_matrix(layer.router, {{prefix + "mlp.gate.weight", config_.moe->experts}}, config_.hidden);
    layer.experts.resize(static_cast<std::size_t>(config_.moe->experts));
    for (std::size_t expert = 0; expert < layer.experts.size(); ++expert) {
      wanted_ = !parts_.experts || parts_.experts->has({index, static_cast<std::int32_t>(expert)});
      add_feed_forward(layer.experts[expert], prefix + "mlp.experts." + std::to_string(expert) + ".",
                       config_.moe->intermediate);
    }
    wanted_ = parts_.trunk;
  }

  void add_feed_forward(FeedForwardWeights& weights, const std::string& prefix, std::int32_t intermediate) {
    add_matrix(weights.gate_up, {{prefix + "gate_proj.weight", intermediate}, {prefix + "up_proj.weight", intermediate}},
               config_.hidden, 1, kernels::OutputKind::gates_and_ups);
    add_matrix(weights.down, {{prefix + "down_proj.weight", config_.hidden}}, intermediate, branch_scale_);
  }

  void add_matrix(PackedMatrix& place, std::vector<WeightPiece::Tensor> tensors, std::int32_t inputs, float scale = 1,
                  kernels::OutputKind output_kind = kernels::OutputKind::plain) {
    WeightPiece piece{.matrix = &place, .tensors = std::move(tensors), .inputs = inputs};
    piece.output_kind = output_kind;
    piece.deviation = scale / std::sqrt(static_cast<float>(inputs));
    piece.bytes = kernels::packed_bytes(kind_, piece.outputs(), inputs);
    add(std::move(piece));
  }

  void add_vector(const float*& place, std::string name, std::int32_t size) {
    WeightPiece piece{.vector = &place, .tensors = {{std::move(name), 1}}, .inputs = size};
    piece.bytes = static_cast<std::size_t>(size) * sizeof(float);
    add(std::move(piece));
  }

  void add(WeightPiece piece) {
    piece.number = pieces_++;
    if (!wanted_) return;
    piece.offset = plan_.bytes;
    plan_.bytes += (piece.bytes + alignment - 1) / alignment * alignment;
    plan_.pieces.push_back(std::move(piece));
  }

  const ModelConfig& config_;
  const WeightParts& parts_;
  kernels::DeviceKind kind_;
  float branch_scale_;
  bool wanted_ = true;  ///< what is being added
  std::size_t pieces_ = 0;
  WeightPlan plan_;
};

}  // namespace

std::int32_t WeightPiece::outputs() const {
  std::int32_t rows = 0;
  for (const Tensor& tensor : tensors) rows += tensor.rows;
  return rows;
}

PackedMatrix WeightPiece::packed(const std::byte* data) const {
  return {reinterpret_cast<const bf16*>(data), outputs(), inputs};
}

WeightPlan plan_weights(const ModelConfig& config, const WeightParts& parts, kernels::DeviceKind kind, WeightMap& map) {
  return Planner(config, parts, kind).plan(map);
}

void place(const WeightPlan& plan, const ModelConfig& config, const std::byte* base, WeightMap& map) {
  for (const WeightPiece& piece : plan.pieces) {
    const std::byte* data = base + piece.offset;
    if (piece.vector != nullptr) {
      *piece.vector = reinterpret_cast<const float*>(data);
    } else {
      *piece.matrix = piece.packed(data);
    }
  }
  if (config.tied_embeddings) map.output_projection = map.embedding;
}

}  // namespace troupe::model
