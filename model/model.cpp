#include "model/model.hpp"

#include <string>
#include <utility>

namespace troupe::model {

namespace {

/// Most of the time of loading goes into packing; hashing is the rest.
constexpr double packing = 0.7;

Progress part(const Progress& progress, double from, double share) {
  if (!progress) return {};
  return [&progress, from, share](double done) { progress(from + share * done); };
}

Result<Model> load_model(const std::filesystem::path& folder, const WeightParts& parts, kernels::Device& device,
                         const Progress& progress) {
  TROUPE_TRY(ModelConfig config, load_config(folder / "config.json"));
  TROUPE_TRY(Tokenizer tokenizer, Tokenizer::load(folder / "tokenizer.json"));
  if (tokenizer.vocabulary_size() > config.vocabulary) {
    return Error{ErrorCode::invalid_argument,
                 folder.string() + ": tokenizer.json has " + std::to_string(tokenizer.vocabulary_size()) +
                     " tokens, but config.json says vocab_size " + std::to_string(config.vocabulary)};
  }
  std::optional<ChatTemplate> chat_template;
  if (auto loaded = ChatTemplate::load(folder)) {
    chat_template = *std::move(loaded);
  } else if (loaded.error().code != ErrorCode::not_found) {
    return Error(std::move(loaded).error());
  }
  TROUPE_TRY(Weights weights, Weights::load(folder, config, parts, device, part(progress, 0, packing)));
  TROUPE_TRY(const Fingerprint fingerprint, fingerprint_folder(folder, part(progress, packing, 1 - packing)));
  return Model{std::move(config), std::move(weights), fingerprint, std::make_unique<const Tokenizer>(std::move(tokenizer)),
               std::move(chat_template)};
}

Result<Model> random_model(const ModelConfig& config, std::uint64_t seed, const WeightParts& parts, kernels::Device& device,
                           const Progress& progress) {
  TROUPE_TRY(Weights weights, Weights::random(config, seed, parts, device, progress));
  return Model{config, std::move(weights), fingerprint_random(config, seed), nullptr, std::nullopt};
}

}  // namespace

Result<Model> Model::load(const std::filesystem::path& folder, kernels::Device& device, const Progress& progress) {
  return load_model(folder, {}, device, progress);
}

Result<Model> Model::load(const std::filesystem::path& folder, const ExpertSelection& experts, kernels::Device& device,
                          const Progress& progress) {
  return load_model(folder, {.trunk = true, .experts = experts}, device, progress);
}

Result<Model> Model::random(const ModelConfig& config, std::uint64_t seed, kernels::Device& device, const Progress& progress) {
  return random_model(config, seed, {}, device, progress);
}

Result<Model> Model::random(const ModelConfig& config, std::uint64_t seed, const ExpertSelection& experts,
                            kernels::Device& device, const Progress& progress) {
  return random_model(config, seed, {.trunk = true, .experts = experts}, device, progress);
}

Result<ExpertSlices> ExpertSlices::load(const std::filesystem::path& folder, const ExpertSelection& experts,
                                        kernels::Device& device, const Progress& progress) {
  TROUPE_TRY(ModelConfig config, load_config(folder / "config.json"));
  const WeightParts parts{.trunk = false, .experts = experts};
  TROUPE_TRY(Weights weights, Weights::load(folder, config, parts, device, part(progress, 0, packing)));
  TROUPE_TRY(const Fingerprint fingerprint, fingerprint_folder(folder, part(progress, packing, 1 - packing)));
  return ExpertSlices{std::move(config), std::move(weights), fingerprint};
}

Result<ExpertSlices> ExpertSlices::random(const ModelConfig& config, std::uint64_t seed, const ExpertSelection& experts,
                                          kernels::Device& device, const Progress& progress) {
  const WeightParts parts{.trunk = false, .experts = experts};
  TROUPE_TRY(Weights weights, Weights::random(config, seed, parts, device, progress));
  return ExpertSlices{config, std::move(weights), fingerprint_random(config, seed)};
}

}  // namespace troupe::model
