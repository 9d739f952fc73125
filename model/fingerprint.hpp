// Which model this is, bit for bit. Part of every KV block's identity and of every record of an answer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/result.hpp"
#include "model/config.hpp"
#include "model/digest.hpp"

namespace troupe::model {

/// SHA-256 over what decides the answers of a model.
struct Fingerprint {
  Sha256Digest bytes{};
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};
std::string to_hex(const Fingerprint& fingerprint);

/// Told how much of a long piece of work is done, from 0 to 1, ascending. May be empty.
using Progress = std::function<void(double)>;

/// The fingerprint of a Hugging Face folder: over (name, length, content's SHA-256) of config.json, generation_config.json,
/// tokenizer.json, and the weights files as `weight_files()` orders them. config.json and weights must be there; a change of
/// any byte of these files, or one of them appearing, changes it. Reads everything: about 0.6 s per GB with SHA instructions.
Result<Fingerprint> fingerprint_folder(const std::filesystem::path& folder, const Progress& progress = {});

/// The fingerprint of `Weights::random(config, seed)`.
Fingerprint fingerprint_random(const ModelConfig& config, std::uint64_t seed);

}  // namespace troupe::model
