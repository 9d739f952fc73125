#include "cluster/expert_dispatch.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/check.hpp"
#include "cluster/expert_dispatch_core.hpp"
#include "kernels/numeric_class.hpp"

namespace troupe::cluster {

namespace {

using schemas::ExpertRowSlot;

/// Of rows, and of results, in one message. More slots travel in several, so that none is too large for a fabric.
constexpr std::size_t message_bytes = std::size_t{16} << 20;

std::vector<std::int32_t> distinct(std::vector<std::int32_t> values) {
  std::ranges::sort(values);
  const auto rest = std::ranges::unique(values);
  values.erase(rest.begin(), rest.end());
  return values;
}

}  // namespace

ExpertDispatch::Core::Core(const model::Model& model, policy::ModelClass name, ExpertPort& port, const Clock& clock,
                           Schedule schedule, ExpertDispatchOptions options, kernels::Device& device,
                           std::unique_ptr<model::LocalExperts> local)
    : model_(model),
      name_(std::move(name)),
      port_(port),
      clock_(clock),
      schedule_(std::move(schedule)),
      options_(std::move(options)),
      device_(device),
      local_(std::move(local)),
      slots_of_message_(
          std::max<std::size_t>(message_bytes / (static_cast<std::size_t>(model.config.hidden) * sizeof(float)), 1)) {}

void ExpertDispatch::Core::compute(const model::ExpertWork& layer, model::ExpertsDone done) {
  const auto work = std::make_shared<DispatchedWork>();
  work->work = layer;
  work->done = std::move(done);
  work->begin = clock_.now();
  work->slots_left = static_cast<std::size_t>(layer.rows) * static_cast<std::size_t>(layer.chosen);
  work->expert.resize(work->slots_left);
  device_.stream().copy(work->expert.data(), layer.expert, work->slots_left * sizeof(std::int32_t));
  device_.stream().synchronize();  // also what computes the input
  work->writers = 1;               // this thread, so that nothing ends before all has begun
  std::vector<std::int32_t> slots;
  {
    const std::scoped_lock lock(mutex_);
    works_.insert(work);
    ++counters_.works;
    counters_.slots += work->slots_left;
    if (stopped_) {
      work->failed = Error{ErrorCode::cancelled, "this engine ends"};
    } else {
      slots.resize(work->slots_left);
    }
  }
  std::iota(slots.begin(), slots.end(), 0);
  compute_here(work, assign(work, slots));
  Ending ending;
  {
    const std::scoped_lock lock(mutex_);
    --work->writers;
    ending = end(*work);
  }
  finish(ending);
}

void ExpertDispatch::Core::compute_here(const WorkPtr& work, const std::vector<std::int32_t>& slots) {
  if (slots.empty()) return;
  const TimePoint begin = clock_.now();
  std::vector<model::ExpertSlot> mine;
  mine.reserve(slots.size());
  for (const std::int32_t slot : slots) {
    mine.push_back({work->expert[static_cast<std::size_t>(slot)], slot / work->work.chosen, slot});
  }
  local_->compute({work->work.layer, work->work.input, work->work.output, mine});
  const std::scoped_lock lock(mutex_);
  work->slots_left -= slots.size();
  counters_.slots_here += slots.size();
  counters_.computing += clock_.now() - begin;
}

std::vector<std::int32_t> ExpertDispatch::Core::assign(const WorkPtr& work, const std::vector<std::int32_t>& slots) {
  const TimePoint begin = clock_.now();
  const auto latest = options_.holders();
  ExpertHolders usable;  // only filled if somebody is avoided
  bool any_avoided = false;
  {
    const std::scoped_lock lock(mutex_);
    if (work->ended || work->failed) return {};
    ++work->writers;  // while messages are written, the work's rows stay where they are
    std::erase_if(work->avoided, [&](const auto& each) { return each.second <= begin; });
    any_avoided = !work->avoided.empty();
    if (any_avoided) {
      std::ranges::copy_if(*latest, std::back_inserter(usable),
                           [&](const policy::ExpertHolder& holder) { return !work->avoided.contains(holder.node); });
    }
  }
  std::vector<std::int32_t> here;
  std::vector<std::int32_t> missing;
  std::vector<ExpertShare> shares = choose(*work, slots, any_avoided ? usable : *latest, here, missing);
  {
    const std::scoped_lock lock(mutex_);
    counters_.encoding += clock_.now() - begin;
  }
  for (const ExpertShare& share : shares) {
    for (std::size_t first = 0; first < share.slots.size(); first += slots_of_message_) {
      const std::size_t last = std::min(first + slots_of_message_, share.slots.size());
      send(work, {share.node,
                  {share.slots.begin() + static_cast<std::ptrdiff_t>(first),
                   share.slots.begin() + static_cast<std::ptrdiff_t>(last)}});
    }
  }
  if (!missing.empty()) wait(work, missing);
  Ending ending;
  {
    const std::scoped_lock lock(mutex_);
    --work->writers;
    ending = end(*work);
  }
  finish(ending);
  return here;
}

std::vector<ExpertShare> ExpertDispatch::Core::choose(const DispatchedWork& work, const std::vector<std::int32_t>& slots,
                                                      const ExpertHolders& holders, std::vector<std::int32_t>& here,
                                                      std::vector<std::int32_t>& missing) const {
  std::vector<std::int32_t> experts;
  experts.reserve(slots.size());
  for (const std::int32_t slot : slots) experts.push_back(work.expert[static_cast<std::size_t>(slot)]);
  const std::vector<std::int32_t> wanted = distinct(experts);
  const std::vector<std::int32_t> places = policy::choose_holders(work.work.layer, wanted, model_.weights.experts(), holders);
  std::vector<ExpertShare> shares;
  std::vector<std::size_t> share_of(holders.size(), holders.size());
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const auto known = std::ranges::lower_bound(wanted, experts[i]) - wanted.begin();
    const std::int32_t place = places[static_cast<std::size_t>(known)];
    if (place == policy::expert_is_here) {
      here.push_back(slots[i]);
    } else if (place == policy::expert_is_missing) {
      missing.push_back(slots[i]);
    } else {
      std::size_t& share = share_of[static_cast<std::size_t>(place)];
      if (share == holders.size()) {
        share = shares.size();
        shares.push_back({holders[static_cast<std::size_t>(place)].node, {}});
      }
      shares[share].slots.push_back(slots[i]);
    }
  }
  return shares;
}

void ExpertDispatch::Core::send(const WorkPtr& work, ExpertShare share) {
  const TimePoint begin = clock_.now();
  const std::uint64_t number = port_.next_number();
  // A row that several experts are asked for is sent once. Slots ascend, so those of a row stand together.
  std::vector<ExpertRowSlot> slots;
  std::vector<std::int32_t> rows;
  slots.reserve(share.slots.size());
  for (const std::int32_t slot : share.slots) {
    const std::int32_t row = slot / work->work.chosen;
    if (rows.empty() || rows.back() != row) rows.push_back(row);
    slots.push_back({static_cast<std::uint32_t>(rows.size() - 1),
                     static_cast<std::uint32_t>(work->expert[static_cast<std::size_t>(slot)])});
  }
  const auto frame = schemas::encode_expert_work(
      {.number = number, .model = name_, .layer = work->work.layer, .hidden = model_.config.hidden}, rows.size(), slots);
  Ending ending;
  {
    const std::scoped_lock lock(mutex_);
    if (work->failed || work->ended) return;
    if (!frame) {
      ending = fail(*work, frame.error());
    } else {
      work->asked.insert(number);
      ++counters_.messages;
    }
  }
  if (!frame) return finish(ending);
  const auto hidden = static_cast<std::size_t>(model_.config.hidden);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const float* row = work->work.input + static_cast<std::size_t>(rows[i]) * hidden;
    std::memcpy(frame->values.data() + i * hidden, row, hidden * sizeof(float));
  }
  const TimePoint encoded = clock_.now();
  const NodeId node = share.node;
  port_.send(
      node, number, {frame->owner, frame->bytes}, encoded + options_.answer_max,
      [weak = weak_from_this(), work, number, share = std::move(share)](const Result<schemas::ExpertResultsFrame>& results) {
        if (const auto core = weak.lock()) core->answered(work, number, share, results);
      });
  const std::scoped_lock lock(mutex_);
  counters_.encoding += encoded - begin;
  counters_.sending += clock_.now() - encoded;
}

void ExpertDispatch::Core::answered(const WorkPtr& work, std::uint64_t number, const ExpertShare& share,
                                    const Result<schemas::ExpertResultsFrame>& results) {
  if (!results) return in_trouble(work, number, share, results.error());
  const TimePoint begin = clock_.now();
  const auto hidden = static_cast<std::size_t>(model_.config.hidden);
  if (static_cast<std::size_t>(results->hidden) != hidden || results->values.size() != share.slots.size() * hidden) {
    return in_trouble(
        work, number, share,
        {ErrorCode::corrupt, "node " + share.node.value + " answered " + std::to_string(share.slots.size()) + " slots of " +
                                 std::to_string(hidden) + " numbers with " + std::to_string(results->values.size())});
  }
  {
    const std::scoped_lock lock(mutex_);
    if (work->asked.erase(number) == 0) return;  // the work has ended without it
    ++work->writers;
  }
  for (std::size_t i = 0; i < share.slots.size(); ++i) {
    float* slot = work->work.output + static_cast<std::size_t>(share.slots[i]) * hidden;
    std::memcpy(slot, results->values.data() + i * hidden, hidden * sizeof(float));
  }
  Ending ending;
  {
    const std::scoped_lock lock(mutex_);
    --work->writers;
    work->slots_left -= share.slots.size();
    counters_.reading += clock_.now() - begin;
    ending = end(*work);
  }
  finish(ending);
}

ExpertDispatch::Core::Ending ExpertDispatch::Core::end(DispatchedWork& work) {
  if (work.ended || work.writers > 0 || (work.slots_left > 0 && !work.failed)) return {};
  work.ended = true;
  counters_.whole += clock_.now() - work.begin;
  if (work.failed) ++counters_.failed;
  const auto mine = std::ranges::find_if(works_, [&](const WorkPtr& each) { return each.get() == &work; });
  if (mine != works_.end()) works_.erase(mine);  // whoever calls this holds it too
  return {std::move(work.done), work.failed, {}};
}

void ExpertDispatch::Core::finish(const Ending& ending) {
  for (const std::uint64_t number : ending.forgotten) port_.forget(number);
  if (!ending.done) return;
  if (ending.error) return ending.done(*ending.error);
  ending.done({});
}

ExpertDispatchCounters ExpertDispatch::Core::counters() const {
  const std::scoped_lock lock(mutex_);
  return counters_;
}

Result<std::unique_ptr<ExpertDispatch>> ExpertDispatch::create(const model::Model& model, kernels::Device& device,
                                                               ExpertPort& port, const Clock& clock, Schedule schedule,
                                                               ExpertDispatchOptions options, std::int32_t rows_max) {
  if (device.kind() != kernels::DeviceKind::cpu) {
    return Error{ErrorCode::unsupported,
                 "experts elsewhere are asked from a CPU's memory; this device is " + device.description()};
  }
  TROUPE_CHECK(options.holders != nullptr, "somebody knows who holds experts");
  TROUPE_TRY(auto local, model::LocalExperts::create(model.config, model.weights, device, rows_max));
  policy::ModelClass name{model::to_hex(model.fingerprint), std::string(kernels::numeric_class(device.kind()))};
  return std::unique_ptr<ExpertDispatch>(new ExpertDispatch(std::make_shared<Core>(
      model, std::move(name), port, clock, std::move(schedule), std::move(options), device, std::move(local))));
}

ExpertDispatch::~ExpertDispatch() { core_->stop(); }
void ExpertDispatch::compute(const model::ExpertWork& work, model::ExpertsDone done) { core_->compute(work, std::move(done)); }
void ExpertDispatch::holders_changed() { core_->look_again(); }
void ExpertDispatch::stop() { core_->stop(); }
ExpertDispatchCounters ExpertDispatch::counters() const { return core_->counters(); }

}  // namespace troupe::cluster
