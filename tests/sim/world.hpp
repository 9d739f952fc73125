// Everything that a simulated cluster stands on: one actor system without threads, virtual time, and chance, all from one seed.
#pragma once

#include <caf/all.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/entropy.hpp"
#include "base/random.hpp"
#include "tests/sim/trace.hpp"

namespace troupe::sim {

/// What is wrong on purpose in the simulation's own doubles, to prove that the invariants would notice.
enum class Defect : std::uint8_t {
  none,
  missing_fsync,      ///< a disk says "durable" of what a crash loses
  epoch_not_checked,  ///< a disk takes writes of homes that have been replaced
  plan_after_token,   ///< a journal says "durable" of plans before it writes them
  lost_notification,  ///< engines never repeat what a home missed
  leaked_block,       ///< a replica goes on with what was cancelled
  late_pins,          ///< a journal says "durable" of what is pinned before it writes it
  late_copy,          ///< a journal says "durable" of a conversation's copy before it writes it
};
struct DefectName {
  Defect defect;
  std::string_view name;
  std::string_view what;
};
const std::vector<DefectName>& defects();

class World {
 public:
  using Work = std::function<void()>;

  World(std::uint64_t seed, bool keep_trace, Defect defect);
  /// Whoever has actors ends them before.
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  caf::actor_system& system() { return system_; }
  TimePoint now() const { return coordinator_.clock().current_time; }
  Duration elapsed() const { return now() - began_; }
  std::shared_ptr<const Clock> clock() const { return clock_; }
  std::shared_ptr<const WallClock> wall() const { return wall_; }
  std::shared_ptr<Entropy> entropy() const { return entropy_; }
  /// What the network, the disks and the order of actors draw from.
  Random& random() { return random_; }
  Duration between(Duration low, Duration high) { return Duration(random_.between(low.count(), high.count())); }
  Defect defect() const { return defect_; }

  /// Has `work` run after a while, outside of any actor.
  void schedule(Duration delay, Work work);
  /// Lets all actors act, one message at a time and in an order that the seed draws, then time go on to whatever is due next.
  /// Ends when `done` holds (asked each time before time goes on) or `limit` has passed; returns whether it holds.
  bool run_until(const std::function<bool()>& done, Duration limit);
  void run_for(Duration time);
  /// Lets actors act until none has anything to do at this moment.
  void settle();

  void note(std::string_view who, std::string_view what) { trace_.note(elapsed(), who, what); }
  void violated(std::string what) { trace_.violated(elapsed(), std::move(what)); }
  const Trace& trace() const { return trace_; }

 private:
  struct Config;
  struct Due {
    TimePoint at;
    std::uint64_t number = 0;  ///< among equal times, the first that was scheduled
    std::shared_ptr<Work> work;
    bool operator>(const Due& other) const { return at != other.at ? at > other.at : number > other.number; }
  };

  /// Moves time to what is due next, but not beyond `limit`; false if nothing is due before that.
  bool advance(TimePoint limit);

  std::unique_ptr<Config> config_;
  caf::actor_system system_;
  caf::scheduler::test_coordinator& coordinator_;
  Random random_;
  Defect defect_;
  TimePoint began_{};
  std::shared_ptr<const Clock> clock_;
  std::shared_ptr<const WallClock> wall_;
  std::shared_ptr<Entropy> entropy_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  std::uint64_t last_number_ = 0;
  Trace trace_;
};

}  // namespace troupe::sim
