// The experts of a node: those that it has loaded and answers for, and the way of its engines to those of other nodes. What it
// shall hold is decided elsewhere (policy/expert_duty.hpp, expert_actor.hpp); here it is done, off everybody's threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "cluster/expert_dispatch.hpp"
#include "cluster/expert_port.hpp"
#include "cluster/expert_server.hpp"
#include "cluster/fabric_links.hpp"
#include "cluster/work_thread.hpp"
#include "model/model.hpp"
#include "policy/expert_placement.hpp"

namespace troupe::actors {

/// A model whose experts are placed on nodes of the cluster.
struct ExpertModel {
  std::string name;
  std::filesystem::path folder;
  policy::ModelClass model;
  policy::ExpertShape shape;
  policy::ExpertPlacement placement;  ///< of all its experts
};

struct NodeExpertsOptions {
  policy::NodeId self;
  std::shared_ptr<cluster::Fabric> fabric;
  std::shared_ptr<cluster::FabricLinks> links;  ///< that tell when the fabric has lost a peer
  std::shared_ptr<const Clock> clock;
  std::uint64_t first_number = 1;  ///< of works that are sent: other than in an earlier life
  std::vector<ExpertModel> models;
  std::size_t bytes_max = 0;  ///< of experts, those that engines have loaded included
  std::function<Result<std::unique_ptr<kernels::Device>>()> open_device;
  Log log;
};

/// May be used from any thread. Whoever runs an engine with its dispatch holds it, so that it ends after the engine.
class NodeExperts {
 public:
  static Result<std::shared_ptr<NodeExperts>> create(NodeExpertsOptions options);
  /// Waits for experts that are being loaded.
  ~NodeExperts();
  NodeExperts(const NodeExperts&) = delete;
  NodeExperts& operator=(const NodeExperts&) = delete;

  const std::vector<ExpertModel>& models() const { return options_.models; }
  /// The one in that folder; null if its experts are not placed.
  const ExpertModel* find(const std::filesystem::path& folder) const;
  const ExpertModel* find(const policy::ModelClass& model) const;
  /// What the placement puts here.
  policy::ExpertSelection placed(const ExpertModel& model) const { return model.placement.of(options_.self); }

  /// Whom an engine asks for its experts. The model and the device must outlive it, and it must be held no longer than this.
  Result<std::shared_ptr<cluster::ExpertDispatch>> dispatch(const model::Model& model, kernels::Device& device,
                                                            std::int32_t rows_max);
  /// The experts that are loaded with an engine answer for others too; the owner keeps them loaded.
  Result<void> add_engine(std::shared_ptr<const model::Model> model);

  /// Loads those that are not loaded, and answers for all of these. `done` is called on a thread of this, unless it ends
  /// first: `not_found` for a model that is not placed, `too_large` if there is no room, errors of loading. One after the
  /// other.
  void load(const policy::ModelClass& model, const policy::ExpertSelection& experts, std::function<void(Result<void>)> done);
  /// No longer answers for any, and frees those that no engine has.
  void withdraw_all();
  /// Frees what was loaded beside the placement and `may_go` of.
  void withdraw_extra(const std::function<bool(const ExpertModel&, const policy::ExpertSelection&)>& may_go);

  /// By model, for the view of the node.
  std::vector<policy::ExpertsView> views() const;
  std::uint64_t bytes_free() const;

  /// Whom engines ask from now on.
  void set_holders(const policy::ModelClass& model, cluster::ExpertHolders holders);
  /// What engines have missed since this was asked last.
  std::vector<std::pair<const ExpertModel*, policy::ExpertSelection>> take_missing();

 private:
  /// Loaded together and freed together.
  struct Slab {
    const ExpertModel* model = nullptr;
    cluster::ExpertSource source;
    bool of_engine = false;
    bool served = false;
    std::size_t bytes = 0;
  };
  struct Asked;  ///< what engines of a model know of others, and lack

  explicit NodeExperts(NodeExpertsOptions options);
  Result<void> load_now(const ExpertModel& model, const policy::ExpertSelection& experts);
  Result<std::shared_ptr<const model::ExpertSlices>> read_slices(const ExpertModel& model,
                                                                 const policy::ExpertSelection& experts) const;
  Result<void> serve(Slab& slab);
  std::shared_ptr<Asked> asked(const policy::ModelClass& model) const;
  void withdraw(const std::function<bool(const Slab&)>& which);

  const NodeExpertsOptions options_;
  mutable std::mutex mutex_;
  std::vector<Slab> slabs_;                    ///< under the mutex
  std::vector<std::shared_ptr<Asked>> asked_;  ///< by place in the models; shared with dispatches
  // Each uses those before it. Threads end first of all.
  std::unique_ptr<cluster::ExpertServer> server_;
  std::shared_ptr<cluster::ExpertPort> port_;
  std::shared_ptr<void> told_of_losses_;
  std::shared_ptr<cluster::WorkThread> computing_ = std::make_shared<cluster::WorkThread>();
  std::shared_ptr<cluster::WorkThread> waiting_ = std::make_shared<cluster::WorkThread>();  ///< for deadlines
  cluster::WorkThread loading_;
};

}  // namespace troupe::actors
