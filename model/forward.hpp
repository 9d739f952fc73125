// One pass of a batch of tokens through all layers: from token ids and KV blocks to logits. The pass keeps its place when a
// mixture-of-experts layer has to wait for its experts, so that other passes can go on meanwhile.
//
// The decoder is that of Llama (Touvron et al., 2023) with Qwen3's options: pre-norm, grouped-query attention with rotary
// positions, optionally normalised queries and keys, SwiGLU or a mixture of SwiGLU experts.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "kernels/device.hpp"
#include "kernels/kv_layout.hpp"
#include "kernels/log_sum_exp.hpp"
#include "model/activations.hpp"
#include "model/config.hpp"
#include "model/experts.hpp"
#include "model/rope_table.hpp"
#include "model/weights.hpp"

namespace troupe::model {

/// What one pass computes. Borrowed until the pass is done: the block tables inside `sequences` and the pool. Spans are copied.
struct ForwardBatch {
  std::span<const TokenId> tokens;                   ///< [rows]
  std::span<const kernels::SequenceRows> sequences;  ///< covers all rows, in order
  std::span<const std::int32_t> logit_rows;          ///< rows whose logits are wanted, ascending; may be empty
  std::byte* pool = nullptr;                         ///< KV blocks, device memory
};

/// Owns the activations of one batch. Reused for batch after batch.
class ForwardPass {
 public:
  enum class State : std::uint8_t { idle, running, waiting, done };

  /// The references must outlive the pass; `device` is that of the weights.
  static Result<std::unique_ptr<ForwardPass>> create(const ModelConfig& config, const Weights& weights, const RopeTable& rope,
                                                     kernels::Device& device, const ForwardLimits& limits);
  /// Waits for experts that still write into its memory.
  ~ForwardPass();
  ForwardPass(const ForwardPass&) = delete;
  ForwardPass& operator=(const ForwardPass&) = delete;

  /// Takes a batch within the limits; the pass is idle or done. `wake` is called, from any thread, when experts have answered
  /// after `advance` returned `waiting`.
  void start(const ForwardBatch& batch, std::function<void()> wake);
  /// Computes until the pass is done or has to wait for experts. An error of the experts ends the pass: it is idle again and
  /// its KV blocks hold nothing of use at this batch's positions.
  Result<State> advance(Experts& experts);
  State state() const { return state_; }
  /// Whether `advance` would get on.
  bool ready() const;

  /// Once done: the wanted logits [logit_rows, vocabulary] in device memory, and their summaries.
  const float* logits() const { return activations_.logits; }
  std::span<const kernels::LogitSummary> summaries() const { return {activations_.summaries, logit_rows_.size()}; }

 private:
  struct ExpertAnswer;

  ForwardPass(const ModelConfig& config, const Weights& weights, const RopeTable& rope, kernels::Device& device,
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
  float* pool_ = nullptr;
  std::function<void()> wake_;
  std::shared_ptr<ExpertAnswer> answer_;
};

}  // namespace troupe::model
