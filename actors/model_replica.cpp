#include "actors/model_replica.hpp"

#include <utility>

namespace troupe::actors {

Result<std::unique_ptr<ModelReplica>> ModelReplica::load(const std::filesystem::path& folder,
                                                         std::unique_ptr<kernels::Device> device,
                                                         const engine::EngineOptions& options, std::uint32_t index,
                                                         policy::Tier tier, std::string model_name,
                                                         const model::Progress& progress) {
  std::unique_ptr<ModelReplica> replica(new ModelReplica);
  replica->clock_ = std::make_shared<SystemClock>();
  replica->device_ = std::move(device);
  TROUPE_TRY(auto model, model::Model::load(folder, *replica->device_, progress));
  replica->model_.emplace(std::move(model));
  TROUPE_TRY(replica->engine_, engine::Engine::create(*replica->model_, *replica->device_, *replica->clock_, options));
  replica->thread_ = std::make_unique<engine::EngineThread>(*replica->engine_, *replica->clock_);
  replica->replica_ = std::make_unique<EngineReplica>(
      *replica->model_, *replica->engine_, replica->clock_, index, tier, std::move(model_name),
      [thread = replica->thread_.get()](std::function<void(engine::Engine&)> work) { thread->post(std::move(work)); });
  return replica;
}

ModelReplica::~ModelReplica() {
  if (replica_) replica_->close();
}

}  // namespace troupe::actors
