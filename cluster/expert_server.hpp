// Answers for the experts that a node has loaded, of one or more models: takes rows from the fabric, computes them one work
// after the other, and sends the results back. What an expert answers for a row depends on that row alone, so it does not
// matter who asks, or in what company.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "cluster/fabric.hpp"
#include "cluster/work_thread.hpp"
#include "kernels/device.hpp"
#include "model/model.hpp"
#include "policy/expert_selection.hpp"
#include "policy/portfolio.hpp"

namespace troupe::cluster {

/// Loaded experts, with what keeps them loaded. Their weights lie where the server's device reads them.
struct ExpertSource {
  policy::ModelClass model;
  std::shared_ptr<const void> owner;
  const model::ModelConfig* config = nullptr;
  const model::Weights* weights = nullptr;
};
/// The numeric class is that of the device that will compute.
ExpertSource source_of(std::shared_ptr<const model::ExpertSlices> slices, kernels::DeviceKind device);
/// A model that runs sequences here answers for its experts too.
ExpertSource source_of(std::shared_ptr<const model::Model> model, kernels::DeviceKind device);

struct ExpertServerLimits {
  std::size_t works_max = 256;                     ///< that wait or are computed; one more is `overloaded`
  std::size_t bytes_max = std::size_t{256} << 20;  ///< of works, and of results that are under way; more is `overloaded`
  std::int32_t rows_max = 256;                     ///< computed in one go; more take several
  Duration answer_max = std::chrono::seconds(10);  ///< from a work's arrival until its results have left
};

struct ExpertServerCounters {
  std::uint64_t works = 0;  ///< answered with results
  std::uint64_t slots = 0;  ///< of them
  std::uint64_t refused = 0;
  std::uint64_t unreadable = 0;  ///< messages that could not even be refused
  Duration computing{};
  Duration framing{};  ///< reading works and making room for results
};

/// May be used from any thread; computes where `runner` runs it, one work at a time.
class ExpertServer {
 public:
  /// Listens on `Channel::expert_work`. Fabric and clock must outlive it. The device is its own, and must be one whose memory
  /// the host reaches: `unsupported` otherwise. `runner` runs its computing, in order: a thread, or a simulation's loop.
  static Result<std::unique_ptr<ExpertServer>> create(Fabric& fabric, const Clock& clock, Schedule runner,
                                                      std::unique_ptr<kernels::Device> device,
                                                      const ExpertServerLimits& limits = {});
  /// Waits for the work that is being computed; the others are not answered.
  ~ExpertServer();
  ExpertServer(const ExpertServer&) = delete;
  ExpertServer& operator=(const ExpertServer&) = delete;

  /// Answers for these experts from now on. `overloaded` if the device has no memory for their activations.
  Result<void> serve(ExpertSource source);
  /// No longer answers for what was served with this owner; its memory is free once the work that is being computed is done.
  void withdraw(const std::shared_ptr<const void>& owner);
  /// What it answers for.
  policy::ExpertSelection served(const policy::ModelClass& model) const;
  /// Works that wait or are computed: a measure of load.
  std::int64_t load() const;
  ExpertServerCounters counters() const;

  /// A work of this node itself, without the fabric. `reply` is called once, unless the server ends first, or the work
  /// is so damaged that it cannot be answered.
  void submit(Payload work, std::function<void(Payload)> reply);

 private:
  class Core;
  ExpertServer(Fabric& fabric, std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
  Fabric& fabric_;
};

}  // namespace troupe::cluster
