// A decoder on a GPU: from a batch of tokens to chosen tokens, in one go and without the host. Nothing here waits for the GPU
// but `wait`: a pass is put on the stream while the one before computes, and may begin with the tokens that that one chooses.
//
// Passes in which every sequence has one token, a few in all, are one kernel (decode_step.hpp); others are a chain of kernels,
// which for mixtures of experts and few rows is a graph (pass_graphs.hpp). All compute the same bits (class cuda-sm90-v1).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "kernels/cuda/device.hpp"
#include "kernels/cuda/sample_rows.hpp"
#include "kernels/kv_layout.hpp"
#include "kernels/packed_matrix.hpp"

namespace troupe::kernels::cuda {

/// Widths are those of a model's config.
struct TransformerShape {
  std::int32_t layers = 0;
  std::int32_t hidden = 0;
  std::int32_t intermediate = 0;  ///< of dense layers
  std::int32_t heads = 0;
  std::int32_t kv_heads = 0;
  std::int32_t head_dim = 0;
  std::int32_t vocabulary = 0;
  float epsilon = 0;
  // Of a mixture of experts; none without experts.
  std::int32_t experts = 0;
  std::int32_t experts_per_token = 0;
  std::int32_t expert_intermediate = 0;
  bool normalize_expert_weights = true;
};

/// `unsupported` says what of the shape these kernels do not compute.
Result<void> check(const TransformerShape& shape);

/// A layer's weights in device memory; matrices as a CudaWeightWriter writes them.
struct TransformerLayer {
  PackedMatrix qkv;
  PackedMatrix attention_output;
  const float* attention_norm = nullptr;
  const float* feed_forward_norm = nullptr;
  const float* query_norm = nullptr;  ///< or null
  const float* key_norm = nullptr;    ///< or null
  // Of a dense layer.
  PackedMatrix gate_up;
  PackedMatrix down;
  // Of a mixture of experts; the matrices are the first expert's, and the others' lie at the same distance from each other.
  PackedMatrix router;
  PackedMatrix expert_gate_up;
  PackedMatrix expert_down;
  std::size_t expert_stride = 0;  ///< elements from one expert's matrix to the next one's
  bool sparse() const { return router.data != nullptr; }
};

struct TransformerWeights {
  PackedMatrix embedding;
  PackedMatrix output_projection;
  const float* final_norm = nullptr;
  const float* cosine = nullptr;  ///< [positions, head_dim / 2]
  const float* sine = nullptr;
  std::vector<TransformerLayer> layers;
};

struct TransformerLimits {
  std::int32_t rows_max = 0;        ///< tokens of one pass
  std::int32_t logit_rows_max = 0;  ///< sequences of one pass, each of which may want logits
  std::int32_t context_max = 0;     ///< positions of one sequence
  std::int32_t passes = 1;          ///< on the stream at once
};

/// What one pass computes. Borrowed during `start`, but for the pool.
struct TransformerBatch {
  /// A negative one, -1 - i, is the token that the pass started before has chosen for its logit row i.
  std::span<const std::int32_t> tokens;
  std::span<const SequenceRows> sequences;   ///< covers all rows, in order
  std::span<const std::int32_t> logit_rows;  ///< ascending
  std::span<const RowSampling> samples;      ///< for each logit row, how its token is chosen
  bool wants_logits = false;                 ///< whether the host wants to see logits
  std::byte* pool = nullptr;                 ///< KV blocks, device memory
};

/// Owns its memory. Used by one thread at a time.
class Transformer {
 public:
  /// The device must outlive it; the weights' memory too.
  static Result<std::unique_ptr<Transformer>> create(CudaDevice& device, const TransformerShape& shape,
                                                     TransformerWeights weights, const TransformerLimits& limits);
  /// What `create` allocates on the device.
  static std::size_t bytes(const TransformerShape& shape, const TransformerLimits& limits);
  ~Transformer();
  Transformer(const Transformer&) = delete;
  Transformer& operator=(const Transformer&) = delete;

  /// Puts a batch within the limits on the stream. `pass` is below limits.passes, and not under way.
  void start(std::int32_t pass, const TransformerBatch& batch);
  void wait(std::int32_t pass);

  /// Once it is done, until it is started again: what was chosen for each logit row, and, where they were wanted, the logits
  /// [logit rows, vocabulary]. Host memory.
  std::span<const SampledRow> sampled(std::int32_t pass) const;
  const float* logits(std::int32_t pass) const;

 private:
  struct Buffers;
  struct Graphs;
  struct Pass;
  class Launcher;

  Transformer(CudaDevice& device, const TransformerShape& shape, TransformerWeights weights, const TransformerLimits& limits);
  /// Puts a batch's kernels on the stream (transformer_launch.cpp).
  void launch(Pass& pass, const TransformerBatch& batch);

  CudaDevice& device_;
  TransformerShape shape_;
  TransformerWeights weights_;
  TransformerLimits limits_;
  Memory memory_;
  std::unique_ptr<Buffers> buffers_;
  std::unique_ptr<Graphs> graphs_;
  std::vector<std::unique_ptr<Pass>> passes_;
  const std::int32_t* chosen_before_ = nullptr;  ///< by the pass started last
};

}  // namespace troupe::kernels::cuda
