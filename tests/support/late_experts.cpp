#include "tests/support/late_experts.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <span>
#include <utility>

#include "base/check.hpp"

namespace troupe::tests {

Result<std::unique_ptr<LateExperts>> LateExperts::create(const model::ModelConfig& config, const model::Weights& weights,
                                                         const LateExpertsOptions& options) {
  TROUPE_TRY(auto device, kernels::CpuDevice::create(options.device));
  TROUPE_TRY(auto local, model::LocalExperts::create(config, weights, *device, options.rows_max));
  return std::unique_ptr<LateExperts>(new LateExperts(config, options, std::move(device), std::move(local)));
}

LateExperts::LateExperts(const model::ModelConfig& config, const LateExpertsOptions& options,
                         std::unique_ptr<kernels::CpuDevice> device, std::unique_ptr<model::LocalExperts> local)
    : config_(config),
      options_(options),
      device_(std::move(device)),
      local_(std::move(local)),
      cuts_(options.seed, 1),
      orders_(options.seed, 2),
      thread_([this] { run(); }) {}

LateExperts::~LateExperts() {
  {
    const std::scoped_lock lock(mutex_);
    TROUPE_CHECK(under_way_ == 0, "whoever gave experts work waits for the answers before the experts end");
    stopping_ = true;
    changed_.notify_one();
  }
  thread_.join();
}

std::int32_t LateExperts::most_under_way() const {
  const std::scoped_lock lock(mutex_);
  return most_under_way_;
}

void LateExperts::compute(const model::ExpertWork& work, model::ExpertsDone done) {
  if (work.rows == 0) return done({});
  const auto pending = std::make_shared<Pending>(Pending{work, std::move(done)});
  std::vector<Piece> pieces = cut(pending);
  pending->pieces_left = pieces.size();
  const std::scoped_lock lock(mutex_);
  std::ranges::move(pieces, std::back_inserter(pieces_));
  most_under_way_ = std::max(most_under_way_, ++under_way_);
  changed_.notify_one();
}

std::vector<LateExperts::Piece> LateExperts::cut(const std::shared_ptr<Pending>& pending) {
  const model::ExpertWork& work = pending->work;
  const auto slots = static_cast<std::size_t>(work.rows) * static_cast<std::size_t>(work.chosen);
  const model::ExpertGroups groups = model::group_by_expert({work.expert, slots}, config_.moe->experts);
  std::vector<Piece> pieces;
  for (std::int32_t expert = 0; expert < config_.moe->experts; ++expert) {
    auto first = groups.slots.begin() + groups.offsets[static_cast<std::size_t>(expert)];
    const auto end = groups.slots.begin() + groups.offsets[static_cast<std::size_t>(expert) + 1];
    while (first != end) {
      const auto last = cuts_.chance(0.5F) ? end : first + cuts_.between(1, end - first);
      pieces.push_back({pending, expert, {first, last}});
      first = last;
    }
  }
  return pieces;
}

void LateExperts::run() {
  kernels::set_float_environment();
  while (true) {
    Piece piece;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !pieces_.empty(); });
      if (pieces_.empty()) return;
      std::swap(pieces_[orders_.below(pieces_.size())], pieces_.back());
      piece = std::move(pieces_.back());
      pieces_.pop_back();
    }
    if (options_.pause_us_max > 0 && orders_.chance(0.1F)) {
      std::this_thread::sleep_for(std::chrono::microseconds(orders_.between(1, options_.pause_us_max)));
    }
    answer(piece);
    if (--piece.pending->pieces_left > 0) continue;
    {
      const std::scoped_lock lock(mutex_);
      --under_way_;
    }
    piece.pending->done({});
  }
}

void LateExperts::answer(const Piece& piece) {
  const model::ExpertWork& work = piece.pending->work;
  const auto hidden = static_cast<std::size_t>(config_.hidden);
  const std::size_t rows = piece.slots.size();
  const std::vector<std::int32_t> expert(rows, piece.expert);
  input_.resize(rows * hidden);
  output_.resize(rows * hidden);
  for (std::size_t i = 0; i < rows; ++i) {
    std::copy_n(work.input + static_cast<std::size_t>(piece.slots[i] / work.chosen) * hidden, hidden, &input_[i * hidden]);
  }
  // As a work of its own, in which every row asks for this one expert.
  std::optional<Result<void>> answered;
  local_->compute({work.layer, static_cast<std::int32_t>(rows), 1, input_.data(), expert.data(), output_.data()},
                  [&](Result<void> result) { answered = std::move(result); });
  TROUPE_CHECK(answered && *answered, "local experts answer at once");
  for (std::size_t i = 0; i < rows; ++i) {
    std::copy_n(&output_[i * hidden], hidden, work.output + static_cast<std::size_t>(piece.slots[i]) * hidden);
  }
}

}  // namespace troupe::tests
