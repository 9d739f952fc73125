// The tensors of a Hugging Face folder by name, whether they are in one safetensors file or in shards.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "model/safetensors.hpp"

namespace troupe::model {

inline constexpr std::size_t shards_max = 4096;

/// Owns the mapped files that its tensors are views of.
class Checkpoint {
 public:
  /// Opens model.safetensors, or else the shards that model.safetensors.index.json names. Shards and index must agree: each
  /// tensor of the index is in the shard that it names, and a shard has no others.
  static Result<Checkpoint> open(const std::filesystem::path& folder);

  /// Ascending, each once.
  const std::vector<std::string>& names() const { return names_; }
  bool has(std::string_view name) const;
  /// `not_found` names the tensor.
  Result<TensorView> find(std::string_view name) const;

 private:
  Checkpoint() = default;

  std::vector<SafetensorsFile> files_;
  std::vector<std::string> names_;
  std::vector<std::size_t> file_of_name_;  // beside names_
};

/// The files that hold a folder's weights: model.safetensors alone, or model.safetensors.index.json and then its shards,
/// ascending by name. `not_found` says what was looked for; `invalid_argument` if a shard's name leads out of the folder.
Result<std::vector<std::filesystem::path>> weight_files(const std::filesystem::path& folder);

}  // namespace troupe::model
