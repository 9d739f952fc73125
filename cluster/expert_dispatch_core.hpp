// What an ExpertDispatch does, shared with what ports and schedules were given to call, which may outlive it.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>

#include "cluster/expert_dispatch.hpp"
#include "schemas/expert_frame.hpp"

namespace troupe::cluster {

/// Slots of a work that one node computes.
struct ExpertShare {
  NodeId node;
  std::vector<std::int32_t> slots;  ///< row * chosen + choice, ascending
};

/// A layer's work from `compute` to `done`. What changes is guarded by the core's mutex.
struct DispatchedWork {
  model::ExpertWork work;
  model::ExpertsDone done;
  std::vector<std::int32_t> expert;  ///< by slot
  TimePoint begin;

  std::size_t slots_left = 0;           ///< not written yet
  int writers = 0;                      ///< parts that use the work's memory just now
  std::set<std::uint64_t> asked;        ///< numbers of messages without an answer
  std::vector<std::int32_t> waiting;    ///< slots that nobody could be asked for
  std::map<NodeId, TimePoint> avoided;  ///< who failed, and until when it is not asked
  std::optional<TimePoint> in_trouble;  ///< since when
  bool waited = false;
  std::optional<Error> last_trouble;
  std::optional<Error> failed;  ///< `done` is called once nobody writes
  bool ended = false;
};
using WorkPtr = std::shared_ptr<DispatchedWork>;

/// Nothing is called under the mutex: not the port, not `done`, not what the owner gave.
class ExpertDispatch::Core : public std::enable_shared_from_this<Core> {
 public:
  Core(const model::Model& model, policy::ModelClass name, ExpertPort& port, const Clock& clock, Schedule schedule,
       ExpertDispatchOptions options, kernels::Device& device, std::unique_ptr<model::LocalExperts> local);

  void compute(const model::ExpertWork& work, model::ExpertsDone done);
  void look_again();
  void stop();
  ExpertDispatchCounters counters() const;

 private:
  /// A change of a work under the mutex, and what is to be called afterwards.
  struct Ending {
    model::ExpertsDone done;
    std::optional<Error> error;
    std::vector<std::uint64_t> forgotten;
  };

  /// Sends slots to who holds them, and has the rest wait. Returns those that are to be computed here.
  std::vector<std::int32_t> assign(const WorkPtr& work, const std::vector<std::int32_t>& slots);
  std::vector<ExpertShare> choose(const DispatchedWork& work, const std::vector<std::int32_t>& slots,
                                  const ExpertHolders& holders, std::vector<std::int32_t>& here,
                                  std::vector<std::int32_t>& missing) const;
  void send(const WorkPtr& work, ExpertShare share);
  void compute_here(const WorkPtr& work, const std::vector<std::int32_t>& slots);
  void answered(const WorkPtr& work, std::uint64_t number, const ExpertShare& share,
                const Result<schemas::ExpertResultsFrame>& results);
  void in_trouble(const WorkPtr& work, std::uint64_t number, const ExpertShare& share, const Error& error);
  void wait(const WorkPtr& work, const std::vector<std::int32_t>& slots);
  void watch();
  Error nobody_left(const DispatchedWork& work) const;

  /// Under the mutex. The work's end, if this was it.
  Ending end(DispatchedWork& work);
  Ending fail(DispatchedWork& work, const Error& error);
  void finish(const Ending& ending);

  const model::Model& model_;
  const policy::ModelClass name_;
  ExpertPort& port_;
  const Clock& clock_;
  Schedule schedule_;
  const ExpertDispatchOptions options_;
  kernels::Device& device_;
  std::unique_ptr<model::LocalExperts> local_;  ///< of the engine's thread
  const std::size_t slots_of_message_;

  mutable std::mutex mutex_;
  bool stopped_ = false;
  bool watched_ = false;  ///< somebody will look again
  std::set<WorkPtr> works_;
  ExpertDispatchCounters counters_;
};

}  // namespace troupe::cluster
