#include "schemas/placement_file.hpp"

#include <optional>

#include "schemas/toml_reader.hpp"

namespace troupe::schemas {

namespace {

using policy::ExpertEntry;

constexpr std::size_t name_bytes_max = 1024;

std::optional<std::string> name_of(std::string_view text) {
  if (text.empty() || text.size() > name_bytes_max) return std::nullopt;
  return std::string(text);
}

std::optional<std::vector<policy::IndexRange>> ranges_of(std::string_view text) {
  auto ranges = policy::parse_ranges(text);
  if (!ranges) return std::nullopt;
  return *std::move(ranges);
}

Result<ExpertEntry> entry_of(const toml::table& table, const std::string& file, std::size_t number) {
  const std::string name = "a name of 1 to " + std::to_string(name_bytes_max) + " bytes";
  const std::string ranges =
      "ascending numbers from 0 to " + std::to_string(policy::index_max) + " as in \"0-3,7\", or \"all\"";
  ExpertEntry entry;
  TomlReader reader(table, file, "experts[" + std::to_string(number) + "].");
  TROUPE_TRY_DO(reader.require("model", "every entry"));
  TROUPE_TRY_DO(reader.require("node", "every entry"));
  TROUPE_TRY_DO(reader.read_text("model", entry.model, name, name_of));
  TROUPE_TRY_DO(reader.read_text("node", entry.node.value, name, name_of));
  TROUPE_TRY_DO(reader.read_text("layers", entry.layers, ranges, ranges_of));
  TROUPE_TRY_DO(reader.read_text("experts", entry.experts, ranges, ranges_of));
  TROUPE_TRY_DO(reader.finish());
  entry.where = reader.place();
  return entry;
}

Result<std::vector<ExpertEntry>> entries_of(const toml::table& table, const std::string& file) {
  std::vector<ExpertEntry> entries;
  TomlReader reader(table, file, "");
  TROUPE_TRY(const auto* listed, reader.tables("experts", placement_entries_max));
  for (std::size_t i = 0; listed != nullptr && i < listed->size(); ++i) {
    TROUPE_TRY(auto entry, entry_of(*listed->get_as<toml::table>(i), file, i + 1));
    entries.push_back(std::move(entry));
  }
  TROUPE_TRY_DO(reader.finish());
  return entries;
}

}  // namespace

Result<std::vector<ExpertEntry>> parse_placement(std::string_view text, const std::string& file) {
  return parse_toml(text, file, "a placement", placement_file_bytes_max, entries_of);
}

std::string to_toml(std::span<const ExpertEntry> entries) {
  std::string text;
  for (const ExpertEntry& entry : entries) {
    text += std::string(text.empty() ? "" : "\n") + "[[experts]]\nmodel = " + toml_quoted(entry.model) +
            "\nnode = " + toml_quoted(entry.node.value) + "\n";
    if (!entry.layers.empty()) text += "layers = \"" + to_string(entry.layers) + "\"\n";
    if (!entry.experts.empty()) text += "experts = \"" + to_string(entry.experts) + "\"\n";
  }
  return text;
}

}  // namespace troupe::schemas
