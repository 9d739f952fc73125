// An engine whose experts are on other nodes, all in one thread and on virtual time: what happens when is drawn from a seed.
// Used by expert_dispatch_test.cpp.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.hpp"
#include "cluster/expert_dispatch.hpp"
#include "cluster/expert_port.hpp"
#include "cluster/expert_server.hpp"
#include "cluster/local_fabric.hpp"
#include "engine/engine.hpp"
#include "kernels/cpu_device.hpp"
#include "tests/support/bits_universe.hpp"

namespace troupe::tests {

/// Runs what is scheduled in the order of its time, and moves the clock there.
class EventLoop {
 public:
  cluster::Schedule schedule();
  /// False if nothing is scheduled.
  bool run_next();
  const ManualClock& clock() const { return clock_; }

 private:
  ManualClock clock_;
  std::uint64_t given_ = 0;
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> events_;
};

/// The order in which the results of one layer arrived, as somebody sees it who looks at the output after every event; and a
/// kernel that adds them in this order, which is what must never be.
class ArrivalOrder {
 public:
  /// From now on until it ends. One at a time.
  ArrivalOrder();
  ~ArrivalOrder();
  ArrivalOrder(const ArrivalOrder&) = delete;
  ArrivalOrder& operator=(const ArrivalOrder&) = delete;

  /// Operations that add a row's results in the order in which they arrived.
  static const kernels::CpuOps* broken_operations();
  void begin(const model::ExpertWork& work, std::int32_t hidden);
  void look();
  /// Its memory is about to go.
  void forget(float* output) { layers_.erase(output); }

 private:
  friend void combine_by_arrival(const kernels::MoeCombine& arguments, kernels::Range rows);
  struct Layer {
    std::size_t slots = 0;
    std::int32_t hidden = 0;
    std::vector<std::uint64_t> arrived;  ///< by slot; 0: not yet
  };
  std::uint64_t now_ = 1;
  std::map<float*, Layer> layers_;  ///< by output
};

/// A dispatch whose arrivals are watched, if somebody does.
class WatchedExperts final : public model::Experts {
 public:
  WatchedExperts(model::Experts& inner, std::int32_t hidden) : inner_(inner), hidden_(hidden) {}
  /// After the engine whose works it has watched.
  ~WatchedExperts() override;
  void compute(const model::ExpertWork& work, model::ExpertsDone done) override;
  ArrivalOrder* arrivals = nullptr;

 private:
  model::Experts& inner_;
  std::int32_t hidden_;
  std::set<float*> outputs_;
};

struct ExpertClusterOptions {
  const TinyModel* tiny = nullptr;
  policy::ExpertSelection here;  ///< loaded beside the engine
  engine::EngineOptions engine;
  cluster::ExpertDispatchOptions dispatch;  ///< without holders and on_missing
  cluster::LocalFaults faults;
  const kernels::CpuOps* operations = nullptr;  ///< of the engine's device
};

class ExpertCluster {
 public:
  static inline const policy::NodeId self{"engine"};

  explicit ExpertCluster(ExpertClusterOptions options);
  ~ExpertCluster();
  ExpertCluster(const ExpertCluster&) = delete;
  ExpertCluster& operator=(const ExpertCluster&) = delete;

  /// Starts a node that answers for some experts, and tells the engine's node of it.
  cluster::ExpertServer& start(const std::string& name, const policy::ExpertSelection& experts,
                               const cluster::ExpertServerLimits& limits = {});
  /// What a node sends as its answer passes here first: none, or several. Call it with `send`.
  using Send = std::function<void(cluster::Payload)>;
  void mangle(const std::string& name, std::function<void(cluster::Payload answer, const Send& send)> mangled);
  /// The node is gone at once, and found lost.
  void kill(const std::string& name);
  void tell_holders(std::function<void(cluster::ExpertHolders&)> change);
  /// This node answers for more experts itself.
  void serve_here(const policy::ExpertSelection& experts);

  /// Answers all requests; the clock moves only while there is nothing else to do. False if it stands still before the end.
  bool answer(const std::vector<std::pair<engine::GenerateRequest, engine::Listener*>>& requests);
  bool run_next();
  cluster::Fabric& fabric_of(const std::string& name) { return *nodes_.at(name).fabric; }

  EventLoop loop;
  std::vector<policy::ExpertSelection> missing;                    ///< what was reported
  std::function<void(const policy::ExpertSelection&)> on_missing;  ///< besides
  std::function<void()> before_event;
  ArrivalOrder* arrivals = nullptr;
  std::unique_ptr<cluster::ExpertPort> port;
  std::unique_ptr<cluster::ExpertDispatch> dispatch;
  std::unique_ptr<engine::Engine> engine;

 private:
  struct Node {
    std::unique_ptr<cluster::Fabric> fabric;
    std::unique_ptr<cluster::ExpertServer> server;
  };
  std::unique_ptr<cluster::Fabric> join(const std::string& name);

  ExpertClusterOptions options_;
  cluster::LocalHub hub_;
  std::unique_ptr<kernels::CpuDevice> device_;
  std::unique_ptr<model::Model> model_;
  std::shared_ptr<const cluster::ExpertHolders> holders_ = std::make_shared<cluster::ExpertHolders>();
  std::unique_ptr<cluster::Fabric> fabric_;
  std::unique_ptr<cluster::ExpertServer> here_;
  std::unique_ptr<WatchedExperts> watched_;
  std::map<std::string, Node> nodes_;
  bool woken_ = false;
};

}  // namespace troupe::tests
