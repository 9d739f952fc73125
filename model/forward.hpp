// One pass of a batch of tokens through all layers: from token ids and KV blocks to logits, and to the tokens chosen from them.
// A pass keeps its place while it has to wait, for a GPU or for the experts of a mixture-of-experts layer, so that other passes
// can go on meanwhile.
//
// The decoder is that of Llama (Touvron et al., 2023) with Qwen3's options: pre-norm, grouped-query attention with rotary
// positions, optionally normalised queries and keys, SwiGLU or a mixture of SwiGLU experts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "kernels/device.hpp"
#include "kernels/kv_layout.hpp"
#include "model/config.hpp"
#include "model/experts.hpp"
#include "model/rope_table.hpp"
#include "model/sampler.hpp"
#include "model/weights.hpp"

namespace troupe::model {

struct ForwardLimits {
  std::int32_t rows_max = 0;        ///< tokens of one pass
  std::int32_t logit_rows_max = 0;  ///< of them, how many may want logits; and how many sequences a pass may have
};

/// How the token that follows a row is chosen.
struct TokenChoice {
  SamplingParameters parameters;
  std::int32_t position = 0;  ///< that the token will take
};

/// What one pass computes. Borrowed until the pass is done: the block tables inside `sequences` and the pool. Spans are copied.
struct ForwardBatch {
  /// [rows]. Where passes run ahead, a negative one, -1 - i, is the token that the pass started before chooses for its i-th row
  /// of logits.
  std::span<const TokenId> tokens;
  std::span<const kernels::SequenceRows> sequences;  ///< covers all rows, in order
  std::span<const std::int32_t> logit_rows;          ///< rows whose logits are wanted, ascending; may be empty
  std::span<const TokenChoice> choices;              ///< one for each of them
  bool shows_logits = false;                         ///< whether `logits` will be asked for
  std::byte* pool = nullptr;                         ///< KV blocks, device memory
};

/// Reused for batch after batch.
class ForwardPass {
 public:
  enum class State : std::uint8_t { idle, running, waiting, done };

  virtual ~ForwardPass() = default;
  ForwardPass(const ForwardPass&) = delete;
  ForwardPass& operator=(const ForwardPass&) = delete;

  /// Takes a batch within the limits; the pass is idle or done. `wake` is called, from any thread, when the pass can go on
  /// after `advance` returned `waiting`.
  virtual void start(const ForwardBatch& batch, std::function<void()> wake) = 0;
  /// Computes until the pass is done or has to wait for experts. An error of the experts ends the pass: it is idle again and
  /// its KV blocks hold nothing of use at this batch's positions.
  virtual Result<State> advance(Experts& experts) = 0;
  virtual State state() const = 0;
  /// Whether `advance` would get on.
  virtual bool ready() const = 0;

  /// Once done: the token chosen for the i-th row of logits; errors are model::sample's.
  virtual Result<SampledToken> sampled(std::size_t row) = 0;
  /// Once done, if the batch shows logits: the i-th row's [vocabulary], host memory.
  virtual std::span<const float> logits(std::size_t row) = 0;

 protected:
  ForwardPass() = default;
};

/// Whether a pass may be started before the one before it is done, with the tokens that that one will choose.
constexpr bool runs_ahead(kernels::DeviceKind kind) { return kind == kernels::DeviceKind::cuda; }

/// Passes for one engine, which share what memory they can. The references must outlive them; `device` is that of the weights.
/// `unsupported` if the device's kernels do not compute such a model.
Result<std::vector<std::unique_ptr<ForwardPass>>> create_passes(const ModelConfig& config, const Weights& weights,
                                                                const RopeTable& rope, kernels::Device& device,
                                                                const ForwardLimits& limits, std::int32_t count);
/// What `create_passes` allocates on the device, with tables for `context` positions.
std::size_t passes_bytes(const ModelConfig& config, kernels::DeviceKind kind, const ForwardLimits& limits, std::int32_t count,
                         std::int32_t context);

}  // namespace troupe::model
