// A model ready to run: its shape, its weights on a device, its tokenizer and chat template, and the fingerprint that names it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"
#include "kernels/device.hpp"
#include "model/chat_template.hpp"
#include "model/config.hpp"
#include "model/fingerprint.hpp"
#include "model/tokenizer.hpp"
#include "model/weights.hpp"

namespace troupe::model {

/// Immutable once loaded; the device must outlive it.
struct Model {
  ModelConfig config;
  Weights weights;
  Fingerprint fingerprint;
  std::unique_ptr<const Tokenizer> tokenizer;  ///< null for random weights
  std::optional<ChatTemplate> chat_template;   ///< empty if the folder has none

  /// Reads a Hugging Face folder: config.json, generation_config.json (optional), tokenizer.json, tokenizer_config.json
  /// (optional), safetensors. Errors name the file and the field.
  static Result<Model> load(const std::filesystem::path& folder, kernels::Device& device, const Progress& progress = {});
  /// With the trunk, but only some experts: others compute the rest. The fingerprint is that of the whole model.
  static Result<Model> load(const std::filesystem::path& folder, const ExpertSelection& experts, kernels::Device& device,
                            const Progress& progress = {});
  /// Random weights of a config's shapes, for tests and benchmarks.
  static Result<Model> random(const ModelConfig& config, std::uint64_t seed, kernels::Device& device,
                              const Progress& progress = {});
  static Result<Model> random(const ModelConfig& config, std::uint64_t seed, const ExpertSelection& experts,
                              kernels::Device& device, const Progress& progress = {});
};

/// Some experts of a model, and nothing else of it: what a node holds that answers for experts but runs no sequences.
/// Immutable once loaded; the device must outlive it.
struct ExpertSlices {
  ModelConfig config;
  Weights weights;
  Fingerprint fingerprint;  ///< of the whole model

  /// Reads a Hugging Face folder's config.json and safetensors. `out_of_range` names an expert that the model does not have.
  static Result<ExpertSlices> load(const std::filesystem::path& folder, const ExpertSelection& experts, kernels::Device& device,
                                   const Progress& progress = {});
  static Result<ExpertSlices> random(const ModelConfig& config, std::uint64_t seed, const ExpertSelection& experts,
                                     kernels::Device& device, const Progress& progress = {});
};

}  // namespace troupe::model
