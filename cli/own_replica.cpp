#include "cli/own_replica.hpp"

#include <utility>

namespace troupe::cli {

Result<OwnReplica> load_own_replica(const std::string& model, policy::Tier tier, std::uint32_t index, std::size_t to_load,
                                    const DeviceChoice& device, const EngineChoice& engine,
                                    const std::shared_ptr<actors::NodeExperts>& experts) {
  TROUPE_TRY(const auto folder, find_model(model));
  TROUPE_TRY(auto opened, device.open());
  OwnReplica own;
  own.device = opened->description();
  engine::EngineOptions options = engine.options(opened->kind());
  options.gpu_share = 1.0 / static_cast<double>(to_load);
  TROUPE_TRY(own.replica,
             actors::ModelReplica::load(folder, std::move(opened), options, index, tier, folder.filename().string(),
                                        show_progress("loading " + folder.string()), experts));
  return own;
}

}  // namespace troupe::cli
