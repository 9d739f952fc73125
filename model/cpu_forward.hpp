// A pass on a CPU: each operation computes when it is called, on the device's threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kernels/log_sum_exp.hpp"
#include "model/activations.hpp"
#include "model/forward.hpp"

namespace troupe::model {

/// Owns the activations of one batch.
class CpuForwardPass final : public ForwardPass {
 public:
  /// The references must outlive the pass; `device` is that of the weights.
  static Result<std::unique_ptr<CpuForwardPass>> create(const ModelConfig& config, const Weights& weights,
                                                        const RopeTable& rope, kernels::Device& device,
                                                        const ForwardLimits& limits);
  /// Waits for experts that still write into its memory.
  ~CpuForwardPass() override;

  void start(const ForwardBatch& batch, std::function<void()> wake) override;
  Result<State> advance(Experts& experts) override;
  State state() const override { return state_; }
  bool ready() const override;
  Result<SampledToken> sampled(std::size_t row) override;
  std::span<const float> logits(std::size_t row) override;

 private:
  struct ExpertAnswer;

  CpuForwardPass(const ModelConfig& config, const Weights& weights, const RopeTable& rope, kernels::Device& device,
                 const ForwardLimits& limits, Activations activations);
  void norm(const float* addend, const float* weight);
  void multiply(const float* input, const PackedMatrix& weight, float* output, std::int32_t rows);
  void attend(const LayerWeights& layer);
  void feed_forward(const LayerWeights& layer);
  void ask_experts(const LayerWeights& layer, Experts& experts);
  Result<void> take_experts();
  void finish();

  const ModelConfig& config_;
  const Weights& weights_;
  const RopeTable& rope_;
  kernels::Device& device_;
  ForwardLimits limits_;
  Activations activations_;

  State state_ = State::idle;
  std::int32_t layer_ = 0;
  bool has_branch_ = false;  ///< activations_.branch holds what the next norm adds to x
  std::vector<TokenId> tokens_;
  std::vector<kernels::SequenceRows> sequences_;
  std::vector<std::int32_t> logit_rows_;
  std::vector<TokenChoice> choices_;
  float* pool_ = nullptr;
  std::function<void()> wake_;
  std::shared_ptr<ExpertAnswer> answer_;
};

}  // namespace troupe::model
