// A replica that is broken on purpose, around one that is not: for operators' drills, and tests of what a model's failure
// costs. The model stays what it is for whoever looks at it, and says that it has a fault.
#pragma once

#include <functional>
#include <memory>

#include "actors/replica.hpp"
#include "policy/fault.hpp"

namespace troupe::actors {

class FaultyReplica final : public Replica {
 public:
  /// Calls `work` after a while, in the order of the moments at which it is due.
  using Delay = std::function<void(Duration after, std::function<void()> work)>;

  FaultyReplica(std::shared_ptr<Replica> replica, policy::Fault fault, std::shared_ptr<const Clock> clock, Delay delay);
  ~FaultyReplica() override;

  policy::ReplicaView view() const override;
  /// As without the fault: what cannot be read is no longer asked.
  Result<schemas::EnginePrepared> prepare(const schemas::EnginePrepare& request) const override;
  void start(std::uint64_t number, const schemas::EngineRequest& request, const std::vector<policy::Emission>& known,
             Duration time_left, OnEmission on_emission, OnEnd on_end) override;
  void cancel(std::uint64_t number) override;
  std::shared_ptr<ReplicaBlocks> blocks() const override { return replica_->blocks(); }

 private:
  class Slow;
  class Rubbish;
  struct Stuck;

  bool begun();

  std::shared_ptr<Replica> replica_;
  policy::Fault fault_;
  std::shared_ptr<const Clock> clock_;
  Delay delay_;
  std::shared_ptr<Stuck> stuck_;  ///< what never ends, and how many came before the fault
};

}  // namespace troupe::actors
