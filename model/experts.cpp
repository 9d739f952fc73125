#include "model/experts.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "kernels/matmul.hpp"
#include "kernels/moe.hpp"
#include "kernels/swiglu.hpp"

namespace troupe::model {

ExpertGroups group_by_expert(std::span<const std::int32_t> expert, std::int32_t experts) {
  ExpertGroups groups;
  groups.offsets.assign(static_cast<std::size_t>(experts) + 1, 0);
  for (const std::int32_t id : expert) ++groups.offsets[static_cast<std::size_t>(id) + 1];
  for (std::size_t id = 0; id < static_cast<std::size_t>(experts); ++id) groups.offsets[id + 1] += groups.offsets[id];
  std::vector<std::int32_t> next(groups.offsets.begin(), groups.offsets.end() - 1);
  groups.slots.resize(expert.size());
  for (std::size_t slot = 0; slot < expert.size(); ++slot) {
    const auto place = static_cast<std::size_t>(next[static_cast<std::size_t>(expert[slot])]++);
    groups.slots[place] = static_cast<std::int32_t>(slot);
  }
  return groups;
}

LocalExperts::LocalExperts(const ModelConfig& config, const Weights& weights, kernels::Device& device, std::int32_t rows_max)
    : config_(config), weights_(weights), device_(device) {
  if (config.moe) slots_max_ = static_cast<std::size_t>(rows_max) * static_cast<std::size_t>(config.moe->experts_per_token);
}

Result<std::unique_ptr<LocalExperts>> LocalExperts::create(const ModelConfig& config, const Weights& weights,
                                                           kernels::Device& device, std::int32_t rows_max) {
  TROUPE_CHECK(rows_max > 0, "experts compute at least one row at a time");
  auto local = std::unique_ptr<LocalExperts>(new LocalExperts(config, weights, device, rows_max));
  if (!config.moe) return local;
  const auto floats = [&](std::int32_t width) { return local->slots_max_ * static_cast<std::size_t>(width) * sizeof(float); };
  TROUPE_TRY(local->gathered_, device.allocate(floats(config.hidden)));
  TROUPE_TRY(local->gate_up_, device.allocate(floats(2 * config.moe->intermediate)));
  TROUPE_TRY(local->inner_, device.allocate(floats(config.moe->intermediate)));
  return local;
}

std::size_t LocalExperts::bytes(const ModelConfig& config, std::int32_t rows_max) {
  if (!config.moe) return 0;
  const std::size_t slots = static_cast<std::size_t>(rows_max) * static_cast<std::size_t>(config.moe->experts_per_token);
  return slots * static_cast<std::size_t>(config.hidden + 3 * config.moe->intermediate) * sizeof(float);
}

bool LocalExperts::has(std::int32_t layer, std::int32_t expert) const {
  if (layer < 0 || layer >= config_.layers) return false;
  const auto& experts = weights_.layers()[static_cast<std::size_t>(layer)].experts;
  return expert >= 0 && static_cast<std::size_t>(expert) < experts.size() && experts[static_cast<std::size_t>(expert)].loaded();
}

void LocalExperts::compute(const ExpertWork& work, ExpertsDone done) {
  std::vector<std::int32_t> expert(static_cast<std::size_t>(work.rows) * static_cast<std::size_t>(work.chosen));
  kernels::Stream& stream = device_.stream();
  stream.copy(expert.data(), work.expert, expert.size() * sizeof(std::int32_t));
  stream.synchronize();
  std::vector<ExpertSlot> slots;
  slots.reserve(expert.size());
  for (std::int32_t slot = 0; slot < static_cast<std::int32_t>(expert.size()); ++slot) {
    slots.push_back({expert[static_cast<std::size_t>(slot)], slot / work.chosen, slot});
  }
  compute({work.layer, work.input, work.output, slots});
  done({});
}

void LocalExperts::compute(const ExpertSlots& work) {
  TROUPE_CHECK(config_.moe && config_.is_sparse(work.layer), "experts are asked for a layer that has some");
  std::vector<std::int32_t> expert(work.slots.size());
  std::ranges::transform(work.slots, expert.begin(), &ExpertSlot::expert);
  const ExpertGroups groups = group_by_expert(expert, config_.moe->experts);
  for (std::size_t first = 0; first < groups.slots.size(); first += slots_max_) {
    compute_piece(work, std::span(groups.slots).subspan(first, std::min(slots_max_, groups.slots.size() - first)));
  }
}

void LocalExperts::compute_piece(const ExpertSlots& work, std::span<const std::int32_t> ascending) {
  const auto& experts = weights_.layers()[static_cast<std::size_t>(work.layer)].experts;
  const auto slots = static_cast<std::int32_t>(ascending.size());
  std::vector<kernels::MatmulGroup> gate_up;
  std::vector<kernels::MatmulGroup> down;
  std::vector<std::int32_t> rows(ascending.size());
  std::vector<std::int32_t> targets(ascending.size());
  for (std::int32_t i = 0, first = 0; i < slots; ++i) {
    const ExpertSlot& slot = work.slots[static_cast<std::size_t>(ascending[static_cast<std::size_t>(i)])];
    rows[static_cast<std::size_t>(i)] = slot.row;
    targets[static_cast<std::size_t>(i)] = slot.target;
    const bool last = i + 1 == slots ||
                      work.slots[static_cast<std::size_t>(ascending[static_cast<std::size_t>(i) + 1])].expert != slot.expert;
    if (!last) continue;
    const FeedForwardWeights& expert = experts[static_cast<std::size_t>(slot.expert)];
    TROUPE_CHECK(expert.loaded(), "experts are asked only for what they have");
    gate_up.push_back({expert.gate_up, first, i + 1 - first});
    down.push_back({expert.down, first, i + 1 - first});
    first = i + 1;
  }
  kernels::Stream& stream = device_.stream();
  auto* gathered = gathered_.as<float>();
  kernels::gather_rows(stream, {work.input, gathered, rows.data(), slots, config_.hidden});
  kernels::matmul(stream, {gathered, gate_up_.as<float>(), gate_up});
  kernels::swiglu(stream, {gate_up_.as<float>(), inner_.as<float>(), slots, config_.moe->intermediate});
  kernels::matmul(stream, {inner_.as<float>(), gathered, down});
  kernels::scatter_rows(stream, {gathered, work.output, targets.data(), slots, config_.hidden});
  stream.synchronize();  // what is here on the host ends now
}

}  // namespace troupe::model
