#include "model/model.hpp"

#include <string>
#include <utility>

namespace troupe::model {

Result<Model> Model::load(const std::filesystem::path& folder, kernels::Device& device, const Progress& progress) {
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
  // Most of the time goes into packing; hashing is the rest.
  constexpr double packing = 0.7;
  const auto part = [&](double from, double share) -> Progress {
    if (!progress) return {};
    return [&progress, from, share](double done) { progress(from + share * done); };
  };
  TROUPE_TRY(Weights weights, Weights::load(folder, config, device, part(0, packing)));
  TROUPE_TRY(const Fingerprint fingerprint, fingerprint_folder(folder, part(packing, 1 - packing)));
  return Model{std::move(config), std::move(weights), fingerprint, std::make_unique<const Tokenizer>(std::move(tokenizer)),
               std::move(chat_template)};
}

Result<Model> Model::random(const ModelConfig& config, std::uint64_t seed, kernels::Device& device, const Progress& progress) {
  TROUPE_TRY(Weights weights, Weights::random(config, seed, device, progress));
  return Model{config, std::move(weights), fingerprint_random(config, seed), nullptr, std::nullopt};
}

}  // namespace troupe::model
