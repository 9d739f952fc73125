// A model's weights as the layers read them: packed for matrix products, on one device.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "base/result.hpp"
#include "kernels/device.hpp"
#include "kernels/packed_matrix.hpp"
#include "model/config.hpp"
#include "model/fingerprint.hpp"
#include "policy/expert_selection.hpp"

namespace troupe::model {

using kernels::PackedMatrix;
using policy::ExpertSelection;

/// Which of a model's weights: all of them, unless something else is said.
struct WeightParts {
  bool trunk = true;                       ///< everything but the experts: embeddings, attention, norms, routers, dense layers
  std::optional<ExpertSelection> experts;  ///< empty: all
  bool whole() const { return trunk && !experts; }
};

/// What placement needs to know of a model.
policy::ExpertShape expert_shape(const ModelConfig& config);

/// A SwiGLU feed-forward: dense, or one expert.
struct FeedForwardWeights {
  PackedMatrix gate_up;  ///< outputs: gates [intermediate], then ups [intermediate]
  PackedMatrix down;
  bool loaded() const { return gate_up.data != nullptr; }
};

struct LayerWeights {
  const float* attention_norm = nullptr;  ///< [hidden]
  PackedMatrix qkv;                       ///< outputs: queries, keys, values
  const float* query_norm = nullptr;      ///< [head_dim], or null
  const float* key_norm = nullptr;        ///< [head_dim], or null
  PackedMatrix attention_output;
  const float* feed_forward_norm = nullptr;  ///< [hidden]
  FeedForwardWeights feed_forward;           ///< of a dense layer
  PackedMatrix router;                       ///< of a sparse layer; outputs: experts
  std::vector<FeedForwardWeights> experts;   ///< of a sparse layer, by expert id; those that are elsewhere are not loaded
};

/// Where everything is. Borrows the memory.
struct WeightMap {
  PackedMatrix embedding;             ///< outputs: vocabulary; inputs: hidden
  PackedMatrix output_projection;     ///< the same memory if the embeddings are tied
  const float* final_norm = nullptr;  ///< [hidden]
  std::vector<LayerWeights> layers;
};

/// Owns the weights: one allocation, every matrix and vector aligned to 64 bytes. Immutable once made.
class Weights {
 public:
  /// Reads model.safetensors (or the shards that model.safetensors.index.json names) of a Hugging Face folder, checks that
  /// exactly the tensors are there that the config implies, each with its shape, before it allocates, and packs them onto the
  /// device. Types: BF16; F16 and F32 if every value is exactly a bf16 (norms: any value). All values are finite.
  /// `not_found`, `invalid_argument` and `corrupt` name the file or the tensor, what was seen and what was expected.
  static Result<Weights> load(const std::filesystem::path& folder, const ModelConfig& config, kernels::Device& device,
                              const Progress& progress = {});
  /// The same for some parts of a model: the checkpoint must be whole, but of the other tensors no more than names and shapes
  /// are looked at, and nothing is allocated for them. `out_of_range` names an expert that the model does not have.
  static Result<Weights> load(const std::filesystem::path& folder, const ModelConfig& config, const WeightParts& parts,
                              kernels::Device& device, const Progress& progress = {});

  /// Random weights of the config's shapes, a function of the seed alone: truncated normal, scaled so that activations and
  /// logits stay tame in any number of layers.
  static Result<Weights> random(const ModelConfig& config, std::uint64_t seed, kernels::Device& device,
                                const Progress& progress = {});
  /// Some parts of them: each has the values that it has in the whole model.
  static Result<Weights> random(const ModelConfig& config, std::uint64_t seed, const WeightParts& parts,
                                kernels::Device& device, const Progress& progress = {});

  PackedMatrix embedding() const { return map_.embedding; }
  PackedMatrix output_projection() const { return map_.output_projection; }
  const float* final_norm() const { return map_.final_norm; }
  std::span<const LayerWeights> layers() const { return map_.layers; }
  bool has_trunk() const { return has_trunk_; }
  /// Those that are loaded.
  const ExpertSelection& experts() const { return experts_; }
  /// Bytes held on the device.
  std::size_t bytes() const { return memory_.bytes(); }

 private:
  class Builder;
  Weights(kernels::Memory memory, WeightMap map, bool has_trunk, ExpertSelection experts)
      : memory_(std::move(memory)), map_(std::move(map)), has_trunk_(has_trunk), experts_(std::move(experts)) {}

  kernels::Memory memory_;
  WeightMap map_;
  bool has_trunk_;
  ExpertSelection experts_;
};

/// Bytes that Weights will hold for a config on a kind of device, without loading it.
std::size_t weights_bytes(const ModelConfig& config, const WeightParts& parts = {},
                          kernels::DeviceKind kind = kernels::DeviceKind::cpu);

}  // namespace troupe::model
