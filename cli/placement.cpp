#include "cli/placement.hpp"

#include <algorithm>
#include <limits>

#include "cli/command.hpp"
#include "kernels/numeric_class.hpp"
#include "model/file.hpp"
#include "schemas/placement_file.hpp"

namespace troupe::cli {

namespace {

Result<actors::ExpertModel> read_model(const std::vector<policy::ExpertEntry>& entries, const policy::ExpertEntry& first) {
  auto folder = find_model(first.model);
  if (!folder) return std::move(folder).error().within(first.where);
  actors::ExpertModel model;
  model.name = first.model;
  model.folder = *std::move(folder);
  TROUPE_TRY(const auto config, model::load_config(model.folder / "config.json"));
  model.shape = model::expert_shape(config);
  if (model.shape.sparse.empty()) {
    return Error{ErrorCode::invalid_argument, first.where + ": model " + model.name +
                                                  " has no experts; expected one with mixture-of-experts layers, as heavy"};
  }
  TROUPE_TRY(model.placement, policy::placement_of(entries, model.name, model.shape));
  // Who is there, and has room, each node knows of itself alone.
  std::vector<policy::ExpertRoom> rooms;
  for (const policy::ExpertEntry& entry : entries) rooms.push_back({entry.node, std::numeric_limits<std::size_t>::max()});
  if (auto valid = policy::validate(model.placement, model.shape, rooms); !valid)
    return std::move(valid).error().within("model " + model.name);
  TROUPE_TRY(const auto fingerprint,
             model::fingerprint_folder(model.folder, show_progress("looking at " + model.folder.string())));
  model.model = {to_hex(fingerprint), std::string(kernels::numeric_class(kernels::DeviceKind::cpu))};
  return model;
}

}  // namespace

Result<std::vector<actors::ExpertModel>> read_expert_models(const std::string& file) {
  TROUPE_TRY(const auto text, model::read_file(file, schemas::placement_file_bytes_max));
  TROUPE_TRY(const auto entries, schemas::parse_placement(text, file));
  if (entries.empty()) {
    return Error{ErrorCode::invalid_argument, file + ": it places nothing; expected [[experts]] as in deploy/placement.toml"};
  }
  std::vector<actors::ExpertModel> models;
  for (const policy::ExpertEntry& entry : entries) {
    const bool known = std::any_of(models.begin(), models.end(), [&](const auto& each) { return each.name == entry.model; });
    if (known) continue;
    auto model = read_model(entries, entry);
    if (!model) {  // what is about one entry says where that is
      return model.error().message.starts_with(file) ? model.error() : std::move(model).error().within(file);
    }
    for (const auto& other : models) {
      if (other.model != model->model) continue;
      return Error{ErrorCode::invalid_argument,
                   file + ": " + other.name + " and " + model->name + " are the same model; use one name for it"};
    }
    models.push_back(*std::move(model));
  }
  return models;
}

}  // namespace troupe::cli
