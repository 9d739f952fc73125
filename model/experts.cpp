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
    : config_(config), weights_(weights), device_(device), rows_max_(rows_max) {}

Result<std::unique_ptr<LocalExperts>> LocalExperts::create(const ModelConfig& config, const Weights& weights,
                                                           kernels::Device& device, std::int32_t rows_max) {
  auto local = std::unique_ptr<LocalExperts>(new LocalExperts(config, weights, device, rows_max));
  if (!config.moe) return local;
  const std::size_t slots = static_cast<std::size_t>(rows_max) * static_cast<std::size_t>(config.moe->experts_per_token);
  const auto floats = [&](std::int32_t width) { return slots * static_cast<std::size_t>(width) * sizeof(float); };
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

void LocalExperts::compute(const ExpertWork& work, ExpertsDone done) {
  TROUPE_CHECK(config_.moe && work.rows <= rows_max_, "experts get at most as many rows as they were made for");
  kernels::Stream& stream = device_.stream();
  const MoeConfig& moe = *config_.moe;
  std::vector<std::int32_t> expert(static_cast<std::size_t>(work.rows) * static_cast<std::size_t>(work.chosen));
  stream.copy(expert.data(), work.expert, expert.size() * sizeof(std::int32_t));
  stream.synchronize();
  const ExpertGroups groups = group_by_expert(expert, moe.experts);

  std::vector<kernels::MatmulGroup> gate_up;
  std::vector<kernels::MatmulGroup> down;
  const auto& experts = weights_.layers()[static_cast<std::size_t>(work.layer)].experts;
  for (std::size_t id = 0; id < experts.size(); ++id) {
    const std::int32_t first = groups.offsets[id];
    const std::int32_t rows = groups.offsets[id + 1] - first;
    if (rows == 0) continue;
    gate_up.push_back({experts[id].gate_up, first, rows});
    down.push_back({experts[id].down, first, rows});
  }
  const auto slots = static_cast<std::int32_t>(groups.slots.size());
  std::vector<std::int32_t> rows(groups.slots.size());
  std::ranges::transform(groups.slots, rows.begin(), [&](std::int32_t slot) { return slot / work.chosen; });

  auto* gathered = gathered_.as<float>();
  kernels::gather_rows(stream, {work.input, gathered, rows.data(), slots, config_.hidden});
  kernels::matmul(stream, {gathered, gate_up_.as<float>(), gate_up});
  kernels::swiglu(stream, {gate_up_.as<float>(), inner_.as<float>(), slots, moe.intermediate});
  kernels::matmul(stream, {inner_.as<float>(), gathered, down});
  kernels::scatter_rows(stream, {gathered, work.output, groups.slots.data(), slots, config_.hidden});
  stream.synchronize();  // `rows` and `groups` end here
  done({});
}

}  // namespace troupe::model
