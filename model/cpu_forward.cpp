#include "model/cpu_forward.hpp"

#include <cmath>
#include <utility>

#include "base/check.hpp"
#include "kernels/attention.hpp"
#include "kernels/embedding.hpp"
#include "kernels/matmul.hpp"
#include "kernels/moe.hpp"
#include "kernels/rms_norm.hpp"
#include "kernels/rope_append.hpp"
#include "kernels/swiglu.hpp"

namespace troupe::model {

/// What experts answered for one layer. Shared with the callback, which may outlive a pass that gave up on it.
struct CpuForwardPass::ExpertAnswer {
  std::atomic<bool> arrived = false;
  Result<void> result;
};

CpuForwardPass::CpuForwardPass(const ModelConfig& config, const Weights& weights, const RopeTable& rope,
                               kernels::Device& device, const ForwardLimits& limits, Activations activations)
    : config_(config), weights_(weights), rope_(rope), device_(device), limits_(limits), activations_(std::move(activations)) {}

CpuForwardPass::~CpuForwardPass() {
  if (state_ == State::waiting) answer_->arrived.wait(false);
}

Result<std::unique_ptr<CpuForwardPass>> CpuForwardPass::create(const ModelConfig& config, const Weights& weights,
                                                               const RopeTable& rope, kernels::Device& device,
                                                               const ForwardLimits& limits) {
  TROUPE_TRY(auto activations, Activations::create(config, limits, device));
  return std::unique_ptr<CpuForwardPass>(new CpuForwardPass(config, weights, rope, device, limits, std::move(activations)));
}

void CpuForwardPass::start(const ForwardBatch& batch, std::function<void()> wake) {
  TROUPE_CHECK(state_ == State::idle || state_ == State::done, "a pass computes one batch at a time");
  TROUPE_CHECK(batch.tokens.size() <= static_cast<std::size_t>(limits_.rows_max) &&
                   batch.logit_rows.size() <= static_cast<std::size_t>(limits_.logit_rows_max) &&
                   batch.choices.size() == batch.logit_rows.size(),
               "a batch fits the pass");
  tokens_.assign(batch.tokens.begin(), batch.tokens.end());
  sequences_.assign(batch.sequences.begin(), batch.sequences.end());
  logit_rows_.assign(batch.logit_rows.begin(), batch.logit_rows.end());
  choices_.assign(batch.choices.begin(), batch.choices.end());
  pool_ = reinterpret_cast<float*>(batch.pool);
  wake_ = std::move(wake);
  layer_ = 0;
  has_branch_ = false;
  state_ = State::running;
  kernels::embedding(device_.stream(),
                     {weights_.embedding(), tokens_.data(), activations_.x, static_cast<std::int32_t>(tokens_.size())});
}

bool CpuForwardPass::ready() const {
  return state_ == State::running || (state_ == State::waiting && answer_->arrived.load(std::memory_order_acquire));
}

Result<ForwardPass::State> CpuForwardPass::advance(Experts& experts) {
  TROUPE_CHECK(state_ == State::running || state_ == State::waiting, "a pass was started");
  while (layer_ < config_.layers) {
    const LayerWeights& layer = weights_.layers()[static_cast<std::size_t>(layer_)];
    if (state_ == State::running) {
      attend(layer);
      if (config_.is_sparse(layer_)) {
        ask_experts(layer, experts);
      } else {
        feed_forward(layer);
        ++layer_;
        continue;
      }
    }
    if (!ready()) return state_;
    state_ = State::running;
    if (auto taken = take_experts(); !taken) {
      state_ = State::idle;
      return Error(std::move(taken).error());
    }
    ++layer_;
  }
  finish();
  return state_ = State::done;
}

Result<SampledToken> CpuForwardPass::sampled(std::size_t row) {
  return sample(logits(row), activations_.summaries[row], choices_[row].parameters, choices_[row].position);
}

std::span<const float> CpuForwardPass::logits(std::size_t row) {
  TROUPE_CHECK(state_ == State::done && row < logit_rows_.size(), "a pass that is done has the logits that were wanted");
  const auto vocabulary = static_cast<std::size_t>(config_.vocabulary);
  return {activations_.logits + row * vocabulary, vocabulary};
}

void CpuForwardPass::norm(const float* addend, const float* weight) {
  kernels::rms_norm(device_.stream(), {activations_.x, addend, weight, activations_.normed,
                                       static_cast<std::int32_t>(tokens_.size()), config_.hidden, config_.norm_epsilon});
}

void CpuForwardPass::multiply(const float* input, const PackedMatrix& weight, float* output, std::int32_t rows) {
  const kernels::MatmulGroup all{weight, 0, rows};
  kernels::matmul(device_.stream(), {input, output, {&all, 1}});
}

void CpuForwardPass::attend(const LayerWeights& layer) {
  const auto rows = static_cast<std::int32_t>(tokens_.size());
  norm(has_branch_ ? activations_.branch : nullptr, layer.attention_norm);
  multiply(activations_.normed, layer.qkv, activations_.qkv, rows);
  kernels::rope_append(device_.stream(), {.qkv = activations_.qkv,
                                          .query_norm = layer.query_norm,
                                          .key_norm = layer.key_norm,
                                          .cosine = rope_.cosine(),
                                          .sine = rope_.sine(),
                                          .pool = pool_,
                                          .layout = config_.kv_layout(device_.kind()),
                                          .sequences = sequences_,
                                          .layer = layer_,
                                          .heads = config_.heads,
                                          .epsilon = config_.norm_epsilon});
  kernels::attention(device_.stream(), {.query = activations_.qkv,
                                        .output = activations_.attended,
                                        .pool = pool_,
                                        .layout = config_.kv_layout(device_.kind()),
                                        .sequences = sequences_,
                                        .query_stride = config_.qkv_width(),
                                        .layer = layer_,
                                        .heads = config_.heads,
                                        .scale = 1.0F / std::sqrt(static_cast<float>(config_.head_dim))});
  multiply(activations_.attended, layer.attention_output, activations_.branch, rows);
  norm(activations_.branch, layer.feed_forward_norm);
  has_branch_ = true;
}

void CpuForwardPass::feed_forward(const LayerWeights& layer) {
  const auto rows = static_cast<std::int32_t>(tokens_.size());
  multiply(activations_.normed, layer.feed_forward.gate_up, activations_.gate_up, rows);
  kernels::swiglu(device_.stream(), {activations_.gate_up, activations_.inner, rows, config_.intermediate});
  multiply(activations_.inner, layer.feed_forward.down, activations_.branch, rows);
}

void CpuForwardPass::ask_experts(const LayerWeights& layer, Experts& experts) {
  const auto rows = static_cast<std::int32_t>(tokens_.size());
  const MoeConfig& moe = *config_.moe;
  multiply(activations_.normed, layer.router, activations_.router, rows);
  kernels::moe_route(device_.stream(), {activations_.router, activations_.expert, activations_.expert_weight, rows, moe.experts,
                                        moe.experts_per_token, moe.normalize_weights});
  answer_ = std::make_shared<ExpertAnswer>();
  state_ = State::waiting;
  experts.compute({layer_, rows, moe.experts_per_token, activations_.normed, activations_.expert, activations_.expert_output},
                  [answer = answer_, wake = wake_](Result<void> result) {
                    answer->result = std::move(result);
                    answer->arrived.store(true, std::memory_order_release);
                    answer->arrived.notify_all();
                    if (wake) wake();
                  });
}

Result<void> CpuForwardPass::take_experts() {
  TROUPE_TRY_DO(std::move(answer_->result));
  const MoeConfig& moe = *config_.moe;
  kernels::moe_combine(device_.stream(), {activations_.expert_output, activations_.expert_weight, activations_.branch,
                                          static_cast<std::int32_t>(tokens_.size()), moe.experts_per_token, config_.hidden});
  return {};
}

void CpuForwardPass::finish() {
  norm(activations_.branch, weights_.final_norm());
  const auto wanted = static_cast<std::int32_t>(logit_rows_.size());
  if (wanted > 0) {
    kernels::gather_rows(device_.stream(),
                         {activations_.normed, activations_.branch, logit_rows_.data(), wanted, config_.hidden});
    multiply(activations_.branch, weights_.output_projection(), activations_.logits, wanted);
    kernels::log_sum_exp(device_.stream(), {activations_.logits, activations_.summaries, wanted, config_.vocabulary});
  }
  device_.stream().synchronize();
}

}  // namespace troupe::model
