#include "tests/sim/world.hpp"

#include <algorithm>
#include <utility>

#include "actors/messages.hpp"
#include "base/check.hpp"

namespace troupe::sim {

namespace {

/// Time begins late enough that no moment is taken for "never".
constexpr Duration first_moment = std::chrono::hours(1);
constexpr std::int64_t first_wall_ms = 1'750'000'000'000;

class WorldClock final : public Clock {
 public:
  explicit WorldClock(const World& world) : world_(world) {}
  TimePoint now() const override { return world_.now(); }

 private:
  const World& world_;
};

class WorldWallClock final : public WallClock {
 public:
  explicit WorldWallClock(const World& world) : world_(world) {}
  std::int64_t now_ms() const override {
    return first_wall_ms + std::chrono::duration_cast<std::chrono::milliseconds>(world_.elapsed()).count();
  }

 private:
  const World& world_;
};

class SeededEntropy final : public Entropy {
 public:
  explicit SeededEntropy(std::uint64_t seed) : random_(seed, 3) {}
  std::uint64_t draw() override { return (std::uint64_t{random_.next()} << 32) | random_.next(); }

 private:
  Random random_;
};

}  // namespace

const std::vector<DefectName>& defects() {
  static const std::vector<DefectName> all{
      {Defect::missing_fsync, "missing-fsync", "a disk says \"durable\" of what a crash loses"},
      {Defect::epoch_not_checked, "epoch-not-checked", "a disk takes the writes of homes that have been replaced"},
      {Defect::plan_after_token, "plan-after-token", "plans are written after the first tokens were shown"},
      {Defect::lost_notification, "lost-notification", "engines never repeat what a home missed"},
      {Defect::leaked_block, "leaked-block", "a replica goes on with what was cancelled"},
      {Defect::late_pins, "late-pins", "clients are told of pins that are not written yet"},
      {Defect::late_copy, "late-copy", "a conversation's lease moves before its records are durable at its new home"},
  };
  return all;
}

struct World::Config : caf::actor_system_config {
  Config() {
    add_message_types<caf::id_block::troupe>();
    set("scheduler.policy", caf::atom("testing"));
    set("logger.verbosity", caf::atom("quiet"));
  }
};

World::World(std::uint64_t seed, bool keep_trace, Defect defect)
    : config_(std::make_unique<Config>()),
      system_(*config_),
      coordinator_(dynamic_cast<caf::scheduler::test_coordinator&>(system_.scheduler())),
      random_(seed, 2),
      defect_(defect),
      clock_(std::make_shared<WorldClock>(*this)),
      wall_(std::make_shared<WorldWallClock>(*this)),
      entropy_(std::make_shared<SeededEntropy>(seed)),
      trace_(keep_trace) {
  system_.await_actors_before_shutdown(false);
  coordinator_.advance_time(first_moment);
  began_ = now();
}

World::~World() { settle(); }

void World::schedule(Duration delay, Work work) {
  due_.push({now() + delay, ++last_number_, std::make_shared<Work>(std::move(work))});
}

void World::settle() {
  while (!coordinator_.jobs.empty()) {
    // Any actor that has a message may be next; an actor's own messages stay in their order.
    const auto next = coordinator_.jobs.begin() + static_cast<std::ptrdiff_t>(random_.below(coordinator_.jobs.size()));
    std::iter_swap(coordinator_.jobs.begin(), next);
    coordinator_.run_once();
  }
}

bool World::advance(TimePoint limit) {
  auto& clock = coordinator_.clock();
  TimePoint next = TimePoint::max();
  if (!due_.empty()) next = due_.top().at;
  if (!clock.schedule().empty()) next = std::min<TimePoint>(next, clock.schedule().begin()->first);
  if (next > limit) {
    if (limit > now()) coordinator_.advance_time(limit - now());
    return false;
  }
  if (next > now()) {
    coordinator_.advance_time(next - now());
  } else {
    clock.advance_time(Duration::zero());
  }
  while (!due_.empty() && due_.top().at <= now()) {
    const auto work = due_.top().work;
    due_.pop();
    (*work)();
  }
  return true;
}

bool World::run_until(const std::function<bool()>& done, Duration limit) {
  const TimePoint end = now() + limit;
  for (;;) {
    settle();
    if (done()) return true;
    if (!advance(end)) {
      settle();
      return done();
    }
  }
}

void World::run_for(Duration time) {
  run_until([] { return false; }, time);
}

}  // namespace troupe::sim
