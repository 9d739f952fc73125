// A replica with everything that it consists of: a device, a model, an engine, and the thread that drives it.
#pragma once

#include <filesystem>
#include <memory>

#include "actors/engine_replica.hpp"
#include "actors/node_experts.hpp"
#include "engine/engine_thread.hpp"
#include "kernels/device.hpp"
#include "model/model.hpp"

namespace troupe::actors {

class ModelReplica final : public Replica {
 public:
  /// Loads the model in `folder` onto `device`. If its experts are placed on nodes, only those of them that are placed here;
  /// `experts`, which may be null, has the others computed.
  static Result<std::unique_ptr<ModelReplica>> load(const std::filesystem::path& folder,
                                                    std::unique_ptr<kernels::Device> device,
                                                    const engine::EngineOptions& options, std::uint32_t index,
                                                    policy::Tier tier, std::string model_name,
                                                    const model::Progress& progress = {},
                                                    const std::shared_ptr<NodeExperts>& experts = nullptr);
  ~ModelReplica() override;

  policy::ReplicaView view() const override { return replica_->view(); }
  Result<schemas::EnginePrepared> prepare(const schemas::EnginePrepare& request) const override {
    return replica_->prepare(request);
  }
  void start(std::uint64_t number, const schemas::EngineRequest& request, const std::vector<policy::Emission>& known,
             Duration time_left, OnEmission on_emission, OnEnd on_end) override {
    replica_->start(number, request, known, time_left, std::move(on_emission), std::move(on_end));
  }
  void cancel(std::uint64_t number) override { replica_->cancel(number); }
  std::shared_ptr<ReplicaBlocks> blocks() const override { return replica_->blocks(); }
  const engine::MemoryPlan& memory_plan() const { return engine_->memory_plan(); }

 private:
  ModelReplica() = default;

  /// Held by whoever answers for its experts too.
  struct Loaded {
    std::unique_ptr<kernels::Device> device;
    std::optional<model::Model> model;
  };

  // Each uses those before it. The thread goes first, since it calls all others; then the engine, whose sequences are the
  // replica's, and which waits for works of the dispatch; its experts' way to other nodes goes last.
  std::shared_ptr<const Clock> clock_;
  std::shared_ptr<NodeExperts> experts_;
  std::shared_ptr<Loaded> loaded_;
  std::shared_ptr<cluster::ExpertDispatch> dispatch_;
  std::unique_ptr<EngineReplica> replica_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<engine::EngineThread> thread_;
};

}  // namespace troupe::actors
