#include "model/checkpoint.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "model/file.hpp"
#include "model/json.hpp"

namespace troupe::model {

namespace {

constexpr std::size_t index_bytes_max = std::size_t{32} << 20;
constexpr const char* single_name = "model.safetensors";
constexpr const char* index_name = "model.safetensors.index.json";

/// Which shard has which tensor.
using Index = std::map<std::string, std::string>;

bool is_plain_name(std::string_view name) {
  return name.ends_with(".safetensors") && name.size() <= 255 && name.front() != '.' &&
         name.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

Result<Index> read_index(const std::filesystem::path& path) {
  TROUPE_TRY(const auto text, read_file(path, index_bytes_max));
  TROUPE_TRY(const auto document, parse_json(text, path.string(), index_bytes_max));
  TROUPE_TRY(const auto root, JsonObject::of(document, path.string()));
  TROUPE_TRY(const auto map, root.object("weight_map"));
  Index index;
  for (const auto& [tensor, value] : map.value().items()) {
    TROUPE_TRY(const auto shard, map.string(tensor));
    if (!is_plain_name(shard)) return map.unexpected(tensor, "the name of a .safetensors file in the same folder");
    index.emplace(tensor, shard);
  }
  if (index.empty()) return root.unexpected("weight_map", "at least one tensor");
  return index;
}

std::vector<std::string> shards_of(const Index& index) {
  std::vector<std::string> shards;
  for (const auto& [tensor, shard] : index) shards.push_back(shard);
  std::sort(shards.begin(), shards.end());
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
  return shards;
}

/// The folder's index, or none if its weights are in a single file.
Result<std::optional<Index>> find_index(const std::filesystem::path& folder) {
  std::error_code ignored;  // what cannot be looked at cannot be opened either, and then the error has a name
  if (std::filesystem::exists(folder / single_name, ignored)) return std::optional<Index>{};
  auto index = read_index(folder / index_name);
  if (!index && index.error().code == ErrorCode::not_found && !std::filesystem::exists(folder / index_name, ignored)) {
    return Error{ErrorCode::not_found, folder.string() + ": has neither " + single_name + " nor " + index_name +
                                           "; expected a Hugging Face folder saved with safe serialization"};
  }
  TROUPE_TRY(auto found, std::move(index));
  if (const auto shards = shards_of(found).size(); shards > shards_max) {
    return Error{ErrorCode::too_large, (folder / index_name).string() + ": names " + std::to_string(shards) +
                                           " files, at most " + std::to_string(shards_max) + " are accepted"};
  }
  return std::optional(std::move(found));
}

}  // namespace

Result<std::vector<std::filesystem::path>> weight_files(const std::filesystem::path& folder) {
  TROUPE_TRY(const auto index, find_index(folder));
  if (!index) return std::vector{folder / single_name};
  std::vector paths = {folder / index_name};
  for (const auto& shard : shards_of(*index)) paths.push_back(folder / shard);
  return paths;
}

Result<Checkpoint> Checkpoint::open(const std::filesystem::path& folder) {
  TROUPE_TRY(const auto index, find_index(folder));
  Checkpoint checkpoint;
  std::map<std::string, std::size_t> places;
  for (const auto& shard : index ? shards_of(*index) : std::vector<std::string>{single_name}) {
    TROUPE_TRY(auto file, SafetensorsFile::open(folder / shard));
    for (const auto name : file.names()) {
      if (index) {
        const auto entry = index->find(std::string(name));
        if (entry == index->end() || entry->second != shard) {
          return Error{ErrorCode::corrupt, (folder / shard).string() + ": has tensor \"" + std::string(name) + "\", which " +
                                               index_name + (entry == index->end() ? " does not name" : " places elsewhere")};
        }
      }
      places.emplace(name, checkpoint.files_.size());
    }
    checkpoint.files_.push_back(std::move(file));
  }
  if (index) {
    for (const auto& [tensor, shard] : *index) {
      if (places.contains(tensor)) continue;
      return Error{ErrorCode::corrupt,
                   (folder / index_name).string() + ": places tensor \"" + tensor + "\" in " + shard + ", which lacks it"};
    }
  }
  for (auto& [name, file] : places) {
    checkpoint.names_.push_back(name);
    checkpoint.file_of_name_.push_back(file);
  }
  return checkpoint;
}

bool Checkpoint::has(std::string_view name) const { return std::binary_search(names_.begin(), names_.end(), name); }

Result<TensorView> Checkpoint::find(std::string_view name) const {
  const auto place = std::lower_bound(names_.begin(), names_.end(), name);
  if (place == names_.end() || *place != name) {
    return Error{ErrorCode::not_found, "the weights have no tensor \"" + std::string(name) + "\""};
  }
  return files_[file_of_name_[static_cast<std::size_t>(place - names_.begin())]].find(name);
}

}  // namespace troupe::model
