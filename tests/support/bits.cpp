#include "tests/support/bits.hpp"

#include <utility>

namespace troupe::tests::bits {

void Summary::add(const CaseResult& result) {
  ++cases;
  sequences += result.sequences;
  tokens += result.tokens;
  for (std::size_t i = 0; i < tokens_by_batch.size(); ++i) tokens_by_batch[i] += result.tokens_by_batch[i];
  blocks += result.blocks;
  steps += result.steps;
  differing += result.differences.size();
  for (const std::string& difference : result.differences) {
    if (differences.size() < differences_max) differences.push_back(difference);
  }
  for (const std::string_view feature : result.features) ++features[feature];
}

Property::Property(std::uint64_t seed, std::string_view defect, kernels::DeviceKind kind) : seed_(seed), defect_(defect) {
  for (const TinyModel& tiny : tiny_models_for(kind)) universes_.emplace_back(tiny, seed, defect, kind);
}

CaseResult Property::run(std::uint64_t number) {
  const Schedule schedule = draw_schedule(seed_, number, universes_);
  return run_case(schedule, universes_[schedule.universe], defect_);
}

std::string Property::describe(std::uint64_t number) {
  const Schedule schedule = draw_schedule(seed_, number, universes_);
  return bits::describe(schedule, universes_[schedule.universe]);
}

}  // namespace troupe::tests::bits
