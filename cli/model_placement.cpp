// troupe model placement: shares a model's experts out among nodes.
#include <charconv>
#include <iostream>

#include "cli/command.hpp"
#include "model/model.hpp"
#include "schemas/placement_file.hpp"

namespace troupe::cli {

namespace {

struct PlacementOptions {
  std::string model;
  std::vector<std::string> nodes;
  std::int32_t replicas = 1;
};

constexpr std::int64_t mebibytes_default = 1024;  // as a node's --expert-memory
constexpr std::int64_t mebibytes_max = std::int64_t{1} << 30;

Result<policy::ExpertRoom> room_of(const std::string& text) {
  const std::size_t equals = text.find('=');
  std::int64_t mebibytes = mebibytes_default;
  if (equals != std::string::npos) {
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + equals + 1, end, mebibytes);
    if (error != std::errc{} || stop != end || mebibytes < 0 || mebibytes > mebibytes_max) mebibytes = -1;
  }
  if (equals == 0 || text.empty() || mebibytes < 0) {
    return Error{ErrorCode::invalid_argument,
                 "--node is \"" + text + "\", expected a name, or a name with its room in MiB: a=512"};
  }
  return policy::ExpertRoom{{text.substr(0, equals)}, static_cast<std::size_t>(mebibytes) << 20};
}

Result<int> print_placement(const PlacementOptions& options) {
  std::vector<policy::ExpertRoom> rooms;
  for (const std::string& node : options.nodes) {
    TROUPE_TRY(auto room, room_of(node));
    rooms.push_back(std::move(room));
  }
  TROUPE_TRY(const auto folder, find_model(options.model));
  TROUPE_TRY(const auto config, model::load_config(folder / "config.json"));
  const policy::ExpertShape shape = model::expert_shape(config);
  if (shape.sparse.empty()) return Error{ErrorCode::invalid_argument, "model " + options.model + " has no experts"};
  TROUPE_TRY(const auto placement, policy::place_experts(shape, std::move(rooms), options.replicas));
  std::cout << schemas::to_toml(policy::entries_of(placement, options.model));
  return 0;
}

}  // namespace

void add_model_placement(CLI::App& model, Action& action) {
  auto options = std::make_shared<PlacementOptions>();
  CLI::App& command =
      *model.add_subcommand("placement", "Share a model's experts out among nodes, for troupe node --placement");
  command.footer(
      "Nodes get equal shares of every layer, a full node less and the others more.\n"
      "Example:  troupe model placement heavy --node a --node b=512 --node c --replicas 2 > placement.toml");
  command.add_option("model", options->model, "A Hugging Face folder, or a bundled model: heavy")->required();
  command.add_option("--node", options->nodes, "A node's name, or NAME=MIB with its room for experts (default: 1024 MiB)")
      ->required();
  command.add_option("--replicas", options->replicas, "On how many nodes each expert is")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.callback([options, &action] { action = [options] { return print_placement(*options); }; });
}

}  // namespace troupe::cli
