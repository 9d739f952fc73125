#include "policy/kv_fetch.hpp"

#include <algorithm>
#include <chrono>

namespace troupe::policy {

namespace {

/// Of the newest transfer.
constexpr double weight = 0.25;
/// Transfers of less say how long asking takes, not how fast bytes move.
constexpr std::size_t bytes_telling = std::size_t{256} << 10;
/// After so long half of what was measured is forgotten, and after some minutes nearly all.
constexpr double half_life_seconds = 30;

double fetch_seconds(std::size_t blocks, const MissingPrefix& missing, const FetchRate& rate) {
  return rate.fixed_seconds + static_cast<double>(blocks * missing.block_bytes) / rate.bytes_per_second;
}

double compute_seconds(std::size_t blocks, const MissingPrefix& missing) {
  return static_cast<double>(blocks) * missing.block_tokens * missing.seconds_per_token;
}

}  // namespace

FetchRate MeasuredFetch::rate(TimePoint now) const {
  const FetchRate assumed;
  const double half_lives = std::max(std::chrono::duration<double>(now - measured_).count(), 0.0) / half_life_seconds;
  const double known = 1 / (1 + half_lives * half_lives);
  const auto blend = [&](double was, double seconds) { return seconds + known * (was - seconds); };
  // Of times: a source that is a hundred times slower does not seem half as fast when half of it is forgotten.
  return {blend(rate_.fixed_seconds, assumed.fixed_seconds),
          1 / blend(1 / rate_.bytes_per_second, 1 / assumed.bytes_per_second)};
}

void MeasuredFetch::record(std::size_t bytes, double seconds, TimePoint now) {
  rate_ = rate(now);
  measured_ = now;
  if (bytes < bytes_telling) {
    rate_.fixed_seconds += weight * (seconds - rate_.fixed_seconds);
    return;
  }
  // At least a tenth of the time was spent on bytes, however wrong the fixed part is.
  const double moving = std::max(seconds - rate_.fixed_seconds, seconds / 10);
  rate_.bytes_per_second += weight * (static_cast<double>(bytes) / std::max(moving, 1e-9) - rate_.bytes_per_second);
}

std::optional<FetchPlan> plan_fetch(const MissingPrefix& missing, std::span<const PrefixSource> sources) {
  std::optional<FetchPlan> best;
  double best_saving = 0;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const std::size_t blocks = std::min(sources[i].blocks, missing.blocks);
    if (blocks == 0) continue;
    const FetchPlan plan{i, blocks, fetch_seconds(blocks, missing, sources[i].rate), compute_seconds(blocks, missing)};
    if (missing.seconds_per_token == 0) {
      if (!best || blocks > best->blocks) best = plan;
      continue;
    }
    const double saving = plan.compute_seconds - plan.fetch_seconds;
    if (saving <= best_saving) continue;
    best_saving = saving;
    best = plan;
  }
  return best;
}

std::optional<std::size_t> break_even_blocks(const MissingPrefix& missing, const FetchRate& rate) {
  const double saved = compute_seconds(1, missing) - (fetch_seconds(1, missing, rate) - rate.fixed_seconds);
  if (saved <= 0) return std::nullopt;
  const auto blocks = static_cast<std::size_t>(rate.fixed_seconds / saved) + 1;
  return blocks;
}

}  // namespace troupe::policy
