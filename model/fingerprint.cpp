#include "model/fingerprint.hpp"

#include <algorithm>
#include <bit>
#include <vector>

#include "model/checkpoint.hpp"
#include "model/mapped_file.hpp"

namespace troupe::model {

namespace {

// Grows when the order or the form of what is hashed changes.
constexpr std::uint32_t folder_version = 1;
// Grows when the same config and seed give other weights.
constexpr std::uint32_t random_weights_version = 1;

constexpr std::size_t step_bytes = std::size_t{16} << 20;

void add(Sha256& hash, std::int32_t value) { hash.add_u32(static_cast<std::uint32_t>(value)); }
void add(Sha256& hash, double value) { hash.add_u64(std::bit_cast<std::uint64_t>(value)); }

void add(Sha256& hash, const ModelConfig& config) {
  add(hash, static_cast<std::int32_t>(config.architecture));
  for (const std::int32_t value : {config.vocabulary, config.layers, config.hidden, config.intermediate, config.heads,
                                   config.kv_heads, config.head_dim, config.positions_max}) {
    add(hash, value);
  }
  add(hash, double{config.norm_epsilon});
  add(hash, config.rope_theta);
  add(hash, config.rope_scaling.has_value());
  if (config.rope_scaling) {
    add(hash, config.rope_scaling->factor);
    add(hash, config.rope_scaling->low_frequency_factor);
    add(hash, config.rope_scaling->high_frequency_factor);
    add(hash, config.rope_scaling->original_positions);
  }
  add(hash, config.tied_embeddings);
  add(hash, config.query_key_norm);
  add(hash, config.moe.has_value());
  if (config.moe) {
    for (const std::int32_t value : {config.moe->experts, config.moe->experts_per_token, config.moe->intermediate,
                                     std::int32_t{config.moe->normalize_weights}}) {
      add(hash, value);
    }
    hash.add_u64(config.moe->dense_layers.size());
    for (const std::int32_t layer : config.moe->dense_layers) add(hash, layer);
  }
  hash.add_u64(config.end_tokens.size());
  for (const TokenId token : config.end_tokens) add(hash, token);
}

}  // namespace

std::string to_hex(const Fingerprint& fingerprint) { return to_hex(std::span<const std::uint8_t>(fingerprint.bytes)); }

Result<Fingerprint> fingerprint_folder(const std::filesystem::path& folder, const Progress& progress) {
  std::vector<std::filesystem::path> paths = {folder / "config.json"};
  for (const char* optional : {"generation_config.json", "tokenizer.json"}) {
    std::error_code ignored;  // a file that is there but cannot be read fails below, when it is opened
    if (std::filesystem::exists(folder / optional, ignored)) paths.push_back(folder / optional);
  }
  TROUPE_TRY(const auto weights, weight_files(folder));
  paths.insert(paths.end(), weights.begin(), weights.end());

  std::vector<MappedFile> files;
  double total = 0;
  for (const auto& path : paths) {
    TROUPE_TRY(auto file, MappedFile::open(path));
    total += static_cast<double>(file.bytes().size());
    files.push_back(std::move(file));
  }
  Sha256 outer;
  Sha256 content;
  outer.add_text("troupe checkpoint");
  outer.add_u32(folder_version);
  double done = 0;
  for (std::size_t i = 0; i < files.size(); ++i) {
    for (auto rest = files[i].bytes(); !rest.empty();) {
      const auto step = rest.first(std::min(rest.size(), step_bytes));
      content.update(step);
      rest = rest.subspan(step.size());
      done += static_cast<double>(step.size());
      if (progress) progress(done / total);
    }
    outer.add_text(paths[i].filename().string());
    outer.add_u64(files[i].bytes().size());
    const Sha256Digest digest = content.finish();
    outer.update(std::as_bytes(std::span(digest)));
  }
  return Fingerprint{outer.finish()};
}

Fingerprint fingerprint_random(const ModelConfig& config, std::uint64_t seed) {
  Sha256 hash;
  hash.add_text("troupe random weights");
  hash.add_u32(random_weights_version);
  add(hash, config);
  hash.add_u64(seed);
  return Fingerprint{hash.finish()};
}

}  // namespace troupe::model
