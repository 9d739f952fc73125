// The experts of one engine, wherever they are: those that are loaded here are computed here, the others by the nodes that hold
// them, in one message for each layer and node. What comes back is written to the slots that it belongs to, in whatever order
// it comes; since the layer adds its slots in the order of expert ids, none of this can be seen in the result.
//
// A node that is lost, refuses or is late has its slots sent to another one. If none is left, somebody is told which experts
// are missing, and the work waits for a holder; in the end it fails.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "cluster/expert_port.hpp"
#include "kernels/device.hpp"
#include "model/experts.hpp"
#include "model/model.hpp"
#include "policy/expert_placement.hpp"

namespace troupe::cluster {

/// Who holds which experts of the model now, this node left out unless its ExpertServer answers for them.
using ExpertHolders = std::vector<policy::ExpertHolder>;

struct ExpertDispatchOptions {
  Duration answer_max = std::chrono::seconds(2);  ///< for one message, there and back; then another holder is asked
  Duration retry_pause =
      std::chrono::milliseconds(200);               ///< before a node is asked again after it failed, and holders are looked up
  Duration trouble_max = std::chrono::seconds(20);  ///< from the first trouble of a work until it fails as `unavailable`
  /// The latest holders. Called on every thread that this class uses, so it should hand out what is there already.
  std::function<std::shared_ptr<const ExpertHolders>()> holders;
  /// Which nodes should hold them, for people who read why a work failed. May be empty.
  std::function<std::string(const policy::ExpertSelection& missing)> homes;
  /// Told which experts cannot be asked for now, since nobody holds them or those who do have just failed; again and again
  /// while a work waits. On any thread; must be quick.
  std::function<void(const policy::ExpertSelection& missing)> on_missing;
};

struct ExpertDispatchCounters {
  std::uint64_t works = 0;  ///< layers that were asked for
  std::uint64_t slots = 0;
  std::uint64_t slots_here = 0;
  std::uint64_t messages = 0;  ///< works sent to other nodes
  std::uint64_t failures = 0;  ///< of them: lost, refused, late or wrong
  std::uint64_t waits = 0;     ///< works that had to wait for a holder
  std::uint64_t failed = 0;    ///< works
  Duration encoding{};         ///< choosing holders and writing messages, on the engine's thread
  Duration sending{};
  Duration computing{};  ///< experts here
  Duration reading{};    ///< results
  Duration whole{};      ///< from a work's beginning to its end
};

/// `compute` is called on the engine's thread and computes what is here before it returns; results of others are written on
/// the thread that brings them (the fabric's), and `done` is called on whichever thread was last. A work's memory is touched
/// only between `compute` and `done`. Nothing here has a thread or waits, so a simulation can drive all of it.
class ExpertDispatch final : public model::Experts {
 public:
  /// Model, device, port and clock must outlive it; `schedule` is for looking again at works that wait. `rows_max` as for
  /// LocalExperts. `unsupported` for a device whose memory the host does not reach.
  static Result<std::unique_ptr<ExpertDispatch>> create(const model::Model& model, kernels::Device& device, ExpertPort& port,
                                                        const Clock& clock, Schedule schedule, ExpertDispatchOptions options,
                                                        std::int32_t rows_max);
  /// All works have ended: `stop` was called, or the engine was idle.
  ~ExpertDispatch() override;
  ExpertDispatch(const ExpertDispatch&) = delete;
  ExpertDispatch& operator=(const ExpertDispatch&) = delete;

  void compute(const model::ExpertWork& work, model::ExpertsDone done) override;
  /// Looks at once whether somebody now holds what works wait for. From any thread.
  void holders_changed();
  /// Ends all works as `cancelled`, and those to come. To be called before an engine ends that may have works under way.
  void stop();
  ExpertDispatchCounters counters() const;

 private:
  class Core;
  explicit ExpertDispatch(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  std::shared_ptr<Core> core_;
};

}  // namespace troupe::cluster
