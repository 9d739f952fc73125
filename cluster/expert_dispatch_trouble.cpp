// What an ExpertDispatch does when a node does not answer as it should: asks another one, waits for one, and gives up.
#include <algorithm>

#include "cluster/expert_dispatch_core.hpp"

namespace troupe::cluster {

void ExpertDispatch::Core::in_trouble(const WorkPtr& work, std::uint64_t number, const ExpertShare& share, const Error& error) {
  Ending ending;
  {
    const std::scoped_lock lock(mutex_);
    if (work->asked.erase(number) == 0) return;  // the work has ended without it
    const TimePoint now = clock_.now();
    ++counters_.failures;
    work->avoided[share.node] = now + options_.retry_pause;
    work->last_trouble = error;
    if (!work->in_trouble) work->in_trouble = now;
    if (now - *work->in_trouble >= options_.trouble_max) ending = fail(*work, nobody_left(*work));
  }
  finish(ending);
  assign(work, share.slots);
}

void ExpertDispatch::Core::wait(const WorkPtr& work, const std::vector<std::int32_t>& slots) {
  policy::ExpertSelection missing;
  for (const std::int32_t slot : slots) missing.add({work->work.layer, work->expert[static_cast<std::size_t>(slot)]});
  {
    const std::scoped_lock lock(mutex_);
    if (work->failed || work->ended) return;
    work->waiting.insert(work->waiting.end(), slots.begin(), slots.end());
    if (!work->in_trouble) work->in_trouble = clock_.now();
    if (!std::exchange(work->waited, true)) ++counters_.waits;
  }
  if (options_.on_missing) options_.on_missing(missing);
  watch();
}

void ExpertDispatch::Core::watch() {
  {
    const std::scoped_lock lock(mutex_);
    if (watched_ || stopped_) return;
    watched_ = true;
  }
  schedule_(options_.retry_pause, [weak = weak_from_this()] {
    const auto core = weak.lock();
    if (!core) return;
    {
      const std::scoped_lock lock(core->mutex_);
      core->watched_ = false;
    }
    core->look_again();
  });
}

void ExpertDispatch::Core::look_again() {
  std::vector<std::pair<WorkPtr, std::vector<std::int32_t>>> again;
  std::vector<Ending> endings;
  {
    const std::scoped_lock lock(mutex_);
    const TimePoint now = clock_.now();
    const std::vector<WorkPtr> works(works_.begin(), works_.end());
    for (const WorkPtr& work : works) {
      if (work->waiting.empty()) continue;
      if (now - *work->in_trouble >= options_.trouble_max) {
        endings.push_back(fail(*work, nobody_left(*work)));
      } else {
        again.emplace_back(work, std::exchange(work->waiting, {}));
      }
    }
  }
  for (const Ending& ending : endings) finish(ending);
  for (const auto& [work, slots] : again) assign(work, slots);
}

void ExpertDispatch::Core::stop() {
  std::vector<Ending> endings;
  {
    const std::scoped_lock lock(mutex_);
    stopped_ = true;
    const std::vector<WorkPtr> works(works_.begin(), works_.end());
    for (const WorkPtr& work : works) endings.push_back(fail(*work, {ErrorCode::cancelled, "this engine ends"}));
  }
  for (const Ending& ending : endings) finish(ending);
}

Error ExpertDispatch::Core::nobody_left(const DispatchedWork& work) const {
  policy::ExpertSelection missing;
  for (const std::int32_t slot : work.waiting) missing.add({work.work.layer, work.expert[static_cast<std::size_t>(slot)]});
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(options_.trouble_max).count();
  std::string text = "no node could compute ";
  text += missing.empty() ? "experts of layer " + std::to_string(work.work.layer) : "experts of " + to_string(missing);
  text += " for " + std::to_string(seconds) + " s; ";
  text += work.last_trouble ? "the last trouble was: " + work.last_trouble->message : "no node holds them";
  if (options_.homes && !missing.empty()) text += "; they are placed on " + options_.homes(missing);
  return {ErrorCode::unavailable, text};
}

ExpertDispatch::Core::Ending ExpertDispatch::Core::fail(DispatchedWork& work, const Error& error) {
  if (work.ended || work.failed) return {};
  work.failed = error;
  work.waiting.clear();
  std::vector<std::uint64_t> forgotten(work.asked.begin(), work.asked.end());
  work.asked.clear();
  Ending ending = end(work);
  ending.forgotten = std::move(forgotten);
  return ending;
}

}  // namespace troupe::cluster
